#include "control/control.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <set>
#include <string>
#include <variant>

#include "control/compile/compile.h"
#include "control/model/in_any_order.h"
#include "src/base/wider_affinity.h"

namespace portcullis {
namespace {

// How long what the tick does rests after a failure: a full disk is not tried every second.
constexpr std::chrono::seconds retry_after{30};

// Objects and rules that one step of compaction writes, which a call may have to wait for: some milliseconds.
constexpr size_t compaction_step = 2000;
// While calls wait, so many go before the next step.
constexpr int jobs_a_step = 16;

// A call joins those before it, which wait for it then, as long as they have not been drafted for so long,
// if it is no larger than all of them, or small, and if there are no more operations than so many: what has
// its place beside what it replaces (TableSizes::spare_records) is enforced as soon as it is stored.
constexpr std::chrono::milliseconds drafted_together{10};
constexpr uint64_t small_call = 100;
constexpr uint64_t most_together = 4096;
static_assert(most_together <= TableSizes().spare_records);

}  // namespace

Control::Control(ControlConfig config, model::Model model, std::unique_ptr<store::Store> store,
                 publish::Publisher publisher)
    : config_(std::move(config)),
      model_(std::move(model)),
      store_(std::move(store)),
      publisher_(std::move(publisher)) {}

Control::~Control() {
  stop();
}

Expected<void> Control::start() {
  if (auto published = publish_stored(); !published) return published;
  history_.begin(model_.state().generation);
  const std::scoped_lock lock(mutex_);
  is_open_ = true;
  next_tick_ = Clock::now() + config_.tick;
  thread_ = std::jthread([this] { serve(); });
  return {};
}

Expected<void> Control::publish_stored() {
  const WiderAffinity affinity(config_.start_cpus);
  const Clock::time_point began = Clock::now();
  Expected<model::State> state = store_->load();
  if (!state) return Unexpected(std::move(state.error()));
  const Clock::time_point loaded = Clock::now();
  // Nobody reads the tables yet: what is published of a state that turns out not to fit is never seen. Pools
  // that will change come first, and then everything.
  Expected<void> published;
  std::function<void(const model::State&)> publish_meanwhile;
  if (has_configured_pools(*state))
    publish_meanwhile = [&](const model::State& stored) { published = publish_all(stored); };
  if (auto restored = model_.restore(std::move(*state), publish_meanwhile); !restored) return restored;
  if (auto made = make_pools_exist(); !made) return made;
  if (auto shortened = shorten_rests(); !shortened) return shortened;
  for (const auto& [address, eip] : model_.state().eips)
    if (eip.keep_established) keeping_.insert(address);
  if (!publish_meanwhile) published = publish_all(model_.state());
  if (!published) return published;
  const auto seconds = [](Clock::duration taken) { return std::chrono::duration<double>(taken).count(); };
  spdlog::info("store: {} vms and {} EIPs read in {:.1f} s, checked and published in {:.1f} s",
               model_.state().vms.size(), model_.state().eips.size(), seconds(loaded - began),
               seconds(Clock::now() - loaded));
  return {};
}

bool Control::has_configured_pools(const model::State& state) const {
  return std::ranges::all_of(config_.pools, [&](const model::Pool& pool) {
    const auto known = state.pools.find(pool.id);
    return known != state.pools.end() && known->second == pool;
  });
}

Expected<void> Control::publish_all(const model::State& state) {
  try {
    return publisher_.publish_all(compile::ImageParts(state));
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, error.what());
  }
}

// In any order: one may take what another gives up.
Expected<void> Control::make_pools_exist() {
  CommitGroup group(model_);
  model::Draft& draft = group.begin(config_.now_ms());
  auto made = model::in_any_order(config_.pools.size(),
                                  [&](size_t i) { return make_exist(config_.pools[i], draft); });
  if (!made) return made;
  group.add();
  if (auto stored = store_unpublished(group); !stored) return stored;
  std::set<std::string> fixed;
  for (const model::Pool& pool : config_.pools) fixed.insert(pool.id);
  model_.fix_pools(std::move(fixed));
  return {};
}

