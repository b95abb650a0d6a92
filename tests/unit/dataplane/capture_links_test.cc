// Captures of endpoints behind VLANs and tunnels.
#include <functional>
#include <map>
#include <string>
#include <variant>

#include "dataplane/capture/capture.h"
#include "tests/unit/dataplane/pipeline_links_rows.h"

namespace portcullis {
namespace {

// All four have one private address and one MAC: whose a packet is says its link alone.
TEST_F(LinkRows, AFilterOfCapturesKnowsAnEndpointByItsLink) {
  const auto captures = *Captures::create(*tables_, rcu_.get(), {-1}, 1500);
  const auto in_vxlan = [](const Bytes& frame) { return build(outer(vxlan_header() + frame)); };
  const auto in_geneve = [](const Bytes& frame) { return build(outer6(geneve_header() + frame)); };
  struct Row {
    Ipv4Addr eip;
    testing::RingPort& port;
    Encapsulation encapsulation;
    std::function<Bytes(const Bytes&)> carried;
  };
  const Row rows[] = {
      {tagged, first(), VlanTags{100},
       [](const Bytes& frame) {
         return with_tags(frame, {{0x8100, 100}});
       }},
      {double_tagged, first(), VlanTags{200, 30},
       [](const Bytes& frame) {
         return with_tags(frame, {{0x88a8, 200}, {0x8100, 30}});
       }},
      {behind_vxlan, second(), Tunnel{TunnelProtocol::vxlan, remote, vni}, in_vxlan},
      {behind_geneve, second(), Tunnel{TunnelProtocol::geneve, remote6, geneve_vni}, in_geneve}};
  for (const Row& asked : rows) {
    CaptureFilter filter;
    filter.fates.fill(true);
    filter.reasons.fill(true);
    filter.ports.fill(true);
    filter.endpoint = {.eip = asked.eip,
                       .dip = dip,
                       .mac = vm_mac,
                       .port = asked.port.id(),
                       .encapsulation = asked.encapsulation,
                       .link = tables_->links.find(LinkKey::of(asked.port.id(), asked.encapsulation))};
    for (const Row& row : rows) {
      SCOPED_TRACE(asked.eip.to_string() + " asked for, " + row.eip.to_string() + " seen");
      auto session = captures->begin(filter);
      ASSERT_TRUE(session);
      const Bytes plain = build(from_vm(row.port));
      const bool is_tunnel = std::holds_alternative<Tunnel>(row.encapsulation);
      EXPECT_EQ(pass(row.port, row.carried(plain)).size(), 1u);
      EXPECT_EQ(pass(uplink(), build(to(row.eip))).size(), 1u);
      expect_drop("without its headers", row.port,
                  row.carried(edited(plain, testing::ip_at + 10, {0xde, 0xad}, false)), Drop::ip_checksum);
      expect_drop("of no link", row.port, with_tags(plain, {{0x8100, 101}}), Drop::vlan_unknown);
      expect_drop("a priority", row.port, with_tags(plain, {{0x8100, 0}}), Drop::vlan_unknown);
      expect_drop("and one more", row.port, with_tags(plain, {{0x8100, 100}, {0x8100, 0}}),
                  Drop::vlan_unknown);
      if (is_tunnel)
        expect_drop("and with a tag inside", row.port, row.carried(with_tags(plain, {{0x8100, 7}})),
                    Drop::tunnel_inner_vlan);
      std::map<Fate, int> seen;
      while (const Copy copy = session->take()) ++seen[note_of(*copy).fate];
      using enum Fate;
      const int lost = is_tunnel ? 2 : 1;
      EXPECT_EQ(seen,
                (&asked == &row ? std::map<Fate, int>{{received, 2 + lost}, {transmitted, 2}, {dropped, lost}}
                                : std::map<Fate, int>{}));
      worker_->offline();
      session->stop();
      worker_->online();
    }
  }
}

}  // namespace
}  // namespace portcullis
