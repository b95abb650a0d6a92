// Explain: what it says of a packet, by whose list, by which rule or entry, and that nothing stays of it.
// That it says what then happens is tests/model's to show (rehearsal_check.h).
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/worker_state.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"
#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

constexpr Ipv4Addr asked_eip = Ipv4Addr::of(203, 0, 113, 1), client = Ipv4Addr::of(198, 51, 100, 7);

class Explain : public Api {
 protected:
  void SetUp() override {
    Api::SetUp();
    plane_.tables->next_hop.set(uplink, *Mac::parse("02:00:00:00:00:fe"));
    populate();
  }
  void TearDown() override {
    EXPECT_EQ(plane_.counters().dropped_all(), 0u);
    EXPECT_EQ(plane_.counters().received(), 0u);
    EXPECT_EQ(plane_.counters().transmitted(), 0u);
    EXPECT_EQ(plane_.counters().originated.get(), 0u);
    EXPECT_EQ(plane_.flows().size(), flows_);
    for (Slot slot = 0; slot < plane_.tables->binding.capacity(); ++slot) {
      EXPECT_EQ(plane_.counters().slots[slot].in_packets.get(), 0u);
      EXPECT_EQ(plane_.counters().slots[slot].out_packets.get(), 0u);
    }
    Api::TearDown();
  }
  std::vector<PortFacts> port_facts() const override {
    return {
        {uplink, "wan", "net_ring0", 0}, {vm0, "vm0", "net_ring1", -1}, {hosts, "hosts", "net_ring2", -1}};
  }
  Expected<void> ask(Errand& errand) override {
    auto done = Api::ask(errand);
    if (const auto then = std::exchange(after_asking, {})) then();
    return done;
  }
  std::function<void()> after_asking;  // once
  void permit(const std::string& rules) {
    get<v1::SetPermitListResponse, v1::SetPermitListRequest>("TenantService/SetPermitList",
                                                             "eip: 'tenants/acme/eips/203.0.113.1' " + rules);
  }
  v1::Explanation explain(const std::string& fields) {
    return get<v1::Explanation, v1::ExplainRequest>("ObserveService/Explain", "fields { " + fields + " }");
  }
  static std::vector<std::string> stages(const v1::Explanation& explanation) {
    std::vector<std::string> names;
    for (const auto& stage : explanation.stages()) names.push_back(stage.stage());
    return names;
  }
  static const v1::ExplainedStage& stage(const v1::Explanation& explanation, const std::string& name) {
    for (const auto& stage : explanation.stages())
      if (stage.stage() == name) return stage;
    ADD_FAILURE() << "no stage " << name;
    return v1::ExplainedStage::default_instance();
  }
  template <typename Header>
  static Header header_at(const std::string& frame, size_t at) {
    Header header{};
    EXPECT_GE(frame.size(), at + sizeof header);
    if (frame.size() >= at + sizeof header) std::memcpy(&header, frame.data() + at, sizeof header);
    return header;
  }
  uint64_t flows_ = 0;
};

const std::string web_rule =
    "rules { name: 'web' direction: INBOUND protocol: 'tcp' remote { any: true } local_ports { first: 80 "
    "last: "
    "80 } }";
const std::string web_syn =
    "source: '198.51.100.7' destination: '203.0.113.1' protocol: 'tcp' destination_port: 80";

