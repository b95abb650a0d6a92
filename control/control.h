// The control thread: the one owner of what should be true. Everything that reads or changes the model, the
// store or the published tables runs on it, job by job; gRPC handlers hand it jobs and wait.
//
// A change goes plan -> draft -> compile -> place -> store -> enforce: it is checked wholly before anything
// changes, durable before anything sees it, and enforced by every worker before the caller is answered.
// Changes that wait one behind another go this way together (CommitGroup).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "control/commit_group.h"
#include "control/durations.h"
#include "control/history.h"
#include "control/model/draft.h"
#include "control/publish/publisher.h"
#include "control/store/store.h"
#include "src/base/expected.h"
#include "src/base/wall_clock.h"

namespace portcullis {

struct ControlConfig {
  // Made to exist at start as they are here, and as such until the next. Refused if that would leave an EIP
  // outside.
  std::vector<model::Pool> pools;
  // The store is compacted when its log holds more change sets than this, or more bytes, and more of these
  // than the snapshot: so it is written anew no oftener than it is written.
  uint64_t compact_after = 100'000;
  uint64_t compact_after_bytes = 64ULL << 20;
  // How often what nobody calls for is done: ending keep_established, forgetting requests.
  std::chrono::milliseconds tick{1000};
  // Unix milliseconds, by which addresses rest and requests are remembered. One that does not jump, and goes
  // on from start to start: store::DurableClock. Any thread.
  std::function<int64_t()> now_ms = wall_clock_ms;
  // The workers', which do not run yet when the start reads, checks and publishes: it may use them too.
  std::vector<uint32_t> start_cpus = {};
};

// On what terms a change is made.
struct Terms {
  std::optional<model::Generation> expected_generation;  // refused if the state is of another one
  bool dry_run = false;                                  // only shows what would be answered
  uint32_t operations =
      1;  // how much there is to do: nothing small waits for the end of much that came later
};

// A call that is carried out at most once, however often it is made.
struct RequestId {
  std::string caller;  // whose id it is: no two callers share theirs
  std::string id;
  uint64_t fingerprint = 0;  // of the request
};
inline constexpr std::chrono::hours requests_remembered{24};

// A mutating call's answer, and the generation that all workers now enforce.
template <typename Reply>
struct Applied {
  Reply reply;
  model::Generation generation = 0;
};

namespace detail {
// What an answer carries: T for a T and for an Expected<T>.
template <typename Result>
struct Carried {
  using Type = Result;
};
template <typename T>
struct Carried<Expected<T>> {
  using Type = T;
};
}  // namespace detail

class Control {
 public:
  // What a job may look at while it runs.
  struct View {
    const model::Model& model;
    const publish::Publisher& publisher;
    int64_t now_ms;  // by ControlConfig::now_ms
  };

  // `publisher` with all its workers, over empty tables that nobody else writes.
  Control(ControlConfig config, model::Model model, std::unique_ptr<store::Store> store,
          publish::Publisher publisher);
  ~Control();  // stops
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // Loads the store, makes the configured pools be as they are, publishes everything, and starts the control
  // thread: when it returns, the data plane holds the whole state and the receive side may be opened. Once
  // only.
  [[nodiscard]] Expected<void> start();
  // Refuses new jobs, finishes those handed over before, ends the thread. Any thread but the control thread;
  // idempotent.
  void stop();

  // Runs `job(View)` on the control thread, after all jobs handed over before, and waits for its result: a T
  // or an Expected<T> as Expected<T>, nothing as Expected<void>. unavailable if the control thread does not
  // run. Any thread but the control thread, which would wait for itself.
  template <typename Job>
  [[nodiscard]] auto run(Job&& job) {
    using Result = std::invoke_result_t<Job&, View>;
    using Answer = Expected<typename detail::Carried<Result>::Type>;
    // Shared: the thread still holds the task when the answer has already let this caller go on.
    const auto task = std::make_shared<std::packaged_task<Answer()>>([this, &job]() -> Answer {
      const View view{model_, publisher_, config_.now_ms()};
      if constexpr (std::is_void_v<Result>) {
        job(view);
        return {};
      } else {
        return job(view);
      }
    });
    std::future<Answer> answer = task->get_future();
    if (!hand_over({.run = [task] { (*task)(); }})) return Answer(not_open());
    return answer.get();
  }

  // Runs `edit(model::Draft&)`, which gives an Expected<Reply>, and makes what it drafted come true as one
  // change. An error of it or of the store leaves everything as it was. A draft without changes is answered
  // with the generation that is current. Calls that wait one behind another are stored together; if the store
  // refuses them, `edit` is run again, on the state as it was, and each is stored alone. Thread: as run().
  template <typename Edit>
  [[nodiscard]] auto change(const Terms& terms, Edit&& edit) {
    using Reply = typename std::invoke_result_t<Edit&, model::Draft&>::value_type;
    return make<Applied<Reply>>(terms,
                                [this, &terms, &edit](model::Draft& draft, const CommitGroup&,
                                                      Expected<Applied<Reply>>& answer) -> Drafted {
                                  if (auto met = check(terms); !met) {
                                    answer = Unexpected(std::move(met.error()));
                                    return {};
                                  }
                                  Expected<Reply> reply = edit(draft);
                                  if (!reply) {
                                    answer = Unexpected(std::move(reply.error()));
                                    return {};
                                  }
                                  const model::Generation generation =
                                      terms.dry_run ? draft.model().state().generation : draft.generation();
                                  answer = Applied<Reply>{std::move(*reply), generation};
                                  return {.is_kept = !terms.dry_run};
                                });
  }