// None ends later than if it began now. Those that would were begun by a clock that was ahead of today's.
Expected<void> Control::shorten_rests() {
  CommitGroup group(model_);
  model::Draft& draft = group.begin(config_.now_ms());
  const int64_t latest = draft.now_ms() + model_.limits().quarantine_ms;
  std::vector<IpAddr> overlong;
  for (const auto& [address, rest] : model_.state().quarantine)
    if (rest.until_ms > latest) overlong.push_back(address);
  for (const IpAddr& address : overlong) draft.make(model::DeleteEip{address, latest});
  group.add();
  return store_unpublished(group);
}

Expected<void> Control::store_unpublished(CommitGroup& group) {
  if (group.empty()) return {};
  return record(group).map([&] { static_cast<void>(group.keep()); });
}

// One that differs becomes what the configuration says, as long as no EIP of it is left outside.
Expected<void> Control::make_exist(const model::Pool& pool, model::Draft& draft) {
  const auto known = model_.state().pools.find(pool.id);
  if (known != model_.state().pools.end() && known->second != pool) {
    if (model::may_resize(known->second, pool))
      return draft.carry_out(model_.plan_update_pool(pool.id, pool.prefix)).map([](auto&&) {});
    if (auto gone = draft.carry_out(model_.plan_delete_pool(pool.id)); !gone)
      return Unexpected(std::move(gone.error()));
  }
  return draft.carry_out(model_.plan_create_pool(pool)).map([](auto&&) {});
}

