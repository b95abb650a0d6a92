// What a packet has met, in words: so that a run of random worlds can say whether it has met enough.
#include "tests/model/reference_packet.h"

namespace portcullis::reference {
namespace {

// Rules of a list that no gateway would search one by one.
constexpr size_t many_rules = 40;

std::string kind_of(uint8_t protocol, uint8_t icmp_type) {
  if (is_icmp(protocol)) return is_query(protocol, icmp_type) ? "ICMP query" : "ICMP reply";
  return protocol == tcp ? "TCP" : protocol == udp ? "UDP" : protocol == sctp ? "SCTP" : "other protocol";
}

}  // namespace

std::string name_of(IpFamily family) {
  return family == IpFamily::ipv4 ? "IPv4" : "IPv6";
}

std::string name_of(const Encapsulation& link) {
  if (const auto* tags = std::get_if<VlanTags>(&link)) return tags->inner == 0 ? "VLAN" : "QinQ";
  const auto* tunnel = std::get_if<Tunnel>(&link);
  if (tunnel == nullptr) return "untagged";
  return (tunnel->protocol == TunnelProtocol::vxlan ? "VXLAN over " : "Geneve over ") +
         name_of(tunnel->remote.family());
}

void Gateway::note_events(const Packet& packet, const Verdict& verdict) {
  if (packet.kind == FrameKind::arp && verdict.fate == Fate::answered)
    ++counts_.events["ARP answered: " + name_of(packet.link)];
  if (packet.kind == FrameKind::arp && verdict.fate == Fate::punted)
    ++counts_.events["ARP punted: " + std::string(setup_.ports[packet.in].uplink ? "uplink" : "underlay")];
  if (!packet.family) return;
  const std::string family = name_of(*packet.family);
  const auto note = [&](const std::string& what) { ++counts_.events[family + " " + what]; };
  const bool arrived_outside = setup_.ports[packet.in].uplink;
  if (!verdict.reason.empty()) note("dropped: " + verdict.reason);
  if (verdict.fate == Fate::answered)
    note(verdict.reason.empty()
             ? std::string("answered: Neighbor Discovery")
             : "told " + std::string(arrived_outside ? "outside: " : "inside: ") + verdict.reason);
  const bool is_linked = !std::holds_alternative<std::monostate>(packet.link);
  if (verdict.fate == Fate::answered && is_linked)
    note((verdict.reason.empty() ? "answered by " : "told by ") + name_of(packet.link));
  if (verdict.fate == Fate::punted && !arrived_outside) note("punted: underlay");
  if (verdict.fate == Fate::punted)
    note(packet.kind == FrameKind::neighbor ? "punted: Neighbor Discovery" : "punted: packet");
  for (const Side* side : {&packet.from, &packet.to})
    if (!side->judgement.permitted && !side->judgement.way.empty()) note("refused: " + side->judgement.way);
  if (verdict.fate != Fate::transmitted) return;

  const bool leaves = packet.to.owner == nullptr;
  const std::string way = arrived_outside ? "in" : leaves ? "out" : "between endpoints";
  const bool is_translated = (packet.from.owner != nullptr && packet.from.owner->address != packet.source) ||
                             (packet.to.owner != nullptr && dip_of(*packet.to.owner) != packet.destination);
  note("passed " + way);
  if (is_linked) note("passed from " + name_of(packet.link));
  if (packet.was_congested) note("passed: congestion told inside");
  if (packet.had_inner_tags) note("passed: inner tags taken off");
  if (!std::holds_alternative<std::monostate>(packet.out_link)) note("passed to " + name_of(packet.out_link));
  note(is_translated ? "passed: translated" : "passed: as it was");
  for (const Side* side : {&packet.from, &packet.to})
    if (side->owner != nullptr) {
      note("passed: " + side->judgement.way);
      if (side->judgement.hit && side->owner->permit.size() > many_rules)
        note("passed: by one of many rules");
    }
  if (packet.quote)
    note("passed " + way + ": error about " + kind_of(packet.quote->protocol, packet.quote->icmp_type));
  else
    note("passed " + way + ": " + kind_of(packet.protocol, packet.icmp_type));
  if (packet.is_fragment) note("passed " + way + (packet.is_first ? ": first fragment" : ": later fragment"));
  if (packet.is_ipv6() && !packet.is_fragment && packet.transport_at != ip_at + ipv6_bytes)
    note("passed: behind extension headers");
}

}  // namespace portcullis::reference