TEST_F(Explain, ARuleLetsItIn) {
  permit(web_rule);
  const v1::Explanation told = explain(web_syn);
  EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED);
  EXPECT_EQ(told.reason(), "");
  EXPECT_EQ(stages(told), (std::vector<std::string>{"decapsulate", "parse", "punt", "identify", "hand_over",
                                                    "fragments", "admit", "route", "commit", "to_public",
                                                    "to_private", "deliver", "encapsulate", "transmit"}));
  EXPECT_FALSE(told.has_source());
  EXPECT_EQ(told.destination().eip(), "tenants/acme/eips/203.0.113.1");
  EXPECT_EQ(told.destination().vm(), "tenants/acme/vms/web");
  EXPECT_EQ(told.destination().way(), v1::ExplainedSide::RULE);
  EXPECT_EQ(told.destination().rule(), "web");
  EXPECT_EQ(told.destination().entry_use(), v1::ExplainedSide::NONE);
  EXPECT_EQ(stage(told, "identify").detail(), "to web (203.0.113.1)");
  EXPECT_EQ(stage(told, "admit").detail(), "203.0.113.1 in: rule web");
  EXPECT_EQ(stage(told, "transmit").verdict(), v1::ExplainedStage::TRANSMITTED);
  EXPECT_EQ(stage(told, "to_public").detail(), "");
  EXPECT_EQ(stage(told, "to_private").detail(), "203.0.113.1 -> 10.0.0.2");
  EXPECT_EQ(stage(told, "transmit").detail(), "by port vm0 to 02:00:00:00:00:01");
  EXPECT_EQ(told.received().port(), "ports/wan");
  EXPECT_EQ(header_at<EthernetHeader>(told.received().data(), 0).source, *Mac::parse("02:00:00:00:00:fe"));
  EXPECT_EQ(told.sent().port(), "ports/vm0");
  const auto ip = header_at<Ipv4Header>(told.sent().data(), sizeof(EthernetHeader));
  EXPECT_EQ(ip.destination, Ipv4Addr::of(10, 0, 0, 2));
  EXPECT_EQ(ip.ttl, 63);
  EXPECT_EQ(told.generation(), 4u);
}

TEST_F(Explain, WithoutARuleItIsRefused) {
  permit(web_rule);
  const v1::Explanation told =
      explain("source: '198.51.100.7' destination: '203.0.113.1' protocol: 'tcp' destination_port: 81");
  EXPECT_EQ(told.fate(), v1::Explanation::DROPPED);
  EXPECT_EQ(told.reason(), "destination_not_permitted");
  EXPECT_EQ(told.description(), describe(Drop::destination_not_permitted).text);
  EXPECT_EQ(told.destination().way(), v1::ExplainedSide::REFUSED);
  EXPECT_EQ(told.destination().rule(), "");
  EXPECT_EQ(stages(told).back(), "admit");
  EXPECT_EQ(stage(told, "admit").verdict(), v1::ExplainedStage::DROPPED);
  EXPECT_EQ(stage(told, "admit").reason(), "destination_not_permitted");
  EXPECT_EQ(stage(told, "admit").detail(), "203.0.113.1 in: no rule and no flow entry permits it");
  EXPECT_FALSE(told.has_sent());
}

TEST_F(Explain, WhatIsNotBoundHasNoSide) {
  const v1::Explanation told =
      explain("source: '198.51.100.7' destination: '203.0.113.9' protocol: 'udp' destination_port: 53");
  EXPECT_EQ(told.fate(), v1::Explanation::DROPPED);
  EXPECT_EQ(told.reason(), "unbound");
  EXPECT_FALSE(told.has_destination());
  EXPECT_EQ(stages(told).back(), "identify");
}

TEST_F(Explain, AReplyLeavesByTheInboundRule) {
  permit(web_rule);
  const v1::Explanation told = explain(
      "source: 'tenants/acme/vms/web' destination: '198.51.100.7' protocol: 'tcp' source_port: 80 "
      "destination_port: 5000 tcp_flags: 18");
  EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED);
  EXPECT_EQ(told.source().way(), v1::ExplainedSide::REPLY);
  EXPECT_EQ(told.source().rule(), "web");
  EXPECT_EQ(told.received().port(), "ports/vm0");
  EXPECT_EQ(told.sent().port(), "ports/wan");
  const auto ip = header_at<Ipv4Header>(told.sent().data(), sizeof(EthernetHeader));
  EXPECT_EQ(ip.source, asked_eip);
}

TEST_F(Explain, AnOutboundRuleWouldOpenAnEntry) {
  permit("rules { name: 'dns' direction: OUTBOUND protocol: 'udp' remote { any: true } }");
  // An EIP stands for its vm.
  const v1::Explanation told =
      explain("source: '203.0.113.1' destination: '198.51.100.7' protocol: 'udp' destination_port: 53");
  EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED);
  EXPECT_EQ(told.source().way(), v1::ExplainedSide::RULE);
  EXPECT_EQ(told.source().rule(), "dns");
  EXPECT_EQ(told.source().entry_use(), v1::ExplainedSide::OPENS);
  EXPECT_EQ(stage(told, "commit").detail(), "opens the flow entry of 203.0.113.1");
  const v1::Explanation refused =
      explain("source: '203.0.113.1' destination: '198.51.100.7' protocol: 'tcp' destination_port: 53");
  EXPECT_EQ(refused.reason(), "source_not_permitted");
  EXPECT_EQ(refused.source().way(), v1::ExplainedSide::REFUSED);
}

