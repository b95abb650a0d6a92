// Two gateways side by side: the reference and the one under test, given the same calls, frames and time.
// Every turn is compared whole; the first differences are kept as text, with the operations that led there.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/model/gateway_under_test.h"
#include "tests/model/reference.h"
#include "tests/model/rehearsal_check.h"
#include "tests/model/ring_port.h"
#include "tests/model/show.h"
#include "tests/model/source_ports.h"
#include "tests/model/trace_check.h"

namespace portcullis::testing {

// The hardware: made once a process, given to one world after another.
class Bench {
 public:
  static constexpr uint32_t port_depth = 200;  // frames that a queue takes while nobody collects
  static constexpr uint16_t most_workers = 4;  // each with queues of its own
  static Bench& instance();
  [[nodiscard]] std::vector<RingPort*> ports(size_t count) const;
  [[nodiscard]] const FramePool& frames() const { return frames_; }

 private:
  Bench();
  FramePool frames_;
  std::vector<std::unique_ptr<RingPort>> ports_;
};

class World {
 public:
  // `setup`: its FlowShape and punt_room are filled in here.
  World(reference::Setup setup, const Sizes& sizes, uint32_t punt_room = 60);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The calls. Each says whether it was taken; the two sides must agree where the reference has an opinion.
  bool create_pool(const model::Pool& pool);
  bool delete_pool(const std::string& id);
  bool create_vm(const model::Vm& vm);
  bool move_vm(const model::VmKey& key, const model::Location& location);
  bool delete_vm(const model::VmKey& key);
  std::optional<IpAddr> request_eip(const model::VmKey& vm, const std::string& pool = {},
                                    std::optional<IpFamily> family = std::nullopt);
  bool release_eip(const IpAddr& eip);
  bool set_permit_list(const IpAddr& eip, const std::vector<model::PermitRule>& rules,
                       bool keep_established = false);
  bool set_tag(const IpAddr& eip, const std::set<std::string>& tags);
  bool set_flow_quota(const IpAddr& eip, uint32_t flows);
  bool set_tenant_flow_quota(const model::TenantId& tenant, uint32_t flows);
  void end_keep(const IpAddr& eip);

  void set_neighbour(std::optional<Mac> mac, IpFamily family = IpFamily::ipv4);
  // A station of the underlay: it answers whoever asks for it from now on, or nobody does.
  void set_underlay_neighbour(reference::PortNumber port, const IpAddr& address, std::optional<Mac> mac);
  void advance(uint64_t milliseconds);
  // While a link is blocked nobody collects from it: it fills up, then frames wait in the gateway, then drop.
  void block(reference::PortNumber port, bool blocked);
  // Whether the punt ring is emptied after each turn.
  void collect_punts(bool collect) { collect_punts_ = collect; }
  // Whether counters and flows are compared after each turn, or only when it is asked for; frames always are.
  void compare_counts_each_turn(bool compare) { counts_each_turn_ = compare; }
  void compare_counts();

  // Every packet from now on is traced, and what that says is compared; or those that are lost.
  void trace(bool only_drops) { traces_.emplace(*gateway_, only_drops); }

  // One turn of both. By in-port; missing ports get nothing.
  const reference::Turn& poll(std::vector<std::vector<reference::Arrival>> arrivals,
                              const std::vector<Bytes>& originated = {});
  // One frame on one port, and what became of it.
  reference::Verdict feed(reference::PortNumber port, const Bytes& frame);
  // Ages the whole flow table: by the step that a busy worker takes, when one is due that covers all of it.
  void age_all();

  [[nodiscard]] uint64_t now_ms() const { return now_ms_; }
  [[nodiscard]] const reference::Gateway& reference() const { return reference_; }
  [[nodiscard]] const GatewayUnderTest& gateway() const { return *gateway_; }
  [[nodiscard]] const RehearsalCheck& rehearsals() const { return rehearsals_; }
  [[nodiscard]] const std::optional<TraceCheck>& traces() const { return traces_; }
  // Takes the gateway under test down; every buffer must be back then.
  void finish();

  [[nodiscard]] const model::State& state() const { return reference_.state(); }
  [[nodiscard]] const model::Vm& vm_of(const IpAddr& eip) const;
  [[nodiscard]] const std::vector<std::string>& differences() const { return differences_; }
  // The last operations and the differences, for a person.
  [[nodiscard]] std::string report() const;
  void note(std::string operation);

 private:
  template <typename T, typename U>
  void expect_equal(const std::string& what, const T& reference, const U& gateway);
  void differ(std::string what);
  template <typename Reply, typename Apply>
  bool call(const std::string& what, const Expected<model::Plan<Reply>>& plan, Apply&& apply);
  void compare_state();
  void compare_frames();
  void compare_checksums();
  void compare_counters();
  void compare_eips();
  void compare_flows();
  template <typename Table, typename KeyOf>
  void compare_flows_of(IpFamily family, uint32_t worker, const Table& table, KeyOf&& key_of);
  [[nodiscard]] reference::Setup completed(reference::Setup setup, const Sizes& sizes, uint32_t punt_room);
  void learn_binding(const IpAddr& eip);
  // The only frame of a turn, before it comes; and the check when it has.
  using Arrivals = std::vector<std::vector<reference::Arrival>>;
  void rehearse(const Arrivals& arrivals, const std::vector<Bytes>& originated);
  void compare_rehearsal(const Arrivals& arrivals);
  void resolve_underlay();
  [[nodiscard]] std::vector<Bytes> collect(reference::PortNumber port);

  uint64_t now_ms_ = 1'000'000;
  Bench& bench_;
  std::vector<RingPort*> ports_;
  const uint32_t buffers_before_;
  reference::Gateway reference_;
  std::unique_ptr<GatewayUnderTest> gateway_;
  std::optional<TraceCheck> traces_;
  std::set<reference::PortNumber> blocked_;
  bool collect_punts_ = true;
  bool counts_each_turn_ = true;
  uint64_t aged_ms_ = 0;
  reference::Turn turn_;
  std::vector<std::vector<Bytes>> sent_;  // by port: what the reference has sent since the last collection
  std::vector<Bytes> punted_;
  // The gateway's name of an IPv6 endpoint, and the reference's: what flows lie under.
  struct Bound {
    IpAddr eip;
    uint64_t created = 0;
  };
  std::map<BindingId, Bound> bindings_;
  std::map<std::pair<reference::PortNumber, IpAddr>, Mac> underlay_;
  SourcePorts source_ports_;
  RehearsalCheck rehearsals_;
  std::deque<std::string> trace_;
  std::vector<std::string> differences_;
};

template <typename T, typename U>
void World::expect_equal(const std::string& what, const T& reference, const U& gateway) {
  if (reference == gateway) return;
  differ(what + ":\n    reference " + show(reference) + "\n    gateway   " + show(gateway));
}

}  // namespace portcullis::testing
