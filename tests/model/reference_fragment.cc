// Datagrams in fragments.
#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {

const Eip& Gateway::sharer(const Packet& packet) {
  return packet.to.owner != nullptr ? *packet.to.owner : *packet.from.owner;
}

uint32_t Gateway::number_of(const Packet& packet) const {
  return setup_.fragments.number_of(packet.in, packet.link);
}

// RFC 791, 3.2. RFC 8200, 4.5: of IPv6 the protocol says nothing, for what follows may be a further header.
Gateway::Datagram* Gateway::datagram_of(const Packet& packet, uint64_t now_ms) {
  for (Datagram& datagram : datagrams_)
    if (datagram.expires_ms > now_ms && datagram.source == packet.source &&
        datagram.destination == packet.destination && datagram.identification == packet.identification &&
        (packet.is_ipv6() || datagram.protocol == packet.protocol) && datagram.in == packet.in &&
        datagram.worker == packet.worker && datagram.link == packet.link &&
        datagram.link_number == number_of(packet) &&
        setup_.fragments.bucket_of(datagram.eip) == setup_.fragments.bucket_of(sharer(packet).address))
      return &datagram;
  return nullptr;
}

// What has no header of its own is judged by that of its first: the nearest one before it in the burst that
// is still judged, or one that has passed.
Gateway::Refusal Gateway::follow(Packet& packet, const std::vector<Packet*>& firsts, uint64_t now_ms) {
  const auto take = [&](const auto& first) {
    packet.protocol = first.protocol;
    packet.source_port = first.source_port;
    packet.destination_port = first.destination_port;
    packet.tcp_flags = first.tcp_flags;
    packet.icmp_type = first.icmp_type;
    packet.icmp_code = first.icmp_code;
    packet.sctp_chunk = first.sctp_chunk;
  };
  for (auto first = firsts.rbegin(); first != firsts.rend(); ++first)
    if ((*first)->source == packet.source && (*first)->destination == packet.destination &&
        (*first)->identification == packet.identification && (*first)->link == packet.link &&
        (packet.is_ipv6() || (*first)->protocol == packet.protocol)) {
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
  const auto is_own = [&](const Datagram& other) {
    return other.worker == datagram.worker && other.incarnation == datagram.incarnation;
  };
  const auto is_near = [&](const Datagram& other) {
    return other.worker == datagram.worker && bucket_of(other.eip) == bucket;
  };
  if (std::ranges::count_if(datagrams_, is_own) >= setup_.fragments.share)
    datagrams_.erase(std::ranges::find_if(datagrams_, is_own));
  else if (std::ranges::count_if(datagrams_, is_near) >= setup_.fragments.ways)
    datagrams_.erase(std::ranges::find_if(datagrams_, is_near));
  datagrams_.push_back(std::move(datagram));
}

}  // namespace portcullis::reference