TEST_F(Explain, AnEntryLetsTheAnswerIn) {
  permit("rules { name: 'dns' direction: OUTBOUND protocol: 'udp' remote { any: true } }");
  const BindingRecord& record = *plane_.find(View::local, asked_eip);
  FlowEntry entry{.key = SideTuple::of(asked_eip, client, Port::from_host(4000), Port::from_host(53),
                                       ip_protocol::udp, 0),
                  .expires_ms = now_ms + 5000,
                  .owned_by = record.id,
                  .owner_stamp = record.stamp,
                  .state = FlowState::opening};
  ASSERT_NE(plane_.flows().insert(entry, plane_.flows().hash(entry.key), now_ms), FlowTable::none);
  flows_ = 1;
  const std::string answer =
      "source: '198.51.100.7' destination: '203.0.113.1' protocol: 'udp' source_port: 53 destination_port: ";
  const v1::Explanation told = explain(answer + "4000");
  EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED);
  EXPECT_EQ(told.destination().way(), v1::ExplainedSide::FLOW_ENTRY);
  EXPECT_EQ(told.destination().rule(), "");
  EXPECT_TRUE(told.destination().flow_entry().opened_by_endpoint());
  EXPECT_EQ(told.destination().flow_entry().state(), "opening");
  EXPECT_EQ(told.destination().flow_entry().idle_ms_left(), 5000u);
  EXPECT_EQ(told.destination().entry_use(), v1::ExplainedSide::REFRESHES);
  EXPECT_EQ(stage(told, "admit").detail(), "203.0.113.1 in: flow entry that it has opened itself");
  EXPECT_EQ(
      plane_.flows().entry(plane_.flows().find(entry.key, plane_.flows().hash(entry.key), now_ms)).expires_ms,
      now_ms + 5000);
  EXPECT_EQ(explain(answer + "4001").reason(), "destination_not_permitted");
}

TEST_F(Explain, BothListsOfTwoEndpointsAreAsked) {
  add_vm("acme", "db", 3);
  permit("rules { name: 'out' direction: OUTBOUND remote { any: true } }");
  const v1::Explanation told =
      explain("source: 'tenants/acme/vms/web' destination: '203.0.113.2' protocol: 'icmp'");
  EXPECT_EQ(told.reason(), "destination_not_permitted");
  EXPECT_EQ(told.source().way(), v1::ExplainedSide::RULE);
  EXPECT_EQ(told.destination().way(), v1::ExplainedSide::REFUSED);
  EXPECT_EQ(stage(told, "admit").detail(),
            "203.0.113.1 out: rule out; 203.0.113.2 in: no rule and no flow entry permits it");
  const v1::Explanation back =
      explain("source: 'tenants/acme/vms/db' destination: '203.0.113.1' protocol: 'icmp'");
  EXPECT_EQ(back.reason(), "source_not_permitted");
  // Nobody has asked it.
  EXPECT_EQ(back.destination().way(), v1::ExplainedSide::WAY_UNSPECIFIED);
}

TEST_F(Explain, ARuleOfALongListIsNamed) {
  std::string rules;
  for (int port = 1000; port < 1030; ++port) {
    const std::string number = std::to_string(port);
    rules.append("rules { name: 'p").append(number);
    rules.append("' direction: INBOUND protocol: 'udp' remote { any: true } local_ports { first: ");
    rules.append(number).append(" last: ").append(number).append(" } } ");
  }
  permit(rules);
  for (int port = 1000; port < 1030; ++port) {
    const std::string number = std::to_string(port);
    const v1::Explanation told = explain(
        "source: '198.51.100.7' destination: '203.0.113.1' protocol: 'udp' destination_port: " + number);
    EXPECT_EQ(told.destination().rule(), "p" + number);
  }
}