void Control::stop() {
  {
    const std::scoped_lock lock(mutex_);
    is_open_ = false;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Control::hand_over(Job job) {
  {
    const std::scoped_lock lock(mutex_);
    if (!is_open_) return false;
    jobs_.push(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void Control::serve() {
  std::unique_lock lock(mutex_);
  int jobs_until_step = jobs_a_step;
  while (is_open_ || !jobs_.empty()) {
    const bool is_idle = jobs_.empty();
    if (!is_idle) {
      const Job job = std::move(jobs_.front());
      jobs_.pop();
      lock.unlock();
      if (job.call) {
        jobs_until_step -= carry_out(job.call);
      } else {
        job.run();
        --jobs_until_step;
      }
      lock.lock();
    }
    if (is_idle || jobs_until_step <= 0) {
      jobs_until_step = jobs_a_step;
      lock.unlock();
      const bool is_busy = compact_some();
      lock.lock();
      if (is_idle && !is_busy && jobs_.empty() && is_open_) changed_.wait_until(lock, next_tick_);
    }
    if (Clock::now() < next_tick_) continue;
    lock.unlock();
    tick();
    lock.lock();
  }
}

std::shared_ptr<Control::Call> Control::next_call(uint64_t operations) {
  const std::scoped_lock lock(mutex_);
  if (jobs_.empty() || !jobs_.front().call) return nullptr;
  const uint64_t more = jobs_.front().call->operations;
  if (more > std::max(small_call, operations) || operations + more > most_together) return nullptr;
  auto call = std::move(jobs_.front().call);
  jobs_.pop();
  return call;
}

// What none of them may do is answer before all are stored, even a refusal: it stands on what those before
// have drafted. If the store refuses them, each is made alone: one may be too large for the disk, or draft
// what does not fit a record.
int Control::carry_out(std::shared_ptr<Call> first) {
  const Clock::time_point began = Clock::now();
  std::vector<std::shared_ptr<Call>> calls;
  uint64_t operations = 0;
  CommitGroup group(model_);
  for (auto call = std::move(first); call != nullptr;
       call = Clock::now() - began < drafted_together ? next_call(operations) : nullptr) {
    draft(*call, group);
    operations += call->operations;
    calls.push_back(std::move(call));
  }
  const auto committed = commit(group);
  const bool is_refused = !committed && !unenforced_ && calls.size() > 1;
  if (is_refused) group.take_back();
  for (const auto& call : calls) {
    if (is_refused) draft(*call, group);
    answer(*call, is_refused ? commit(group) : committed);
    group.take_back();
  }
  tidy(&publish::Publisher::reclaim);
  return static_cast<int>(calls.size());
}

void Control::draft(Call& call, CommitGroup& group) {
  call.thrown = nullptr;
  model::Draft& draft = group.begin(config_.now_ms());
  try {
    Drafted drafted = call.draft(draft, group);
    if (drafted.is_kept) return group.add(std::move(drafted.request));
  } catch (...) {
    call.thrown = std::current_exception();
  }
  group.drop();
}

void Control::answer(Call& call, const Expected<void>& committed) {
  if (!committed) call.refuse(committed.error());
  if (call.thrown)
    call.done.set_exception(call.thrown);
  else
    call.done.set_value();
}

Expected<void> Control::check(const Terms& terms) const {
  if (unenforced_) return Unexpected(*unenforced_);
  const model::Generation generation = model_.state().generation;
  if (terms.expected_generation.value_or(generation) == generation) return {};
  return fail(ErrorCode::failed_precondition,
              "the state is of generation " + std::to_string(generation) + ", and " +
                  std::to_string(*terms.expected_generation) + " is expected; read it again, and decide anew",
              "expected_generation");
}

Expected<std::optional<std::string>> Control::recall(const RequestId& request, int64_t now_ms,
                                                     const CommitGroup& group) {
  if (unenforced_) return Unexpected(*unenforced_);
  std::optional<store::AnsweredRequest> known;
  if (const auto* coming = group.answer_to(request.caller, request.id)) {
    known = *coming;
  } else {
    auto stored = store_->recall(request.caller, request.id);
    if (!stored) return Unexpected(std::move(stored.error()));
    known = std::move(*stored);
  }
  constexpr int64_t remembered_ms = std::chrono::milliseconds(requests_remembered).count();
  if (!known || known->answered_ms + remembered_ms <= now_ms) return std::nullopt;
  if (known->fingerprint == request.fingerprint) return std::move(known->answer);
  return fail(ErrorCode::invalid_argument,
              "request id '" + request.id + "' was that of another request, in the last " +
                  std::to_string(requests_remembered.count()) + " hours; give each request an id of its own",
              "request_id");
}

Expected<std::string> Control::change_once(const Terms& terms, const RequestId& request,
                                           const std::function<Expected<std::string>(model::Draft&)>& edit) {
  return make<std::string>(
      terms, [&](model::Draft& draft, const CommitGroup& group, Expected<std::string>& answer) -> Drafted {
        auto known = recall(request, draft.now_ms(), group);
        if (!known) {
          answer = Unexpected(std::move(known.error()));
          return {};
        }
        if (*known) {
          answer = std::move(**known);
          return {};
        }
        if (auto met = check(terms); !met) {
          answer = Unexpected(std::move(met.error()));
          return {};
        }
        answer = edit(draft);
        if (!answer) return {};
        return {.is_kept = true,
                .request = store::AnsweredRequest{request.caller, request.id, request.fingerprint,
                                                  draft.now_ms(), *answer}};
      });
}

// Durable before anybody sees it: what a failed append leaves is what was there before. What nobody sees of
// it is done before that, so that it is enforced as soon as it is durable.
Expected<void> Control::commit(CommitGroup& group) {
  if (group.empty()) return {};
  const std::vector<const model::ChangeSet*> changes = group.changes();
  if (changes.empty()) return record(group).map([&] { static_cast<void>(group.keep()); });
  const auto began = Clock::now();
  if (auto prepared = prepare(changes); !prepared) return prepared;
  if (auto recorded = record(group); !recorded) {
    tidy(&publish::Publisher::discard);
    return recorded;
  }
  const auto stored = Clock::now();
  auto enforced = enforce(changes);
  if (!enforced) {
    // Validation reserves room for everything, so this is a bug or a broken machine. The change is durable
    // and a restart publishes it; until then nothing is acknowledged, not even a repeat that would change
    // nothing.
    enforced.error().message =
        "generation " + std::to_string(model_.state().generation) +
        " is stored but not enforced in full; restart the gateway: " + enforced.error().message;
    spdlog::error("{} ({})", enforced.error().message, enforced.error().object);
    unenforced_ = enforced.error();
  }
  const auto done = Clock::now();
  for (Event& event : group.keep()) {
    if (!enforced) continue;
    durations_.storing.add(stored - began);
    durations_.publishing.add(done - stored);
    history_.add(std::move(event));
  }
  return enforced;
}

// An exception, such as memory that is not to be had, is a failure like others.
Expected<void> Control::prepare(std::span<const model::ChangeSet* const> changes) {
  try {
    publisher_.prepare(compile::compile_change(model_.state(), changes));
    return {};
  } catch (const std::exception& error) {
    tidy(&publish::Publisher::discard);
    return fail(ErrorCode::internal, error.what());
  }
}

// An exception leaves tables that nobody knows: nothing more is acknowledged.
void Control::tidy(void (publish::Publisher::*step)()) {
  try {
    (publisher_.*step)();
  } catch (const std::exception& error) {
    spdlog::error("what was replaced could not be put away; restart the gateway: {}", error.what());
    unenforced_ =
        Error{ErrorCode::internal,
              "what was replaced could not be put away; restart the gateway: " + std::string(error.what()),
              {},
              {}};
  }
}

Expected<void> Control::record(const CommitGroup& group) {
  try {
    if (store_->is_compacting()) group.preserve(*store_);
    return store_->append(group.entries());
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, error.what());
  }
}

// Here, too: what has been left unpublished must not be acknowledged.
Expected<void> Control::enforce(std::span<const model::ChangeSet* const> changes) {
  try {
    auto enforced = publisher_.enforce();
    for (const model::ChangeSet* set : changes) watch_kept(*set);
    return enforced;
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, error.what());
  }
}

void Control::watch_kept(const model::ChangeSet& changes) {
  for (const model::Change& change : changes.changes) {
    if (const auto* put = std::get_if<model::PutEip>(&change)) {
      if (put->eip.keep_established)
        keeping_.insert(put->eip.address);
      else
        keeping_.erase(put->eip.address);
    } else if (const auto* gone = std::get_if<model::DeleteEip>(&change)) {
      keeping_.erase(gone->address);
    }
  }
}

void Control::tick() {
  next_tick_ = Clock::now() + config_.tick;
  for (const auto chore : {&Control::end_keeping, &Control::forget_requests})
    if (const auto done = (this->*chore)(); !done) {
      spdlog::error("{}", done.error().message);
      next_tick_ = Clock::now() + retry_after;
    }
}

// Kept entries only ever go, so an EIP without any entry has no kept one and gets none.
Expected<void> Control::end_keeping() {
  if (unenforced_) return Unexpected(*unenforced_);
  CommitGroup group(model_);
  model::Draft& draft = group.begin(config_.now_ms());
  for (const IpAddr& eip : keeping_) {
    if (publisher_.flows_of(eip) != 0) continue;
    if (auto ended = draft.carry_out<model::Nothing>(model_.plan_end_keep(eip)); !ended)
      return Unexpected(std::move(ended.error()));
  }
  group.add();
  auto committed = commit(group);
  tidy(&publish::Publisher::reclaim);
  return committed;
}

bool Control::compact_some() {
  const auto log = store_->log_size();
  const bool is_long = log.records > config_.compact_after ||
                       log.bytes > std::max(config_.compact_after_bytes, store_->snapshot_bytes());
  if (!is_long && !store_->is_compacting()) return false;
  if (Clock::now() < compaction_rests_until_) return false;
  const auto more = store_->compact(model_.state(), compaction_step);
  if (more) return *more;
  spdlog::error("{}", more.error().message);
  compaction_rests_until_ = Clock::now() + retry_after;
  return false;
}

Expected<void> Control::forget_requests() {
  return store_->forget_requests(config_.now_ms() - std::chrono::milliseconds(requests_remembered).count());
}

}  // namespace portcullis
