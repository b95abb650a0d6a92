#include "tests/model/reference.h"

#include <algorithm>
#include <tuple>

#include "tests/model/reference_ipv6.h"

namespace portcullis::reference {
namespace {

using model::Direction;
using model::Eip;
using model::PermitRule;
using model::Pool;
using model::PoolKind;

constexpr size_t ethernet_bytes = 14;
constexpr size_t ip_at = ethernet_bytes;
constexpr size_t ip_bytes = 20;
constexpr size_t arp_bytes = 28;

// Replies of the next hop are not to be crowded out by what the gateway's list permits.
constexpr uint32_t next_hop_replies_a_second = 64;

constexpr uint8_t icmp = 1, tcp = 6, udp = 17, sctp = 132;
constexpr uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20;
constexpr uint8_t echo_reply = 0, echo = 8, timestamp = 13, timestamp_reply = 14;
constexpr uint8_t unreachable = 3, time_exceeded = 11, parameter_problem = 12;

// ICMP errors of one EIP: so many at once, the rest as they fall due, on a clock of 64 ticks a millisecond.
constexpr uint64_t errors_at_once = 32;
constexpr uint64_t error_ticks_per_ms = 64;

constexpr uint8_t sctp_init = 1;
// INIT ACK, HEARTBEAT ACK, ABORT, SHUTDOWN ACK, ERROR, COOKIE ACK, SHUTDOWN COMPLETE.
const std::set<uint8_t> sctp_answers{2, 5, 6, 8, 9, 11, 14};

uint16_t get16(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put16(Bytes& bytes, size_t at, uint16_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

Ipv4Addr get_address(const Bytes& bytes, size_t at) {
  return Ipv4Addr::of(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}

void put_address(Bytes& bytes, size_t at, Ipv4Addr address) {
  put16(bytes, at, static_cast<uint16_t>(address.host() >> 16));
  put16(bytes, at + 2, static_cast<uint16_t>(address.host()));
}

Mac get_mac(const Bytes& bytes, size_t at) {
  Mac mac;
  for (size_t i = 0; i < 6; ++i) mac.bytes[i] = bytes[at + i];
  return mac;
}

void put_mac(Bytes& bytes, size_t at, Mac mac) {
  for (size_t i = 0; i < 6; ++i) bytes[at + i] = mac.bytes[i];
}

// RFC 791: the checksum that makes the header sum to minus zero, its own field taken as zero.
uint16_t header_checksum(const Bytes& bytes, size_t at, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i < length; i += 2)
    if (i != 10) sum += get16(bytes, at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// The checksum that is wrong by exactly as much as `old` was, after the words summed in `before` have become
// those summed in `after`. In one's complement arithmetic numbers are residues modulo 0xffff; a sum in which
// something was added is never plus zero, so a checksum that was changed is never 0xffff.
uint16_t moved_checksum(uint16_t old, uint64_t before, uint64_t after) {
  const uint64_t total = (uint64_t{0xffff} - old) % 0xffff + after % 0xffff + (0xffff - before % 0xffff);
  const uint64_t residue = total % 0xffff;
  return static_cast<uint16_t>(residue == 0 ? 0 : 0xffff - residue);
}

uint64_t words_of(Ipv4Addr address) {
  return (address.host() >> 16) + (address.host() & 0xffff);
}

// Never the source or destination of a routed packet: "this network", loopback, link-local, multicast, and
// the reserved block with the broadcast address.
bool is_martian(Ipv4Addr a) {
  const uint32_t first = a.host() >> 24;
  const uint32_t second = a.host() >> 16 & 0xff;
  return first == 0 || first == 127 || (first == 169 && second == 254) || first >= 224;
}

bool is_query(uint8_t type) {
  return type == echo || type == timestamp;
}
bool is_reply(uint8_t type) {
  return type == echo_reply || type == timestamp_reply;
}
bool is_error(uint8_t type) {
  return type == unreachable || type == time_exceeded || type == parameter_problem;
}
bool has_ports(uint8_t protocol) {
  return protocol == tcp || protocol == udp || protocol == sctp;
}
// Hop-by-hop options, routing, fragment, ICMPv6, no next header, destination options; reserved.
bool is_meaningless(uint8_t protocol) {
  return (std::set<uint8_t>{0, 43, 44, 58, 59, 60, 255}).contains(protocol);
}
uint8_t query_of_reply(uint8_t type) {
  return type == echo_reply ? echo : timestamp;
}

FlowState after_opener(FlowState state, uint8_t flags) {
  if ((flags & (rst | fin)) != 0) return FlowState::closing;
  if ((flags & syn) != 0 && state == FlowState::closing) return FlowState::opening;
  return state;
}

FlowState after_reply(FlowState state, uint8_t flags) {
  if ((flags & (rst | fin)) != 0) return FlowState::closing;
  return state == FlowState::opening ? FlowState::established : state;
}

// Lists have no order, and neither have the prefixes and tags of a rule.
std::vector<PermitRule> canonical(std::vector<PermitRule> rules) {
  const auto sort_unique = [](auto& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
  };
  for (PermitRule& rule : rules) {
    if (auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) sort_unique(*prefixes);
    if (auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) sort_unique(*tags);
  }
  std::ranges::sort(rules, {}, &PermitRule::name);
  return rules;
}

}  // namespace

bool TupleLess::operator()(const SideTuple& a, const SideTuple& b) const {
  const auto fields = [](const SideTuple& t) {
    return std::tuple(t.local.host(), t.remote.host(), t.local_port.host(), t.remote_port.host(), t.protocol,
                      t.icmp_query);
  };
  return fields(a) < fields(b);
}

// What one side's list is asked about one packet.
struct Gateway::Question {
  Direction direction;
  Ipv4Addr remote;
  const Eip* remote_eip;
  uint8_t protocol;
  uint16_t local_port, remote_port;
  uint8_t icmp_type, icmp_code;
};

struct Gateway::Judgement {
  bool permitted = false;
  bool touches = false;            // the entry of its tuple is refreshed, if there is a valid one
  bool may_open = false;           // and opened, if there is none
  std::optional<std::string> hit;  // the rule that decided
};

struct Gateway::Side {
  const Eip* owner = nullptr;  // null: this side does not exist
  const Eip* remote = nullptr;
  Ipv4Addr remote_address;
  bool leaving = false;
  Judgement judgement;

  [[nodiscard]] Direction direction() const { return leaving ? Direction::outbound : Direction::inbound; }
};

// What an ICMP error says of the packet that it is about.
struct Gateway::Quote {
  size_t ip_at = 0, transport_at = 0, end = 0;
  Ipv4Addr source, destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // ICMP: the identifier, twice
  uint8_t icmp_type = 0, icmp_code = 0;

  // Ports alone do not tell whether TCP asked for a connection.
  [[nodiscard]] bool may_be_reply() const {
    return protocol == icmp ? is_reply(icmp_type) : has_ports(protocol);
  }
};

struct Gateway::Packet {
  PortNumber in = 0;
  Bytes bytes;
  uint32_t first_segment = 0;
  // parse
  bool is_arp = false;
  Bytes neighbor_answer;  // of a Neighbor Solicitation; else empty
  Mac sender;
  Ipv4Addr source, destination;
  uint16_t length = 0;  // IPv4 total length
  uint8_t ttl = 0;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // ICMP: the identifier, twice
  uint8_t tcp_flags = 0;
  uint8_t icmp_type = 0, icmp_code = 0;
  uint8_t sctp_chunk = 0;  // type of the first one
  size_t transport_at = 0;
  std::optional<Quote> quote;  // of ICMP errors
  bool is_fragment = false, is_first = true, is_last = true;
  uint16_t identification = 0;
  uint32_t first_part = 0, end_part = 0;  // of eight bytes
  // identify, admit
  Side from, to;
  // route
  PortNumber out = 0;

  // A SYN without ACK, an INIT: what asks for a connection is no reply.
  [[nodiscard]] bool asks_for_connection() const {
    return protocol == sctp ? sctp_chunk == sctp_init : protocol == tcp && (tcp_flags & (syn | ack)) == syn;
  }
  // Without state only these can be told to be replies.
  [[nodiscard]] bool may_be_reply() const {
    if (protocol == icmp) return !is_icmp_query();
    return protocol == udp || ((protocol == tcp || protocol == sctp) && !asks_for_connection());
  }
  [[nodiscard]] bool is_icmp_query() const { return protocol == icmp && is_query(icmp_type); }

  [[nodiscard]] bool can_open() const {
    if (protocol == icmp) return is_icmp_query();
    if (protocol == sctp) return !sctp_answers.contains(sctp_chunk);
    if (protocol != tcp) return true;
    return asks_for_connection() || ((tcp_flags & ack) != 0 && (tcp_flags & (syn | rst | fin)) == 0);
  }

  [[nodiscard]] SideTuple key(const Side& side) const {
    SideTuple key;
    key.local = side.owner->address.v4();
    key.remote = side.remote_address;
    key.local_port = Port::from_host(side.leaving ? source_port : destination_port);
    key.remote_port = Port::from_host(side.leaving ? destination_port : source_port);
    key.protocol = protocol;
    if (protocol == icmp) key.icmp_query = is_icmp_query() ? icmp_type : query_of_reply(icmp_type);
    return key;
  }

  [[nodiscard]] Question ask(const Side& side) const {
    return {side.direction(),
            side.remote_address,
            side.remote,
            protocol,
            side.leaving ? source_port : destination_port,
            side.leaving ? destination_port : source_port,
            icmp_type,
            icmp_code};
  }
};

Gateway::Gateway(Setup setup, model::Generation generation) : setup_(std::move(setup)) {
  state_.generation = generation;
  const size_t ports = setup_.ports.size();
  for (size_t i = 0; i < ports; ++i)
    if (setup_.ports[i].uplink) uplink_ = i;
  room_.assign(ports, UINT64_MAX);
  waiting_.resize(ports);
  for (const PortSetup& port : setup_.ports) {
    punt_meters_.push_back({.rate = port.punt_rate});
    next_hop_meters_.push_back({.rate = next_hop_replies_a_second});
  }
  counts_.ports.resize(ports);
}

// --- desired state ---

void Gateway::create_pool(const Pool& pool) {
  ++state_.generation;
  state_.pools[pool.id] = pool;
}

void Gateway::delete_pool(const std::string& id) {
  ++state_.generation;
  state_.pools.erase(id);
}

void Gateway::create_vm(const model::Vm& vm) {
  ++state_.generation;
  state_.vms[{vm.tenant, vm.id}] = vm;
}

void Gateway::move_vm(const model::VmKey& key, const model::Location& location) {
  ++state_.generation;
  state_.vms.at(key).location = location;
  for (auto& [address, eip] : state_.eips)
    if (model::VmKey(eip.tenant, eip.vm) == key) eip.binding_generation = state_.generation;
}

void Gateway::delete_vm(const model::VmKey& key) {
  ++state_.generation;
  state_.vms.erase(key);
}

void Gateway::request_eip(const model::VmKey& vm, Ipv4Addr address) {
  ++state_.generation;
  Eip eip;
  eip.address = address;
  eip.tenant = vm.first;
  eip.vm = vm.second;
  eip.created = eip.binding_generation = eip.list_generation = eip.kept_from = state_.generation;
  state_.eips[address] = eip;
  eip_counts_.erase(address);
  hits_.erase(address);
}

void Gateway::release_eip(Ipv4Addr address) {
  ++state_.generation;
  state_.eips.erase(address);
}

void Gateway::set_permit_list(Ipv4Addr address, std::vector<PermitRule> rules, bool keep_established) {
  Eip& eip = state_.eips.at(address);
  rules = canonical(std::move(rules));
  if (rules == eip.permit && (keep_established || !eip.keep_established)) return;
  const std::vector<PermitRule> old = std::exchange(eip.permit, std::move(rules));
  eip.list_generation = ++state_.generation;
  eip.keep_established = keep_established;
  if (!keep_established) eip.kept_from = eip.list_generation;
  // Hits stay with the rules that stayed.
  std::erase_if(hits_[address], [&](const auto& hit) {
    const auto named = [&](const PermitRule& rule) { return rule.name == hit.first; };
    const auto before = std::ranges::find_if(old, named);
    const auto after = std::ranges::find_if(eip.permit, named);
    return before == old.end() || after == eip.permit.end() || *before != *after;
  });
}

void Gateway::set_tag(Ipv4Addr address, std::set<std::string> tags) {
  Eip& eip = state_.eips.at(address);
  if (tags == eip.tags) return;
  eip.tags = std::move(tags);
  eip.binding_generation = ++state_.generation;
}

void Gateway::end_keep(Ipv4Addr address) {
  Eip& eip = state_.eips.at(address);
  if (!eip.keep_established) return;
  ++state_.generation;
  eip.keep_established = false;
  eip.kept_from = eip.list_generation;
}

bool Gateway::may_keep(Ipv4Addr address, const std::vector<PermitRule>& list) const {
  const std::vector<PermitRule> rules = canonical(list);
  for (PermitRule old : state_.eips.at(address).permit) {
    if (old.direction == Direction::outbound || old.tracked) continue;
    const bool stays = std::ranges::any_of(rules, [&](const PermitRule& rule) {
      old.name = rule.name;
      return old == rule;
    });
    if (!stays) return false;
  }
  return true;
}

// --- parse ---

std::optional<std::string> Gateway::parse(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const PortSetup& port = setup_.ports[packet.in];
  // Whether the first `end` bytes lie in one buffer.
  const auto together = [&](size_t end) { return packet.first_segment == 0 || end <= packet.first_segment; };
  if (b.size() < ethernet_bytes) return "truncated";
  if (!together(ethernet_bytes)) return "headers_not_contiguous";
  const uint16_t type = get16(b, 12);
  if (type == 0x86dd) {
    const Ipv6Fate fate = fate_of(
        {.bytes = b, .first_segment = packet.first_segment, .from_uplink = port.uplink, .port = port.mac});
    packet.neighbor_answer = fate.answer;
    return fate.reason;
  }
  if (type != 0x0800 && type != 0x0806) return "unknown_ether_type";
  packet.is_arp = type == 0x0806;
  packet.sender = get_mac(b, 6);
  const Mac to = get_mac(b, 0);
  if (to != port.mac && !(packet.is_arp && to == broadcast_mac)) return "wrong_destination_mac";
  const size_t present = b.size() - ethernet_bytes;

  if (packet.is_arp) {
    if (present < arp_bytes) return "arp_malformed";
    if (!together(ethernet_bytes + arp_bytes)) return "headers_not_contiguous";
    if (get16(b, 14) != 1 || get16(b, 16) != 0x0800 || b[18] != 6 || b[19] != 4) return "arp_malformed";
    return std::nullopt;
  }

  if (present < ip_bytes) return "truncated";
  if (!together(ip_at + ip_bytes)) return "headers_not_contiguous";
  if (b[ip_at] >> 4 != 4) return "ip_version";
  const size_t header = size_t{b[ip_at] & 0xfu} * 4;
  if (header < ip_bytes || header > present) return "ip_header_length";
  packet.length = get16(b, ip_at + 2);
  if (packet.length < header || packet.length > present) return "ip_total_length";
  if (!together(ip_at + header)) return "headers_not_contiguous";
  const uint16_t checksum = get16(b, ip_at + 10);
  const uint16_t right = header_checksum(b, ip_at, header);
  // Plus and minus zero are one number.
  if (checksum % 0xffff != right % 0xffff) return "ip_checksum";
  for (size_t at = ip_at + ip_bytes; at < ip_at + header && b[at] != 0;) {
    if (b[at] == 131 || b[at] == 137) return "ip_source_route";  // loose, strict
    if (b[at] == 1) {
      ++at;  // no operation
      continue;
    }
    const size_t left = ip_at + header - at;
    if (left < 2 || b[at + 1] < 2 || b[at + 1] > left) return "ip_options";
    at += b[at + 1];
  }
  packet.transport_at = ip_at + header;
  packet.source = get_address(b, ip_at + 12);
  packet.destination = get_address(b, ip_at + 16);
  if (is_martian(packet.source)) return "martian_source";
  if (is_martian(packet.destination)) return "martian_destination";
  packet.ttl = b[ip_at + 8];
  packet.protocol = b[ip_at + 9];
  if ((get16(b, ip_at + 6) & 0x3fff) == 0) return parse_transport(packet);  // no more follow, and no offset
  if (auto refused = parse_fragment(packet)) return refused;
  return packet.is_first ? parse_transport(packet) : std::nullopt;
}

// RFC 791: a part of a datagram, which says where it belongs. Only the first has the transport's header, and
// must have it whole.
std::optional<std::string> Gateway::parse_fragment(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const uint16_t field = get16(b, ip_at + 6);
  const size_t offset = size_t{field & 0x1fffu} * 8;
  const size_t length = ip_at + packet.length - packet.transport_at;
  packet.is_fragment = true;
  packet.is_first = offset == 0;
  packet.is_last = (field & 0x2000) == 0;
  packet.identification = get16(b, ip_at + 4);
  if (length == 0 || (!packet.is_last && length % 8 != 0) ||
      packet.transport_at - ip_at + offset + length > 65535)
    return "fragment_length";
  const size_t header = packet.protocol == tcp                              ? 20
                        : packet.protocol == sctp                           ? 16
                        : packet.protocol == udp || packet.protocol == icmp ? 8
                                                                            : 0;
  if (packet.is_first && length < header) return "fragment_short";
  if (!packet.is_first && offset < header) return "fragment_offset";
  if (!packet.is_first && is_meaningless(packet.protocol)) return "unknown_protocol";
  packet.first_part = static_cast<uint32_t>(offset / 8);
  packet.end_part = static_cast<uint32_t>((offset + length + 7) / 8);
  const bool type_in_sight = packet.first_segment == 0 || packet.transport_at + 1 <= packet.first_segment;
  if (packet.is_first && packet.protocol == icmp && type_in_sight && is_error(b[packet.transport_at]))
    return "icmp_error_quote";
  return std::nullopt;
}

std::optional<std::string> Gateway::parse_transport(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const size_t transport_at = packet.transport_at;
  // A first fragment speaks of more than it has.
  const size_t length = packet.is_fragment ? 65535 : packet.length + ip_at - transport_at;
  const auto together = [&](size_t header) {
    return packet.first_segment == 0 || transport_at + header <= packet.first_segment;
  };
  switch (packet.protocol) {
    case tcp: {
      if (length < 20) return "tcp_header";
      if (!together(20)) return "headers_not_contiguous";
      const size_t header = size_t{b[transport_at + 12]} / 16 * 4;
      if (header < 20 || header > length) return "tcp_header";
      packet.tcp_flags = b[transport_at + 13];
      const uint8_t flags = packet.tcp_flags & (fin | syn | rst | psh | ack | urg);
      if (flags == 0 || (flags & (syn | fin)) == (syn | fin) || (flags & (syn | rst)) == (syn | rst))
        return "tcp_flags";
      packet.source_port = get16(b, transport_at);
      packet.destination_port = get16(b, transport_at + 2);
      return std::nullopt;
    }
    case udp: {
      if (length < 8) return "udp_length";
      if (!together(8)) return "headers_not_contiguous";
      const uint16_t udp_length = get16(b, transport_at + 4);
      if (udp_length < 8 || udp_length > length) return "udp_length";
      packet.source_port = get16(b, transport_at);
      packet.destination_port = get16(b, transport_at + 2);
      return std::nullopt;
    }
    case icmp:
      if (length < 8) return "icmp_header";
      if (!together(8)) return "headers_not_contiguous";
      packet.icmp_type = b[transport_at];
      packet.icmp_code = b[transport_at + 1];
      if (is_error(packet.icmp_type)) return parse_quote(packet);
      if (!is_query(packet.icmp_type) && !is_reply(packet.icmp_type)) return "icmp_type";
      packet.source_port = packet.destination_port = get16(b, transport_at + 4);
      return std::nullopt;
    case sctp:
      if (length < 16) return "sctp_header";
      if (!together(16)) return "headers_not_contiguous";
      packet.source_port = get16(b, transport_at);
      packet.destination_port = get16(b, transport_at + 2);
      packet.sctp_chunk = b[transport_at + 12];
      return std::nullopt;
    default:  // by address
      return is_meaningless(packet.protocol) ? std::optional<std::string>("unknown_protocol") : std::nullopt;
  }
}

// RFC 792: an error quotes the header of the packet that it is about, and at least eight bytes more. Errors
// are sent to who sent that packet, and never about other errors or about fragments after the first (RFC
// 1122).
std::optional<std::string> Gateway::parse_quote(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const size_t end = ip_at + packet.length;
  const auto together = [&](size_t to) { return packet.first_segment == 0 || to <= packet.first_segment; };
  Quote quote;
  quote.ip_at = packet.transport_at + 8;
  quote.end = end;
  if (end < quote.ip_at + ip_bytes) return "icmp_error_quote";
  if (!together(quote.ip_at + ip_bytes)) return "headers_not_contiguous";
  const size_t header = size_t{b[quote.ip_at] & 0xfu} * 4;
  if (b[quote.ip_at] >> 4 != 4 || header < ip_bytes) return "icmp_error_quote";
  quote.transport_at = quote.ip_at + header;
  if (end < quote.transport_at) return "icmp_error_quote";
  if ((get16(b, quote.ip_at + 6) & 0x1fff) != 0) return "icmp_error_quote";  // not the first fragment
  if (!together(std::min(end, quote.transport_at + 20))) return "headers_not_contiguous";
  quote.source = get_address(b, quote.ip_at + 12);
  quote.destination = get_address(b, quote.ip_at + 16);
  quote.protocol = b[quote.ip_at + 9];
  if (quote.source != packet.destination || is_meaningless(quote.protocol)) return "icmp_error_quote";
  if (has_ports(quote.protocol) || quote.protocol == icmp) {
    if (end < quote.transport_at + 8) return "icmp_error_quote";
    quote.source_port = get16(b, quote.transport_at);
    quote.destination_port = get16(b, quote.transport_at + 2);
  }
  if (quote.protocol == icmp) {
    quote.icmp_type = b[quote.transport_at];
    quote.icmp_code = b[quote.transport_at + 1];
    quote.source_port = quote.destination_port = get16(b, quote.transport_at + 4);
    if (!is_query(quote.icmp_type) && !is_reply(quote.icmp_type)) return "icmp_error_quote";
  }
  packet.quote = quote;
  return std::nullopt;
}

// --- punt ---

// The gateway's own addresses are default-off too.
std::optional<Verdict> Gateway::to_gateway(Packet& packet, uint64_t now_ms) {
  const auto& own = setup_.gateway_addresses;
  if (std::ranges::find(own, packet.destination) == own.end()) return std::nullopt;
  if (!setup_.ports[packet.in].uplink) return drop("gateway_not_permitted");
  if (pool_of(packet.source) != nullptr) return drop("gateway_spoofed_source");
  if (packet.is_fragment) return drop("gateway_not_permitted");
  Eip gateway;
  gateway.permit = setup_.gateway_permit;
  const Question question{Direction::inbound,      packet.source,      nullptr,          packet.protocol,
                          packet.destination_port, packet.source_port, packet.icmp_type, packet.icmp_code};
  if (!match(gateway, question, std::nullopt)) return drop("gateway_not_permitted");
  return punt(packet, punt_meters_[packet.in], now_ms);
}

Verdict Gateway::arp(Packet& packet, uint64_t now_ms) {
  const PortSetup& port = setup_.ports[packet.in];
  Bytes& b = packet.bytes;
  const uint16_t operation = get16(b, 20);
  const Mac sender_mac = get_mac(b, 22);
  const Ipv4Addr sender = get_address(b, 28);
  const Ipv4Addr asked = get_address(b, 38);

  if (operation == 2 && port.uplink && port.next_hop != Ipv4Addr() && sender == port.next_hop)
    return punt(packet, next_hop_meters_[packet.in], now_ms);
  if (operation != 1) return drop("arp_ignored");
  const Pool* pool = pool_of(asked);
  const bool ours = std::ranges::find(setup_.gateway_addresses, asked) != setup_.gateway_addresses.end();
  const bool proxied =
      port.proxy_arp && asked != port.next_hop && pool != nullptr && pool->kind == PoolKind::local;
  const bool next_hop = asked == link_local_next_hop || asked == port.endpoint_next_hop;
  if (port.uplink ? !ours && !proxied : !next_hop) return drop("arp_ignored");

  put_mac(b, 0, sender_mac);
  put_mac(b, 6, port.mac);
  put16(b, 20, 2);
  put_mac(b, 22, port.mac);
  put_address(b, 28, asked);
  put_mac(b, 32, sender_mac);
  put_address(b, 38, sender);
  return {Fate::answered, {}, packet.in, b};
}

Verdict Gateway::punt(const Packet& packet, Meter& meter, uint64_t now_ms) {
  const uint64_t tokens = meter.tokens(now_ms);
  if (tokens < 1000) return drop("punt_rate");
  meter.spent = meter.burst() - tokens + 1000;
  meter.spent_ms = now_ms;
  if (punt_ring_ >= setup_.punt_room) return drop("punt_full");
  ++punt_ring_;
  ++counts_.punted;
  return {Fate::punted, {}, packet.in, packet.bytes};
}

uint64_t Gateway::Meter::tokens(uint64_t now_ms) const {
  const uint64_t gained = (now_ms - spent_ms) * rate;
  return burst() - (gained < spent ? spent - gained : 0);
}

bool Gateway::punt_meters_full(uint64_t now_ms) const {
  const auto full = [&](const Meter& meter) { return meter.tokens(now_ms) == meter.burst(); };
  return std::ranges::all_of(punt_meters_, full) && std::ranges::all_of(next_hop_meters_, full);
}

// --- identify ---

const Pool* Gateway::pool_of(Ipv4Addr address) const {
  for (const auto& [id, pool] : state_.pools)
    if (pool.prefix.contains(address)) return &pool;
  return nullptr;
}

const Eip* Gateway::eip_at(Ipv4Addr address) const {
  const auto found = state_.eips.find(address);
  return found == state_.eips.end() ? nullptr : &found->second;
}

const model::Vm& Gateway::vm_of(const Eip& eip) const {
  return state_.vms.at({eip.tenant, eip.vm});
}

// Whether it reaches outside the local pools, address by address where they cover it in parts.
bool Gateway::is_external(const PermitRule& rule) const {
  if (std::holds_alternative<model::AnyRemote>(rule.remote)) return true;
  const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote);
  if (prefixes == nullptr) return false;
  for (const IpPrefix& prefix : *prefixes) {
    uint64_t covered = 0;
    for (const auto& [id, pool] : state_.pools) {
      if (pool.kind != PoolKind::local || !pool.prefix.overlaps(prefix)) continue;
      covered += std::min(pool.prefix.v4().size(), prefix.v4().size());
    }
    if (covered < prefix.v4().size()) return true;
  }
  return false;
}

bool Gateway::in_edge_view(const Eip& eip) const {
  return eip.keep_established ||
         std::ranges::any_of(eip.permit, [&](const PermitRule& rule) { return is_external(rule); });
}

std::optional<std::string> Gateway::identify(Packet& packet) const {
  packet.from.leaving = true;
  const Pool* pool = pool_of(packet.destination);
  const bool to_local = pool != nullptr && pool->kind == PoolKind::local;
  const Eip* destination = eip_at(packet.destination);

  if (setup_.ports[packet.in].uplink) {
    if (pool_of(packet.source) != nullptr) return "spoofed_pool_source";
    if (!to_local) return "not_ours";
    if (destination == nullptr || !in_edge_view(*destination)) return "unbound";
  } else {
    for (const auto& [address, eip] : state_.eips) {
      const model::Vm& vm = vm_of(eip);
      if (vm.location.port == setup_.ports[packet.in].name && vm.dip == packet.source)
        packet.from.owner = &eip;
    }
    if (packet.from.owner == nullptr) return "spoofed_source";
    if (vm_of(*packet.from.owner).location.mac != packet.sender) return "spoofed_mac";
    if (to_local && destination == nullptr) return "unbound";
  }

  packet.to.owner = destination;
  packet.from.remote = packet.to.owner;
  packet.from.remote_address = packet.destination;
  packet.to.remote = packet.from.owner;
  packet.to.remote_address = packet.from.owner != nullptr ? packet.from.owner->address.v4() : packet.source;
  return std::nullopt;
}

// --- admit ---

bool Gateway::names(const model::Remote& remote, const model::TenantId& tenant, const Question& q) {
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&remote))
    return std::ranges::any_of(*prefixes, [&](const IpPrefix& prefix) { return prefix.contains(q.remote); });
  if (const auto* tags = std::get_if<std::vector<std::string>>(&remote))
    return q.remote_eip != nullptr && q.remote_eip->tenant == tenant &&
           std::ranges::any_of(*tags,
                               [&](const std::string& tag) { return q.remote_eip->tags.contains(tag); });
  return true;
}

// The rule that decides, if any does: those that track nothing first, then by name. `tracked` asks only for
// rules that are, or are not.
std::optional<std::string> Gateway::match(const Eip& owner, const Question& q,
                                          std::optional<bool> tracked) const {
  for (const bool tracking : {false, true}) {
    if (tracked && *tracked != tracking) continue;
    for (const PermitRule& rule : owner.permit) {
      if (rule.tracked != tracking || rule.direction != q.direction) continue;
      if (rule.protocol) {
        if (*rule.protocol != q.protocol) continue;
        if (q.protocol == icmp) {
          if (rule.icmp_type && *rule.icmp_type != q.icmp_type) continue;
          if (rule.icmp_code && *rule.icmp_code != q.icmp_code) continue;
        } else if (!rule.local_ports.contains(q.local_port) || !rule.remote_ports.contains(q.remote_port)) {
          continue;
        }
      }
      if (names(rule.remote, owner.tenant, q)) return rule.name;
    }
  }
  return std::nullopt;
}

Gateway::Judgement Gateway::judge_leaving(const Packet& packet, const Side& side, uint64_t now_ms) const {
  const Question question = packet.ask(side);
  // 1. A stateless reply: turned round, it is let in by a rule that tracks nothing.
  if (packet.may_be_reply()) {
    Question reversed = question;
    reversed.direction = Direction::inbound;
    if (packet.protocol == icmp) reversed.icmp_type = query_of_reply(packet.icmp_type);
    if (auto rule = match(*side.owner, reversed, false)) return {true, false, false, std::move(rule)};
  }
  // 2. A rule of its direction.
  if (auto rule = match(*side.owner, question, std::nullopt))
    return {true, true, packet.can_open(), std::move(rule)};
  // 3. An entry: as a reply to what a tracked rule let in, or as more of what a kept entry opened.
  return judge_by_flow(packet, side, now_ms);
}

Gateway::Judgement Gateway::judge_entering(const Packet& packet, const Side& side, uint64_t now_ms) const {
  const Question question = packet.ask(side);
  if (auto rule = match(*side.owner, question, false)) return {true, false, false, std::move(rule)};
  if (auto rule = match(*side.owner, question, true)) return {true, true, packet.can_open(), std::move(rule)};
  return judge_by_flow(packet, side, now_ms);
}

Gateway::Judgement Gateway::judge_by_flow(const Packet& packet, const Side& side, uint64_t now_ms) const {
  Judgement refused;
  if (packet.asks_for_connection()) return refused;
  const Flow* flow = valid_flow(packet.key(side), side, now_ms);
  if (flow == nullptr) return refused;
  const bool is_reply = side.direction() != flow->opened;
  if (packet.protocol == icmp && packet.is_icmp_query() == is_reply) return refused;
  if (!is_reply && !is_kept(*flow, *side.owner, side.remote)) return refused;
  return {true, true, false, std::nullopt};
}

// An ICMP error passes a side by what it quotes, which must have passed that side the other way: let in by a
// rule that tracks nothing, or out as a reply to that, or as part of a flow that is there.
Gateway::Judgement Gateway::judge_error(const Packet& packet, Side& side, uint64_t now_ms) const {
  const Quote& quote = *packet.quote;
  const bool quoted_came_in = side.leaving;
  if (side.leaving) {
    if (quote.destination != vm_of(*side.owner).dip) return {};
  } else if (packet.from.owner == nullptr) {
    // Who reports it need not be who it was sent to.
    const Pool* pool = pool_of(quote.destination);
    if (pool != nullptr && pool->kind == PoolKind::local) return {};
    side.remote_address = quote.destination;
  }
  Question question{Direction::inbound,
                    side.remote_address,
                    side.remote,
                    quote.protocol,
                    quoted_came_in ? quote.destination_port : quote.source_port,
                    quoted_came_in ? quote.source_port : quote.destination_port,
                    quote.icmp_type,
                    quote.icmp_code};
  if (quote.protocol == icmp && is_reply(quote.icmp_type) && !quoted_came_in)
    question.icmp_type = query_of_reply(quote.icmp_type);
  if (quoted_came_in || quote.may_be_reply())
    if (auto rule = match(*side.owner, question, false)) return {true, false, false, std::move(rule)};

  SideTuple key;
  key.local = side.owner->address.v4();
  key.remote = side.remote_address;
  key.local_port = Port::from_host(question.local_port);
  key.remote_port = Port::from_host(question.remote_port);
  key.protocol = quote.protocol;
  if (quote.protocol == icmp)
    key.icmp_query = is_query(quote.icmp_type) ? quote.icmp_type : query_of_reply(quote.icmp_type);
  const Flow* flow = valid_flow(key, side, now_ms);
  if (flow == nullptr) return {};
  const bool by_opener = (flow->opened == Direction::inbound) == quoted_came_in;
  if (quote.protocol == icmp && is_query(quote.icmp_type) != by_opener) return {};
  return {true, false, false, std::nullopt};
}

const Flow* Gateway::valid_flow(const SideTuple& key, const Side& side, uint64_t now_ms) const {
  const auto found = flows_.find(key);
  if (found == flows_.end() || found->second.expires_ms <= now_ms) return nullptr;
  return counts_still(key, found->second, *side.owner, side.remote) ? &found->second : nullptr;
}

bool Gateway::counts_still(const SideTuple& key, const Flow& flow, const Eip& owner,
                           const Eip* remote) const {
  if (flow.owner_incarnation != owner.created) return false;
  if (flow.remote_incarnation != (remote != nullptr ? remote->created : 0)) return false;
  const uint64_t remote_generation = remote != nullptr ? remote->binding_generation : 0;
  if (flow.list_generation == owner.list_generation && flow.remote_generation == remote_generation)
    return true;
  return is_kept(flow, owner, remote) || list_permits(key, flow, owner, remote);
}

bool Gateway::is_kept(const Flow& flow, const Eip& owner, const Eip* remote) const {
  return flow.remote_generation == (remote != nullptr ? remote->binding_generation : 0) &&
         flow.list_generation >= owner.kept_from && flow.list_generation != owner.list_generation;
}

bool Gateway::list_permits(const SideTuple& key, const Flow& flow, const Eip& owner,
                           const Eip* remote) const {
  const Question question{
      flow.opened,    key.remote,    remote, key.protocol, key.local_port.host(), key.remote_port.host(),
      key.icmp_query, flow.icmp_code};
  return match(owner, question, std::nullopt).has_value();
}

// --- route, commit, translate ---

std::optional<std::string> Gateway::route(Packet& packet) const {
  packet.out = uplink_;
  if (packet.to.owner != nullptr) {
    const std::string& name = vm_of(*packet.to.owner).location.port;
    for (size_t i = 0; i < setup_.ports.size(); ++i)
      if (setup_.ports[i].name == name) packet.out = i;
  }
  if (packet.ttl <= 1) return "ttl_exceeded";
  if (packet.length > setup_.ports[packet.out].mtu) return "packet_too_big";
  if (packet.to.owner == nullptr && !neighbour_) return "next_hop_unresolved";
  return std::nullopt;
}

// --- fragments ---

const Eip& Gateway::sharer(const Packet& packet) {
  return packet.to.owner != nullptr ? *packet.to.owner : *packet.from.owner;
}

Gateway::Datagram* Gateway::datagram_of(const Packet& packet, uint64_t now_ms) {
  for (Datagram& datagram : datagrams_)
    if (datagram.expires_ms > now_ms && datagram.source == packet.source &&
        datagram.destination == packet.destination && datagram.identification == packet.identification &&
        datagram.protocol == packet.protocol && datagram.in == packet.in &&
        setup_.fragments.bucket_of(datagram.eip) == setup_.fragments.bucket_of(sharer(packet).address.v4()))
      return &datagram;
  return nullptr;
}

// What has no header of its own is judged by that of its first: the nearest one before it in the burst that
// is still judged, or one that has passed.
std::optional<std::string> Gateway::follow(Packet& packet, const std::vector<Packet*>& firsts,
                                           uint64_t now_ms) {
  const auto take = [&](const auto& first) {
    packet.source_port = first.source_port;
    packet.destination_port = first.destination_port;
    packet.tcp_flags = first.tcp_flags;
    packet.icmp_type = first.icmp_type;
    packet.icmp_code = first.icmp_code;
    packet.sctp_chunk = first.sctp_chunk;
  };
  for (auto first = firsts.rbegin(); first != firsts.rend(); ++first)
    if ((*first)->source == packet.source && (*first)->destination == packet.destination &&
        (*first)->identification == packet.identification && (*first)->protocol == packet.protocol) {
      take(**first);
      return std::nullopt;
    }
  const Datagram* datagram = datagram_of(packet, now_ms);
  if (datagram == nullptr) return "fragment_first_unseen";
  take(*datagram);
  return std::nullopt;
}

// False if a part of it has come before, if it lies beyond the end or moves it, or if there would be more
// than four stretches of parts.
bool Gateway::add_part(Datagram& datagram, const Packet& packet) {
  std::set<uint32_t> parts = datagram.parts;
  if (datagram.end != 0 && (packet.is_last || packet.end_part > datagram.end)) return false;
  if (packet.is_last && !parts.empty() && *parts.rbegin() >= packet.end_part) return false;
  for (uint32_t part = packet.first_part; part < packet.end_part; ++part)
    if (!parts.insert(part).second) return false;
  const auto stretches =
      std::ranges::count_if(parts, [&](uint32_t part) { return part == 0 || !parts.contains(part - 1); });
  if (stretches > 4) return false;
  datagram.parts = std::move(parts);
  if (packet.is_last) datagram.end = packet.end_part;
  return true;
}

// Room for it: the EIP's own oldest one goes if it has its share, else the oldest of a full bucket.
void Gateway::keep(Datagram datagram, uint64_t now_ms) {
  std::erase_if(datagrams_, [&](const Datagram& other) { return other.expires_ms <= now_ms; });
  const auto bucket_of = setup_.fragments.bucket_of;
  const uint32_t bucket = bucket_of(datagram.eip);
  const auto is_own = [&](const Datagram& other) { return other.incarnation == datagram.incarnation; };
  const auto is_near = [&](const Datagram& other) { return bucket_of(other.eip) == bucket; };
  if (std::ranges::count_if(datagrams_, is_own) >= setup_.fragments.share)
    datagrams_.erase(std::ranges::find_if(datagrams_, is_own));
  else if (std::ranges::count_if(datagrams_, is_near) >= setup_.fragments.ways)
    datagrams_.erase(std::ranges::find_if(datagrams_, is_near));
  datagrams_.push_back(std::move(datagram));
}

uint64_t Gateway::error_due(const Eip& eip, uint64_t now_ms) const {
  const auto due = errors_due_.find(eip.created);
  return std::max(due == errors_due_.end() ? 0 : due->second, now_ms * error_ticks_per_ms);
}

bool Gateway::may_have_error(const Eip& eip, uint64_t now_ms) const {
  const uint64_t interval = error_ticks_per_ms * 1000 / setup_.icmp_error_rate;
  return error_due(eip, now_ms) - now_ms * error_ticks_per_ms <= interval * (errors_at_once - 1);
}

void Gateway::take_error(const Eip& eip, uint64_t now_ms) {
  errors_due_[eip.created] = error_due(eip, now_ms) + error_ticks_per_ms * 1000 / setup_.icmp_error_rate;
}

// The refusals of route that the sender is told of, in the packet's stead.
Verdict Gateway::drop_and_tell(const Packet& packet, const std::string& reason, uint64_t now_ms) {
  Verdict verdict = drop(reason);
  const Bytes& b = packet.bytes;
  const bool told = reason == "ttl_exceeded" ||
                    (reason == "packet_too_big" && (get16(b, ip_at + 6) & 0x4000) != 0);  // do not fragment
  const Eip* charged = packet.from.owner != nullptr ? packet.from.owner : packet.to.owner;
  if (!told || charged == nullptr || packet.quote || !packet.is_first || !may_have_error(*charged, now_ms)) {
    return verdict;
  }
  take_error(*charged, now_ms);
  ++counts_.originated;

  const PortSetup& port = setup_.ports[packet.in];
  const size_t quoted =
      std::min<size_t>({packet.length, 576 - 28,
                        (packet.first_segment == 0 ? b.size() : packet.first_segment) - ethernet_bytes});
  Bytes error(ip_at + 28);
  put_mac(error, 0, packet.sender);
  put_mac(error, 6, port.mac);
  put16(error, 12, 0x0800);
  put16(error, ip_at, 0x45c0);
  put16(error, ip_at + 2, static_cast<uint16_t>(28 + quoted));
  error[ip_at + 8] = 64;
  error[ip_at + 9] = icmp;
  const bool to_endpoint = !port.uplink;
  put_address(error, ip_at + 12,
              to_endpoint                        ? port.endpoint_next_hop
              : setup_.gateway_addresses.empty() ? Ipv4Addr::of(192, 0, 0, 8)  // RFC 7600
                                                 : setup_.gateway_addresses.front());
  put_address(error, ip_at + 16, packet.source);
  put16(error, ip_at + 10, header_checksum(error, ip_at, ip_bytes));
  const size_t at = ip_at + ip_bytes;
  const bool too_big = reason == "packet_too_big";
  error[at] = too_big ? unreachable : time_exceeded;
  error[at + 1] = too_big ? 4 : 0;
  if (too_big) put16(error, at + 6, setup_.ports[packet.out].mtu);
  error.insert(error.end(), b.begin() + ip_at, b.begin() + static_cast<std::ptrdiff_t>(ip_at + quoted));
  uint32_t sum = 0;
  for (size_t i = at; i < error.size(); i += 2)
    sum += static_cast<uint32_t>(error[i] << 8) + (i + 1 < error.size() ? error[i + 1] : 0u);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  put16(error, at + 2, static_cast<uint16_t>(~sum));
  verdict.fate = Fate::answered;
  verdict.port = packet.in;
  verdict.bytes = std::move(error);
  return verdict;
}

// All that this packet changes, or the reason why it changes nothing.
std::optional<std::string> Gateway::commit(const Packet& packet, uint64_t now_ms) {
  if (packet.quote) {
    for (const Side* side : {&packet.from, &packet.to})
      if (side->owner != nullptr && !may_have_error(*side->owner, now_ms)) return "icmp_error_rate";
    for (const Side* side : {&packet.from, &packet.to})
      if (side->owner != nullptr) take_error(*side->owner, now_ms);
  }
  Datagram* const known = packet.is_fragment ? datagram_of(packet, now_ms) : nullptr;
  Datagram datagram;
  if (packet.is_fragment) {
    if (!packet.is_first && known == nullptr) return "fragment_first_lost";
    if (known != nullptr) datagram = *known;
    const bool fits =
        (known == nullptr || !packet.is_first) && !datagram.refuses && add_part(datagram, packet);
    if (!fits) {
      if (known != nullptr) known->refuses = true;  // RFC 5722: nothing more of it
      return "fragment_overlap";
    }
  }
  std::vector<std::pair<const Side*, SideTuple>> touches, opens;
  for (const Side* side : {&packet.from, &packet.to}) {
    if (side->owner == nullptr || !side->judgement.touches) continue;
    const SideTuple key = packet.key(*side);
    touches.emplace_back(side, key);
    // An endpoint that talks to itself may have one entry for both sides: it is opened once.
    const bool opened_already = !opens.empty() && opens.front().second == key;
    if (side->judgement.may_open && valid_flow(key, *side, now_ms) == nullptr && !opened_already)
      opens.emplace_back(side, key);
  }
  if (over_quota(opens)) return "flow_quota";
  if (no_room(opens, now_ms)) return "flow_table_full";

  for (const auto& [side, key] : touches) write_flow(packet, *side, key, now_ms);
  if (known != nullptr) {
    *known = datagram;
    if (known->parts.size() == known->end) known->expires_ms = 0;  // it is whole
  } else if (packet.is_fragment) {
    const Eip& eip = sharer(packet);
    datagram.source = packet.source;
    datagram.destination = packet.destination;
    datagram.identification = packet.identification;
    datagram.protocol = packet.protocol;
    datagram.in = packet.in;
    datagram.eip = eip.address.v4();
    datagram.incarnation = eip.created;
    datagram.expires_ms = now_ms + setup_.timeouts.fragment_ms;
    datagram.source_port = packet.source_port;
    datagram.destination_port = packet.destination_port;
    datagram.tcp_flags = packet.tcp_flags;
    datagram.icmp_type = packet.icmp_type;
    datagram.icmp_code = packet.icmp_code;
    datagram.sctp_chunk = packet.sctp_chunk;
    keep(std::move(datagram), now_ms);
  }
  for (const Side* side : {&packet.from, &packet.to}) {
    if (side->owner == nullptr) continue;
    EipCount& count = eip_counts_[side->owner->address.v4()];
    (side->leaving ? count.out_packets : count.in_packets) += 1;
    (side->leaving ? count.out_bytes : count.in_bytes) += packet.length;
    ++counts_.eip_packets;
    counts_.eip_bytes += packet.length;
    if (!side->judgement.hit) continue;
    ++hits_[side->owner->address.v4()][*side->judgement.hit];
    ++counts_.rule_hits;
  }
  return std::nullopt;
}

bool Gateway::over_quota(const std::vector<std::pair<const Side*, SideTuple>>& opens) const {
  std::map<Ipv4Addr, uint64_t> owned;
  for (const auto& [side, key] : opens) {
    uint64_t& count = owned.try_emplace(key.local, flows_of(key.local)).first->second;
    if (count >= setup_.flow_quota) return true;
    ++count;
  }
  return false;
}

// A way is free if no live entry holds it. What has one, though it counts no more, hands it on.
bool Gateway::no_room(const std::vector<std::pair<const Side*, SideTuple>>& opens, uint64_t now_ms) const {
  std::map<uint32_t, uint32_t> wanted;
  for (const auto& [side, key] : opens) {
    const auto own = flows_.find(key);
    if (own != flows_.end() && own->second.expires_ms > now_ms) continue;
    const uint32_t bucket = setup_.flows.bucket_of(key);
    const auto live = std::ranges::count_if(flows_, [&](const auto& entry) {
      return entry.second.bucket == bucket && entry.second.expires_ms > now_ms;
    });
    if (++wanted[bucket] + static_cast<uint32_t>(live) > setup_.flows.ways) return true;
  }
  return false;
}

// The way that a new entry takes: that of a dead one of its own key, else the first that no entry holds, else
// the first that no live entry holds.
uint32_t Gateway::way_for(const SideTuple& key, uint64_t now_ms) const {
  if (const auto own = flows_.find(key); own != flows_.end() && own->second.expires_ms <= now_ms)
    return own->second.way;
  const uint32_t bucket = setup_.flows.bucket_of(key);
  const auto first_without = [&](auto&& counts) {
    uint32_t way = 0;
    while (std::ranges::any_of(flows_, [&](const auto& entry) {
      return entry.second.bucket == bucket && entry.second.way == way && counts(entry.second);
    }))
      ++way;
    return way;
  };
  const uint32_t free = first_without([](const Flow&) { return true; });
  if (free < setup_.flows.ways) return free;
  return first_without([&](const Flow& flow) { return flow.expires_ms > now_ms; });
}

void Gateway::write_flow(const Packet& packet, const Side& side, const SideTuple& key, uint64_t now_ms) {
  const uint64_t remote_generation = side.remote != nullptr ? side.remote->binding_generation : 0;
  if (valid_flow(key, side, now_ms) != nullptr) {
    Flow& flow = flows_.at(key);
    if (packet.protocol == tcp)
      flow.state = side.direction() == flow.opened ? after_opener(flow.state, packet.tcp_flags)
                                                   : after_reply(flow.state, packet.tcp_flags);
    if (!is_kept(flow, *side.owner, side.remote)) {
      flow.list_generation = side.owner->list_generation;
      flow.remote_generation = remote_generation;
    }
    const uint64_t expires = now_ms + idle_ms(packet.protocol, flow.state);
    const bool reset = packet.protocol == tcp && (packet.tcp_flags & rst) != 0;
    flow.expires_ms = reset ? std::min(flow.expires_ms, expires) : expires;
    return;
  }
  if (!side.judgement.may_open) return;
  if (const auto own = flows_.find(key); own != flows_.end() && own->second.expires_ms > now_ms)
    flows_.erase(own);
  Flow flow;
  flow.owner = side.owner->address.v4();
  flow.owner_incarnation = side.owner->created;
  flow.remote_incarnation = side.remote != nullptr ? side.remote->created : 0;
  flow.list_generation = side.owner->list_generation;
  flow.remote_generation = remote_generation;
  flow.state = FlowState::opening;
  flow.expires_ms = now_ms + idle_ms(packet.protocol, flow.state);
  flow.opened = side.direction();
  flow.icmp_code = packet.icmp_code;
  flow.bucket = setup_.flows.bucket_of(key);
  flow.way = way_for(key, now_ms);
  std::erase_if(flows_, [&](const auto& other) {
    return other.second.bucket == flow.bucket && other.second.way == flow.way;
  });
  flows_[key] = flow;
}

Bytes Gateway::translate(const Packet& packet) const {
  Bytes b = packet.bytes;
  b.resize(ethernet_bytes + packet.length);  // without what Ethernet padded
  Ipv4Addr source = packet.source;
  Ipv4Addr destination = packet.destination;
  if (packet.from.owner != nullptr) source = packet.from.owner->address.v4();
  if (packet.to.owner != nullptr) destination = *vm_of(*packet.to.owner).dip;

  if (packet.is_first && (packet.protocol == tcp || packet.protocol == udp) &&
      (source != packet.source || destination != packet.destination)) {
    const size_t at = packet.transport_at + (packet.protocol == tcp ? 16 : 6);
    uint16_t checksum = get16(b, at);
    if (packet.protocol == tcp || checksum != 0) {
      checksum = moved_checksum(checksum, words_of(packet.source) + words_of(packet.destination),
                                words_of(source) + words_of(destination));
      if (packet.protocol == udp && checksum == 0) checksum = 0xffff;  // RFC 768: 0 is no checksum
      put16(b, at, checksum);
    }
  }
  put_address(b, ip_at + 12, source);
  put_address(b, ip_at + 16, destination);
  b[ip_at + 8] = static_cast<uint8_t>(packet.ttl - 1);
  put16(b, ip_at + 10, header_checksum(b, ip_at, packet.transport_at - ip_at));
  if (packet.quote) translate_quote(packet, b);
  put_mac(b, 0, packet.to.owner != nullptr ? vm_of(*packet.to.owner).location.mac : *neighbour_);
  put_mac(b, 6, setup_.ports[packet.out].mac);
  return b;
}

// The quoted packet went the other way: its source is whom the error is sent to.
void Gateway::translate_quote(const Packet& packet, Bytes& b) const {
  const Quote& quote = *packet.quote;
  const Ipv4Addr source = packet.to.owner != nullptr ? *vm_of(*packet.to.owner).dip : quote.source;
  const Ipv4Addr destination =
      packet.from.owner != nullptr ? packet.from.owner->address.v4() : quote.destination;
  const uint64_t before = words_of(quote.source) + words_of(quote.destination);
  const uint64_t after = words_of(source) + words_of(destination);
  if (source == quote.source && destination == quote.destination) return;
  put_address(b, quote.ip_at + 12, source);
  put_address(b, quote.ip_at + 16, destination);
  put16(b, quote.ip_at + 10, moved_checksum(get16(b, quote.ip_at + 10), before, after));
  if (quote.protocol != tcp && quote.protocol != udp) return;
  const size_t at = quote.transport_at + (quote.protocol == tcp ? 16 : 6);
  if (at + 2 > quote.end) return;
  const uint16_t old = get16(b, at);
  if (quote.protocol == udp && old == 0) return;
  uint16_t moved = moved_checksum(old, before, after);
  if (quote.protocol == udp && moved == 0) moved = 0xffff;
  put16(b, at, moved);
  // That the addresses and the header's checksum change makes no difference to their sum.
  if (moved != old)
    put16(b, packet.transport_at + 2, moved_checksum(get16(b, packet.transport_at + 2), old, moved));
}

// --- flows ---

uint32_t Gateway::idle_ms(uint8_t protocol, FlowState state) const {
  if (protocol == udp) return setup_.timeouts.udp_ms;
  if (protocol == icmp) return setup_.timeouts.icmp_ms;
  if (protocol != tcp) return setup_.timeouts.other_ms;
  return state == FlowState::established ? setup_.timeouts.tcp_established_ms
                                         : setup_.timeouts.tcp_transitory_ms;
}

void Gateway::age_all(uint64_t now_ms) {
  std::erase_if(flows_, [&](const auto& entry) {
    const auto& [key, flow] = entry;
    const Eip* owner = eip_at(key.local);
    return flow.expires_ms <= now_ms || owner == nullptr ||
           !counts_still(key, flow, *owner, eip_at(key.remote));
  });
}

// --- one turn ---

Verdict Gateway::drop(std::string reason) {
  ++counts_.dropped[reason];
  return {Fate::dropped, std::move(reason), 0, {}};
}

void Gateway::queue(Verdict& verdict) {
  if (waiting_[verdict.port].size() >= setup_.hold_limit)
    verdict = drop("transmit_full");
  else
    waiting_[verdict.port].push_back(verdict.bytes);
}

void Gateway::flush(PortNumber port, Turn& turn) {
  while (!waiting_[port].empty() && room_[port] > 0) {
    Bytes frame = std::move(waiting_[port].front());
    waiting_[port].pop_front();
    --room_[port];
    ++counts_.ports[port].transmitted_packets;
    counts_.ports[port].transmitted_bytes += frame.size();
    turn.sent[port].push_back(std::move(frame));
  }
}

// Why no list lets it pass.
std::optional<std::string> Gateway::admit(Packet& packet, uint64_t now_ms) const {
  if (packet.from.owner != nullptr) {
    packet.from.judgement =
        packet.quote ? judge_error(packet, packet.from, now_ms) : judge_leaving(packet, packet.from, now_ms);
    if (!packet.from.judgement.permitted) return "source_not_permitted";
  }
  if (packet.to.owner != nullptr) {
    packet.to.judgement =
        packet.quote ? judge_error(packet, packet.to, now_ms) : judge_entering(packet, packet.to, now_ms);
    if (!packet.to.judgement.permitted) return "destination_not_permitted";
  }
  return std::nullopt;
}

// One burst of one port. First every packet is judged, by tables that none of them has changed yet; then
// those that pass change them, in order. What is for the gateway itself is seen to before, ARP first.
std::vector<Verdict> Gateway::receive(PortNumber in, const std::vector<Arrival>& arrivals, uint64_t now_ms) {
  std::vector<Packet> packets(arrivals.size());
  std::vector<std::optional<Verdict>> verdicts(arrivals.size());
  const auto for_each_open = [&](auto&& settle) {
    for (size_t i = 0; i < packets.size(); ++i)
      if (!verdicts[i]) verdicts[i] = settle(packets[i]);
  };
  for (size_t i = 0; i < arrivals.size(); ++i) {
    ++counts_.ports[in].received_packets;
    counts_.ports[in].received_bytes += arrivals[i].bytes.size();
    packets[i].in = in;
    packets[i].bytes = arrivals[i].bytes;
    packets[i].first_segment = arrivals[i].first_segment;
  }
  using Settled = std::optional<Verdict>;
  const auto dropped = [&](const std::optional<std::string>& reason) {
    return reason ? Settled(drop(*reason)) : std::nullopt;
  };
  for_each_open([&](Packet& packet) { return dropped(parse(packet)); });
  for_each_open([&](Packet& packet) {
    if (!packet.neighbor_answer.empty()) return Settled({Fate::answered, {}, in, packet.neighbor_answer});
    return packet.is_arp ? Settled(arp(packet, now_ms)) : std::nullopt;
  });
  for_each_open([&](Packet& packet) { return to_gateway(packet, now_ms); });
  for_each_open([&](Packet& packet) { return dropped(identify(packet)); });
  std::vector<Packet*> firsts;
  for_each_open([&](Packet& packet) {
    if (packet.is_fragment && packet.is_first) firsts.push_back(&packet);
    return packet.is_first ? std::nullopt : dropped(follow(packet, firsts, now_ms));
  });
  for_each_open([&](Packet& packet) { return dropped(admit(packet, now_ms)); });
  for_each_open([&](Packet& packet) {
    const auto refused = route(packet);
    return refused ? Settled(drop_and_tell(packet, *refused, now_ms)) : std::nullopt;
  });
  for_each_open([&](Packet& packet) { return dropped(commit(packet, now_ms)); });
  for_each_open([&](Packet& packet) {
    return Settled({Fate::transmitted, {}, packet.out, translate(packet)});
  });

  std::vector<Verdict> settled;
  settled.reserve(verdicts.size());
  for (std::optional<Verdict>& verdict : verdicts) settled.push_back(std::move(*verdict));
  return settled;
}

Turn Gateway::poll(uint64_t now_ms, const std::vector<std::vector<Arrival>>& arrivals,
                   const std::vector<Bytes>& originated) {
  Turn turn;
  const size_t ports = setup_.ports.size();
  turn.verdicts.resize(ports);
  turn.sent.resize(ports);

  for (const Bytes& frame : originated) {
    ++counts_.originated;
    Verdict verdict{Fate::transmitted, {}, uplink_, frame};
    queue(verdict);
  }
  for (PortNumber in = 0; in < ports; ++in) {
    turn.verdicts[in] = receive(in, arrivals[in], now_ms);
    // Answers leave first, then what is passed on, each in order.
    for (const Fate fate : {Fate::answered, Fate::transmitted})
      for (Verdict& verdict : turn.verdicts[in])
        if (verdict.fate == fate) queue(verdict);
    for (const bool is_arp : {true, false})
      for (const Verdict& verdict : turn.verdicts[in])
        if (verdict.fate == Fate::punted && (get16(verdict.bytes, 12) == 0x0806) == is_arp)
          turn.punted.push_back(verdict.bytes);
    // Then every port is offered what waits for it.
    for (PortNumber port = 0; port < ports; ++port)
      if (port == in || !arrivals[in].empty()) flush(port, turn);
  }
  counts_.held = 0;
  for (const std::deque<Bytes>& waiting : waiting_) counts_.held += waiting.size();
  return turn;
}

uint32_t Gateway::flows_of(Ipv4Addr eip) const {
  const auto found = state_.eips.find(eip);
  if (found == state_.eips.end()) return 0;
  return static_cast<uint32_t>(std::ranges::count_if(flows_, [&](const auto& entry) {
    return entry.second.owner == eip && entry.second.owner_incarnation == found->second.created;
  }));
}

EipCount Gateway::eip_count(Ipv4Addr eip) const {
  const auto found = eip_counts_.find(eip);
  return found == eip_counts_.end() ? EipCount{} : found->second;
}

std::map<std::string, uint64_t> Gateway::rule_hits(Ipv4Addr eip) const {
  std::map<std::string, uint64_t> hits;
  for (const PermitRule& rule : state_.eips.at(eip).permit) hits[rule.name] = 0;
  if (const auto found = hits_.find(eip); found != hits_.end())
    for (const auto& [rule, count] : found->second) hits[rule] += count;
  return hits;
}

}  // namespace portcullis::reference