TEST_F(Explain, ATooShortTtlIsAnswered) {
  permit(web_rule);
  const v1::Explanation told = explain(web_syn + " ttl: 1");
  EXPECT_EQ(told.fate(), v1::Explanation::ANSWERED);
  EXPECT_EQ(told.reason(), "ttl_exceeded");
  EXPECT_EQ(told.sent().port(), "ports/wan");
  EXPECT_EQ(stage(told, "route").verdict(), v1::ExplainedStage::ANSWERED);
  EXPECT_EQ(stages(told).back(), "transmit");
  const auto ip = header_at<Ipv4Header>(told.sent().data(), sizeof(EthernetHeader));
  EXPECT_EQ(ip.protocol, ip_protocol::icmp);
  EXPECT_EQ(ip.destination, client);
}

TEST_F(Explain, LengthMeetsTheMtu) {
  permit(web_rule);
  EXPECT_EQ(explain(web_syn + " length: 1500").fate(), v1::Explanation::TRANSMITTED);
  const v1::Explanation told = explain(web_syn + " length: 1501");
  EXPECT_EQ(told.received().data().size(), 1501 + sizeof(EthernetHeader));
  EXPECT_EQ(told.reason(), "packet_too_big");
}

TEST_F(Explain, VmsBehindTagsAndTunnelsSendByThem) {
  struct Row {
    const char* port;
    const char* encapsulation;
    size_t bytes;  // before the inner frame, or behind its MACs
  };
  int host = 20;
  for (const Row& row : {Row{"vm0", "vlan { outer: 100 }", 4}, Row{"vm0", "vlan { outer: 100 inner: 7 }", 8},
                         Row{"hosts", "vxlan { remote: '192.0.2.7' vni: 5000 }", 50},
                         Row{"hosts", "geneve { remote: '192.0.2.7' vni: 5001 }", 50}}) {
    SCOPED_TRACE(row.encapsulation);
    const std::string id = "vm" + std::to_string(++host);
    get<v1::CreateVmResponse, v1::CreateVmRequest>(
        "ProviderService/CreateVm", "vm { name: 'tenants/acme/vms/" + id + "' location { port: '" + row.port +
                                        "' mac: '02:00:00:00:00:09' " + row.encapsulation +
                                        " } dip: '10.0.0." + std::to_string(host) + "' }");
    const auto own = get<v1::RequestEipResponse, v1::RequestEipRequest>("TenantService/RequestEip",
                                                                        "vm: 'tenants/acme/vms/" + id + "'");
    get<v1::SetPermitListResponse, v1::SetPermitListRequest>(
        "TenantService/SetPermitList",
        "eip: '" + own.eip().name() + "' rules { name: 'out' direction: OUTBOUND remote { any: true } }");
    const v1::Explanation told =
        explain("source: 'tenants/acme/vms/" + id + "' destination: '198.51.100.7' protocol: 'icmp'");
    EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED) << told.DebugString();
    EXPECT_EQ(told.source().vm(), "tenants/acme/vms/" + id);
    EXPECT_EQ(told.received().data().size(), told.sent().data().size() + row.bytes);
  }
}

// What the worker has named by then is a rule of the list before; what it has not found may be there.
TEST_F(Explain, WhatIsPublishedMeanwhileIsNotMixedUp) {
  permit(web_rule);
  after_asking = [&] {
    permit("rules { name: 'other' direction: INBOUND protocol: 'tcp' remote { any: true } }");
  };
  const v1::Explanation told = explain(web_syn);
  EXPECT_FALSE(after_asking);
  EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED);
  EXPECT_EQ(told.destination().rule(), "other") << told.DebugString();
  after_asking = [&] {
    get<v1::MoveVmResponse, v1::MoveVmRequest>(
        "ProviderService/MoveVm",
        "name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:77' }");
  };
  permit("rules { name: 'out' direction: OUTBOUND remote { any: true } }");
  EXPECT_EQ(explain("source: 'tenants/acme/vms/web' destination: '198.51.100.7' protocol: 'gre'").fate(),
            v1::Explanation::TRANSMITTED)
      << "as it sends from where it is now";
}

