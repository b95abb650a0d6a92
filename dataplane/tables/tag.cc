#include "dataplane/tables/tag.h"

#include <algorithm>

namespace portcullis {

Expected<TagSetTable> TagSetTable::create(uint32_t capacity, int numa_node) {
  auto sets = TableArray<TagSet>::create("tag sets", capacity + 1, numa_node);
  if (!sets) return tl::unexpected(sets.error());
  TagSetTable table;
  table.sets_ = std::move(*sets);
  table.free_ = IndexPool(empty_tag_set + 1, capacity + 1);
  return table;
}

Expected<TagSetId> TagSetTable::store(std::span<const TagId> tags) {
  if (tags.empty()) return empty_tag_set;
  if (tags.size() > max_tags_per_eip)
    return fail(ErrorCode::resource_exhausted,
                "a tag set holds at most " + std::to_string(max_tags_per_eip) + " tags");
  TagSetId id = empty_tag_set;
  if (!free_.take(id))
    return fail(ErrorCode::resource_exhausted, "no tag set is free; raise capacity.tag_sets");
  TagSet& set = sets_[id];
  set = TagSet{};
  set.count = static_cast<uint32_t>(tags.size());
  std::copy(tags.begin(), tags.end(), set.tags);
  return id;
}

void TagSetTable::free(TagSetId set) {
  if (set != empty_tag_set) free_.give(set);
}

}  // namespace portcullis
