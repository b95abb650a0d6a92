// A Control over a store in memory and tables without packets.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control/control.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis {

using model::PoolKind;
using namespace std::chrono_literals;

// A store in memory that outlives the Control which uses it, and fails when told to.
struct Disk {
  model::State snapshot;
  std::vector<model::ChangeSet> log;
  std::map<std::pair<std::string, std::string>, store::AnsweredRequest> requests;
  std::atomic<int> compactions = 0;
  std::atomic<int> failed_compactions = 0;
  std::vector<model::Change> preserved;
  uint64_t record_bytes = 100;
  uint64_t snapshot_bytes = 0;
  std::atomic<int> appends = 0;
  std::atomic<bool> is_full = false;
  size_t most_entries = SIZE_MAX;  // that it takes at once
  std::function<void()> on_append = [] {};
  std::function<void()> on_load = [] {};

  [[nodiscard]] model::State state() const {
    model::State state = snapshot;
    for (const model::ChangeSet& changes : log) model::apply(state, changes);
    return state;
  }
};

class MemoryStore final : public store::Store {
 public:
  explicit MemoryStore(Disk& disk) : disk_(disk) {}
  Expected<model::State> load() override {
    disk_.on_load();
    return disk_.state();
  }
  Expected<void> append(std::span<const store::Entry> entries) override {
    disk_.on_append();
    ++disk_.appends;
    if (disk_.is_full || entries.size() > disk_.most_entries)
      return fail(ErrorCode::unavailable, "the disk is full; make room and try again");
    for (const auto& [changes, request] : entries) {
      if (!changes->changes.empty()) disk_.log.push_back(*changes);
      if (request != nullptr) disk_.requests.insert_or_assign({request->caller, request->id}, *request);
    }
    return {};
  }
  Expected<std::optional<store::AnsweredRequest>> recall(const std::string& caller,
                                                         const std::string& id) override {
    const auto found = disk_.requests.find({caller, id});
    return found == disk_.requests.end() ? std::nullopt : std::optional(found->second);
  }
  Expected<void> forget_requests(int64_t before_ms) override {
    std::erase_if(disk_.requests, [&](const auto& known) { return known.second.answered_ms < before_ms; });
    return {};
  }
  // In four steps, of which the last makes the snapshot of what the state was at the first.
  Expected<bool> compact(const model::State& state, size_t) override {
    if (disk_.is_full) {
      ++disk_.failed_compactions;
      return fail(ErrorCode::unavailable, "the disk is full; make room and try again");
    }
    if (steps_ == 0) taken_ = state;
    if (++steps_ < 4) return true;
    steps_ = 0;
    disk_.snapshot = std::move(taken_);
    std::erase_if(disk_.log, [&](const auto& c) { return c.generation <= disk_.snapshot.generation; });
    ++disk_.compactions;
    return false;
  }
  bool is_compacting() const override { return steps_ != 0; }
  void preserve(std::span<const model::Change> before) override {
    disk_.preserved.insert(disk_.preserved.end(), before.begin(), before.end());
  }
  Size log_size() const override { return {disk_.log.size(), disk_.log.size() * disk_.record_bytes}; }
  uint64_t snapshot_bytes() const override { return disk_.snapshot_bytes; }

 private:
  Disk& disk_;
  int steps_ = 0;
  model::State taken_;
};

inline const model::Pool pool{"public", *Ipv4Prefix::parse("203.0.113.0/24"), PoolKind::local};
inline const model::VmKey web{"acme", "web"};
inline constexpr Ipv4Addr web_eip = Ipv4Addr::of(203, 0, 113, 1);
inline constexpr Ipv4Addr web_dip = Ipv4Addr::of(10, 0, 0, 1);
inline const model::PermitRule http{
    .name = "http", .remote = model::AnyRemote{}, .protocol = 6, .local_ports = {80, 80}, .tracked = true};
inline const model::PermitRule out{
    .name = "out", .direction = model::Direction::outbound, .remote = model::AnyRemote{}};

// Edits that a model would refuse, bugs of who plans them. An EIP of a vm that there is not cannot be
// compiled.
inline Expected<model::Nothing> put_eip_of_no_vm(model::Draft& draft) {
  draft.make(model::PutEip{{.address = Ipv4Addr::of(203, 0, 113, 78), .tenant = "acme", .vm = "none"}});
  return model::Nothing();
}
// An endpoint that is on no port can be stored, and not enforced.
inline Expected<model::Nothing> put_endpoint_of_no_port(model::Draft& draft) {
  const model::VmKey ghost{"acme", "ghost"};
  const Ipv4Addr eip = Ipv4Addr::of(203, 0, 113, 77);
  draft.make(model::PutVm{{ghost.first, ghost.second, {"nowhere", Mac{}}, Ipv4Addr::of(10, 0, 0, 77)}});
  draft.make(model::PutEip{{.address = eip, .tenant = ghost.first, .vm = ghost.second}});
  return model::Nothing();
}

// A gateway without packets: what a process start makes of a disk.
struct Gateway {
  explicit Gateway(Disk& disk, ControlConfig config = {.pools = {pool}, .tick = 1h},
                   model::Limits limits = {})
      : control(std::move(config), model::Model(limits, {{"vms", {}}}), std::make_unique<MemoryStore>(disk),
                [&] {
                  publish::Publisher publisher(*plane.tables, plane.rcu.get(), {{"vms", 1}}, 100);
                  publisher.add_worker(plane.worker.get());
                  return publisher;
                }()) {}

  void start() {
    const auto started = control.start();
    ASSERT_TRUE(started) << started.error().message;
  }

  // Carries one plan out.
  template <typename Planner>
  auto mutate(Planner&& plan, const Terms& terms = {}) {
    return control.change(terms, [&](model::Draft& draft) { return draft.carry_out(plan(draft.model())); });
  }
  auto create_vm(const std::string& id, Ipv4Addr dip) {
    return mutate([&](const model::Model& m) {
      return m.plan_create_vm({"acme", id, {"vms", Mac{{2, 0, 0, 0, 0, 1}}}, dip});
    });
  }
  auto request_eip(const std::string& vm) {
    return mutate([&](const model::Model& m) { return m.plan_request_eip({"acme", vm}, "", 0); });
  }
  auto set_permit_list(std::vector<model::PermitRule> rules, bool keep = false) {
    return mutate(
        [&](const model::Model& m) { return m.plan_set_permit_list("acme", web_eip, rules, keep); });
  }
  model::State state() {
    return *control.run([](const Control::View& view) { return view.model.state(); });
  }
  // A vm "web" with an EIP.
  void populate() {
    ASSERT_TRUE(create_vm("web", web_dip));
    const auto eip = request_eip("web");
    ASSERT_TRUE(eip) << eip.error().message;
    ASSERT_EQ(eip->reply.address, web_eip);
  }
  template <typename Condition>
  bool eventually(Condition&& condition) {
    for (int n = 0; n < 1000; ++n) {
      if (condition()) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  DataPlane plane{{.eips = 64,
                   .spare_records = 8,
                   .spare = 8,
                   .spare_chunks = 8,
                   .index_pages = 2,
                   .permit_chunks = 64,
                   .tag_sets = 64}};
  Control control;
};

}  // namespace portcullis
