// What the binding index says of an address, and the pages that it is made of.
#pragma once

#include <atomic>
#include <cstdint>

#include "dataplane/tables/index_room.h"

namespace portcullis {

using Slot = uint32_t;

enum class View : uint8_t { edge = 0, local = 1 };
inline constexpr uint32_t view_count = 2;

// What an address is, as the index says it: a slot, or one of the values below first_slot.
class IndexEntry {
 public:
  static constexpr uint32_t outside = 0;   // in no pool
  static constexpr uint32_t local = 1;     // in a local pool, not bound in this view
  static constexpr uint32_t provider = 2;  // in a pool that another gateway of the provider serves
  static constexpr Slot first_slot = 3;
  constexpr explicit IndexEntry(uint32_t raw) : raw_(raw) {}
  [[nodiscard]] constexpr bool is_bound() const { return raw_ >= first_slot; }
  [[nodiscard]] constexpr bool in_any_pool() const { return raw_ != outside; }
  [[nodiscard]] constexpr bool in_local_pool() const { return raw_ == local || is_bound(); }
  [[nodiscard]] constexpr Slot slot() const { return raw_; }

 private:
  uint32_t raw_;
};

// Addresses that lie side by side.
struct IndexPage {
  std::atomic<uint32_t> entries[index_page_addresses];
};
struct alignas(64) IndexPageStorage : IndexPage {};

}  // namespace portcullis
