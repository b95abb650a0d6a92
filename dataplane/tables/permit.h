// Compiled permit rules (semantics: "Default-off, exactly", 2). Four lie inline in the binding record,
// further ones in a chain of chunks from a pool of fixed size, so that room reserved at validation is always
// usable. Written by control before publication, immutable after; read by workers.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/tables/memory.h"
#include "dataplane/tables/tag.h"
#include "src/base/expected.h"
#include "src/net/address.h"

namespace portcullis {

enum class Direction : uint8_t { inbound = 0, outbound = 1 };

// One (rule, remote) pair. A named rule with several prefixes or tags becomes several of these.
struct PermitRule {
  static constexpr uint8_t outbound = 1;      // else inbound
  static constexpr uint8_t tracked = 2;       // inbound only: demands an entry
  static constexpr uint8_t any_protocol = 4;  // `protocol` and ports are not looked at
  static constexpr uint8_t remote_tag = 8;    // `remote` is a TagId, else an address under `prefix_length`

  uint32_t remote = 0;  // IPv4 address in host order, or TagId
  uint8_t prefix_length = 0;
  uint8_t flags = 0;
  uint8_t protocol = 0;  // IANA number
  uint8_t zero = 0;
  PortRange local_ports;   // host order; for ICMP the range of types
  PortRange remote_ports;  // host order; for ICMP the range of codes

  [[nodiscard]] constexpr Direction direction() const {
    return (flags & outbound) != 0 ? Direction::outbound : Direction::inbound;
  }
  [[nodiscard]] constexpr bool is_tracked() const { return (flags & tracked) != 0; }
  friend constexpr bool operator==(const PermitRule&, const PermitRule&) = default;
};
static_assert(sizeof(PermitRule) == 16);

inline constexpr uint32_t inline_permit_rules = 4;
inline constexpr uint32_t permit_chunk_rules = 15;
inline constexpr uint32_t no_permit_chunk = UINT32_MAX;

struct alignas(64) PermitChunk {
  PermitRule rules[permit_chunk_rules];
  uint32_t next = no_permit_chunk;
  uint32_t zero[3] = {};
};
static_assert(sizeof(PermitChunk) == 256);

// Chunks that a list of `rules` compiled rules takes beyond its inline ones.
constexpr uint32_t permit_chunks_for(uint32_t rules) {
  return rules <= inline_permit_rules
             ? 0
             : (rules - inline_permit_rules + permit_chunk_rules - 1) / permit_chunk_rules;
}

// What one side's list is asked. Ports in host order; for ICMP `local_port` is the type and `remote_port` the
// code.
struct PermitQuery {
  Direction direction;
  uint8_t protocol;
  uint16_t local_port;
  uint16_t remote_port;
  Ipv4Addr remote;
  TagSetId remote_tags;  // tags of the remote EIP, empty_tag_set for an external remote
};

[[nodiscard]] inline bool matches(const PermitRule& rule, const PermitQuery& query, const TagSetTable& tags) {
  if (rule.direction() != query.direction) return false;
  if ((rule.flags & PermitRule::any_protocol) == 0 &&
      (rule.protocol != query.protocol || !rule.local_ports.contains(query.local_port) ||
       !rule.remote_ports.contains(query.remote_port)))
    return false;
  if ((rule.flags & PermitRule::remote_tag) != 0) return tags.contains(query.remote_tags, rule.remote);
  return ((rule.remote ^ query.remote.host()) & Ipv4Prefix::mask(rule.prefix_length)) == 0;
}

// The pool of chunks. Thread: readers any; allocate and free by control, free only after a grace period.
class PermitTable {
 public:
  [[nodiscard]] static Expected<PermitTable> create(uint32_t chunk_capacity, int numa_node);
  [[nodiscard]] const PermitChunk& chunk(uint32_t index) const { return chunks_[index]; }
  // Stores `rules` (beyond the inline ones) as a chain and returns its head, no_permit_chunk for none.
  // resource_exhausted when too few chunks are free; then nothing is taken.
  [[nodiscard]] Expected<uint32_t> store(std::span<const PermitRule> rules);
  void free_chain(uint32_t head);
  [[nodiscard]] uint32_t capacity() const { return chunks_.size(); }
  [[nodiscard]] uint32_t free_chunks() const { return free_.size(); }

 private:
  TableArray<PermitChunk> chunks_;
  IndexPool free_;
};

}  // namespace portcullis