// Of a list that changes each time the packet is told of as it was judged, without a name.
TEST_F(Explain, AListThatNeverRestsHasNoNameForItsRule) {
  int n = 0;
  const std::function<void()> change = [&] {
    permit("rules { name: 'rule" + std::to_string(++n) +
           "' direction: INBOUND protocol: 'tcp' remote { any: true } }");
    after_asking = change;
  };
  change();
  const v1::Explanation told = explain(web_syn);
  after_asking = {};
  EXPECT_EQ(n, 1 + 5) << "it is asked five times";
  EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED);
  EXPECT_EQ(told.destination().rule(), "");
  EXPECT_EQ(stage(told, "admit").detail(), "203.0.113.1 in: a rule of its list before the last change");
}

// A worker that does not answer holds nobody else up.
TEST_F(Explain, OtherCallsDoNotWaitForTheWorker) {
  permit(web_rule);
  after_asking = [&] {
    EXPECT_TRUE(call<v1::GetGatewayRequest>("ObserveService/GetGateway", "").status.ok());
    permit(web_rule);
  };
  EXPECT_EQ(explain(web_syn).fate(), v1::Explanation::TRANSMITTED);
}

TEST_F(Explain, AFrameIsTakenAsItIs) {
  permit(web_rule);
  v1::ExplainRequest request;
  *request.mutable_frame() = explain(web_syn).received();
  const auto told = [&] {
    v1::Explanation explanation;
    EXPECT_TRUE(explanation.ParseFromString(call("ObserveService/Explain", request).bytes));
    return explanation;
  };
  EXPECT_EQ(told().fate(), v1::Explanation::TRANSMITTED);
  (*request.mutable_frame()->mutable_data())[sizeof(EthernetHeader) + 8] ^= 1;  // its TTL
  EXPECT_EQ(told().reason(), "ip_checksum");
  request.mutable_frame()->set_data("x");
  EXPECT_EQ(told().reason(), "truncated");
  EXPECT_EQ(told().received().data(), "x");
}

TEST_F(Explain, ProtocolsAndFamiliesAreWhole) {
  get<v1::CreatePoolResponse, v1::CreatePoolRequest>(
      "ProviderService/CreatePool", "pool { name: 'pools/six' prefix: '2001:db8:1::/120' kind: LOCAL }");
  get<v1::CreateVmResponse, v1::CreateVmRequest>("ProviderService/CreateVm",
                                                 "vm { name: 'tenants/acme/vms/six' location { port: 'vm0' "
                                                 "mac: '02:00:00:00:00:06' } dip6: 'fd00::6' }");
  const auto six = get<v1::RequestEipResponse, v1::RequestEipRequest>("TenantService/RequestEip",
                                                                      "vm: 'tenants/acme/vms/six'");
  const std::string all = " rules { name: 'all' direction: INBOUND remote { any: true } }";
  get<v1::SetPermitListResponse, v1::SetPermitListRequest>("TenantService/SetPermitList",
                                                           "eip: '" + six.eip().name() + "'" + all);
  permit(all);
  const std::string address6 = six.eip().name().substr(six.eip().name().rfind('/') + 1);
  for (const char* protocol : {"tcp", "udp", "sctp", "gre", "esp", "ah", "99"}) {
    EXPECT_EQ(
        explain(std::string("source: '198.51.100.7' destination: '203.0.113.1' protocol: '") + protocol + "'")
            .fate(),
        v1::Explanation::TRANSMITTED)
        << protocol;
    const v1::Explanation told =
        explain("source: '2001:db8::7' destination: '" + address6 + "' protocol: '" + protocol + "'");
    EXPECT_EQ(told.fate(), v1::Explanation::TRANSMITTED) << protocol;
    EXPECT_EQ(told.destination().eip(), six.eip().name());
    EXPECT_EQ(told.destination().rule(), "all");
  }
  EXPECT_EQ(explain("source: '2001:db8::7' destination: '" + address6 + "' protocol: 'icmpv6'").fate(),
            v1::Explanation::TRANSMITTED);
  EXPECT_EQ(explain("source: '2001:db8::7' destination: '" + address6 + "' protocol: 'icmp'").reason(),
            "unknown_protocol");
}

}  // namespace
}  // namespace portcullis::service
