// Flow entries of the gateway against those of the reference.
#include <algorithm>
#include <sstream>

#include "dataplane/tables/flow.h"
#include "tests/model/world.h"

namespace portcullis::testing {
namespace {

std::string show(const reference::FlowKey& key) {
  return key.local.to_string() + " port " + std::to_string(key.local_port) + " with " +
         key.remote.to_string() + " port " + std::to_string(key.remote_port) + " protocol " +
         std::to_string(key.protocol) + "/" + std::to_string(key.icmp_query);
}

// A flow entry as both sides can say it.
struct FlowView {
  uint64_t expires_ms;
  uint32_t owner_stamp, remote_stamp;
  bool remote_is_endpoint;
  int state;
  int opened;
  int icmp_code;
  friend bool operator==(const FlowView&, const FlowView&) = default;
};

std::string show(const FlowView& flow) {
  std::ostringstream text;
  text << "expires " << flow.expires_ms << " owner " << flow.owner_stamp << " remote " << flow.remote_stamp
       << (flow.remote_is_endpoint ? " (an endpoint)" : "") << " state " << flow.state << " opened "
       << flow.opened << " code " << flow.icmp_code;
  return text.str();
}

// As the data plane holds them: 32 bits.
FlowView view(const reference::Flow& flow) {
  const auto wire = [](uint64_t generation) { return static_cast<uint32_t>(generation); };
  return {flow.expires_ms,
          wire(flow.owner_changed),
          wire(flow.remote_changed),
          flow.remote_incarnation != 0,
          static_cast<int>(flow.state) + 1,
          static_cast<int>(flow.opened),
          flow.icmp_code};
}

template <typename Tuple>
FlowView view(const BasicFlowEntry<Tuple>& flow) {
  return {flow.expires_ms,
          flow.owner_stamp,
          flow.remote_stamp,
          flow.remote_is_endpoint,
          static_cast<int>(flow.state),
          static_cast<int>(flow.opened),
          flow.icmp_code};
}

}  // namespace

void World::compare_flows() {
  const auto ends = [](reference::FlowKey key, const auto& tuple) {
    key.remote = tuple.remote;
    key.local_port = tuple.local_port.host();
    key.remote_port = tuple.remote_port.host();
    key.protocol = tuple.protocol;
    key.icmp_query = tuple.icmp_query;
    return key;
  };
  for (const auto& worker : gateway_->workers()) {
    const uint32_t id = worker->config().id;
    compare_flows_of(IpFamily::ipv4, id, worker->flows(), [&](const SideTuple& tuple) {
      return ends({.local = tuple.local, .worker = id}, tuple);
    });
    compare_flows_of(IpFamily::ipv6, id, worker->flows6(), [&](const SideTuple6& tuple) {
      const Bound& owner = bindings_[tuple.local];
      return ends({.local = owner.eip, .owner = owner.created, .worker = id}, tuple);
    });
  }
}

template <typename Table, typename KeyOf>
void World::compare_flows_of(IpFamily family, uint32_t worker, const Table& table, KeyOf&& key_of) {
  const auto mine = std::ranges::count_if(reference_.flows(), [&](const auto& flow) {
    return flow.first.local.family() == family && flow.first.worker == worker;
  });
  const std::string what = family == IpFamily::ipv4 ? "IPv4 flow entries" : "IPv6 flow entries";
  expect_equal(what, static_cast<uint64_t>(mine), table.size());
  uint64_t visited = 0;
  table.for_each([&](const auto& entry) {
    ++visited;
    const reference::FlowKey key = key_of(entry.key);
    const auto found = reference_.flows().find(key);
    if (found == reference_.flows().end())
      differ("only the gateway has the flow " + show(key) + ": " + show(view(entry)));
    else
      expect_equal("flow " + show(key), view(found->second), view(entry));
  });
  expect_equal(what + " that can be visited", visited, table.size());
}

}  // namespace portcullis::testing
