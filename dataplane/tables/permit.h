// Compiled permit rules (semantics: "Default-off, exactly", 2). Four lie inline in the binding record,
// further ones in a chain of chunks from a pool of fixed size, so that room reserved at validation is always
// usable. Written by control before publication, immutable after; read by workers.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/tables/memory.h"
#include "dataplane/tables/permit_quad.h"
#include "dataplane/tables/permit_rule.h"
#include "src/base/expected.h"

namespace portcullis {

inline constexpr uint32_t inline_permit_rules = PermitQuad::lanes;
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
