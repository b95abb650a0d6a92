// Tag sets: which tags an EIP carries. A tag in a rule is tested against the remote EIP's set, so that a
// change of tags is one write, not one per list. Sets are immutable once published and shared between EIPs.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/tables/memory.h"
#include "src/base/expected.h"

namespace portcullis {

using TagId = uint32_t;     // a tenant's tag, numbered by control
using TagSetId = uint32_t;  // index into TagSetTable
inline constexpr TagSetId empty_tag_set = 0;
inline constexpr uint32_t max_tags_per_eip = 15;

struct alignas(64) TagSet {
  uint32_t count = 0;
  TagId tags[max_tags_per_eip] = {};  // the first `count`, ascending
};
static_assert(sizeof(TagSet) == 64);

// Thread: readers any; store and free by control, free only after a grace period.
class TagSetTable {
 public:
  [[nodiscard]] static Expected<TagSetTable> create(uint32_t capacity, int numa_node);
  [[nodiscard]] bool contains(TagSetId set, TagId tag) const {
    const TagSet& s = sets_[set];
    for (uint32_t i = 0; i < s.count; ++i)
      if (s.tags[i] == tag) return true;
    return false;
  }
  [[nodiscard]] std::span<const TagId> tags_of(TagSetId set) const {
    return std::span(sets_[set].tags).first(sets_[set].count);
  }
  // `tags` ascending, at most max_tags_per_eip. An empty span gives empty_tag_set. resource_exhausted when
  // full.
  [[nodiscard]] Expected<TagSetId> store(std::span<const TagId> tags);
  void free(TagSetId set);  // empty_tag_set is never freed
  [[nodiscard]] uint32_t capacity() const { return sets_.size(); }

 private:
  TableArray<TagSet> sets_;
  IndexPool free_;
};

}  // namespace portcullis