  // As change(), but once: `edit` answers with bytes, which are stored with what it drafted. For as long as
  // they are remembered a repeat is answered with them, whatever the state is by then. invalid_argument at
  // "request_id" if the id was another request's. Refusals are not remembered.
  [[nodiscard]] Expected<std::string> change_once(
      const Terms& terms, const RequestId& request,
      const std::function<Expected<std::string>(model::Draft&)>& edit);

  // What is enforced, change by change. Thread: any.
  [[nodiscard]] const History& history() const { return history_; }
  // How long changes took. Thread: any.
  [[nodiscard]] const ChangeDurations& durations() const { return durations_; }

 private:
  using Clock = std::chrono::steady_clock;

  // What a call has come to.
  struct Drafted {
    bool is_kept = false;  // false: the draft is to be taken back
    std::optional<store::AnsweredRequest> request = {};
  };
  // A call that changes something, as the control thread sees it. Both write its answer.
  struct Call {
    std::function<Drafted(model::Draft&, const CommitGroup&)> draft;
    std::function<void(const Error&)> refuse;
    uint32_t operations = 1;
    std::exception_ptr thrown;  // by the draft
    std::promise<void> done;
  };
  // One of the two.
  struct Job {
    std::function<void()> run = {};
    std::shared_ptr<Call> call = {};
  };

  [[nodiscard]] static Unexpected not_open() {
    return fail(ErrorCode::unavailable, "the gateway is starting or stopping; try again");
  }
  // Makes a call of `draft(Draft&, const CommitGroup&, Expected<Answer>&)`, and waits for its answer. Any
  // thread but the control thread.
  template <typename Answer, typename DraftIt>
  [[nodiscard]] Expected<Answer> make(const Terms& terms, DraftIt&& draft) {
    Expected<Answer> answer = not_open();
    const auto call = std::make_shared<Call>();
    call->draft = [&](model::Draft& on, const CommitGroup& group) { return draft(on, group, answer); };
    call->refuse = [&](const Error& error) { answer = Unexpected(error); };
    call->operations = terms.operations;
    std::future<void> done = call->done.get_future();
    if (hand_over({.call = call})) done.get();
    return answer;
  }
  // False: the control thread does not run, the job was not taken.
  [[nodiscard]] bool hand_over(Job job);
  void serve();
  // The rest runs on the control thread, or before there is one.
  [[nodiscard]] Expected<void> publish_stored();
  // As they are to be.
  [[nodiscard]] bool has_configured_pools(const model::State& state) const;
  [[nodiscard]] Expected<void> publish_all(const model::State& state);
  [[nodiscard]] Expected<void> make_pools_exist();
  [[nodiscard]] Expected<void> shorten_rests();
  [[nodiscard]] Expected<void> make_exist(const model::Pool& pool, model::Draft& draft);
  // Calls from the first on, as many as wait, together. Gives how many.
  int carry_out(std::shared_ptr<Call> first);
  // The call that comes next, if a call does, and one that may join calls of so many operations.
  [[nodiscard]] std::shared_ptr<Call> next_call(uint64_t operations);
  void draft(Call& call, CommitGroup& group);
  static void answer(Call& call, const Expected<void>& committed);
  [[nodiscard]] Expected<void> check(const Terms& terms) const;
  // The answer to an earlier call of this id; none: it is the first.
  [[nodiscard]] Expected<std::optional<std::string>> recall(const RequestId& request, int64_t now_ms,
                                                            const CommitGroup& group);
  // Stores and enforces. An error of the store leaves the group as it is.
  [[nodiscard]] Expected<void> commit(CommitGroup& group);
  [[nodiscard]] Expected<void> record(const CommitGroup& group);
  // At the start, before everything is published.
  [[nodiscard]] Expected<void> store_unpublished(CommitGroup& group);
  [[nodiscard]] Expected<void> prepare(std::span<const model::ChangeSet* const> changes);
  [[nodiscard]] Expected<void> enforce(std::span<const model::ChangeSet* const> changes);
  // One of the publisher's steps that no call waits for.
  void tidy(void (publish::Publisher::*step)());
  void watch_kept(const model::ChangeSet& changes);
  void tick();
  [[nodiscard]] Expected<void> end_keeping();
  // One step, if the log is long or a compaction is under way. False: there is nothing to do now.
  [[nodiscard]] bool compact_some();
  [[nodiscard]] Expected<void> forget_requests();

  const ControlConfig config_;
  model::Model model_;
  const std::unique_ptr<store::Store> store_;
  publish::Publisher publisher_;
  History history_;
  ChangeDurations durations_;
  std::set<IpAddr> keeping_;         // EIPs with keep_established
  std::optional<Error> unenforced_;  // set once a publication has failed
  Clock::time_point next_tick_;
  Clock::time_point compaction_rests_until_;

  std::mutex mutex_;  // of the three below
  std::condition_variable changed_;
  std::queue<Job> jobs_;
  bool is_open_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace portcullis
