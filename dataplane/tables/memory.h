// Memory of tables: arrays of fixed size from rte_malloc on a chosen NUMA node, decided at start, and pools
// of indices into them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/base/expected.h"

namespace portcullis {

namespace detail {
// Zeroed, `alignment`-aligned memory on `numa_node` (SOCKET_ID_ANY for any); nullptr when there is none.
void* table_allocate(std::string_view what, size_t bytes, size_t alignment, int numa_node);
void table_free(void* memory);
}  // namespace detail

// Asks for a line of a table that one of the next passes reads, into the second-level cache: a burst of 64
// asks for more lines than the first level has misses to wait for (on Zen 4 such prefetches were seen to be
// lost, which cost 130 clocks a packet at 64 k EIPs), and than it could hold.
//
// The empty assembly is there for GCC 12, which takes a function that does nothing but prefetch for one
// without effect, and leaves out the calls of those that it has not inlined by then.
inline void prefetch_line(const void* line) {
  __builtin_prefetch(line, 0, 2);
  asm volatile("");
}

// A fixed array of trivially destructible elements. Elements are value-initialised.
template <typename T>
class TableArray {
 public:
  static_assert(std::is_trivially_destructible_v<T>);
  TableArray() = default;
  // resource_exhausted, naming `what` and the bytes asked for.
  [[nodiscard]] static Expected<TableArray> create(std::string_view what, uint32_t size, int numa_node) {
    TableArray array;
    if (size == 0) return array;
    const size_t bytes = size_t{size} * sizeof(T);
    array.data_.reset(static_cast<T*>(detail::table_allocate(what, bytes, alignof(T), numa_node)));
    if (!array.data_)
      return fail(ErrorCode::resource_exhausted,
                  std::string(what) + " needs " + std::to_string(bytes) +
                      " bytes, more than is left; raise eal.memory_mb or lower the capacity");
    for (uint32_t i = 0; i < size; ++i) new (&array.data_.get()[i]) T{};
    array.size_ = size;
    return array;
  }
  [[nodiscard]] T& operator[](uint32_t i) { return data_.get()[i]; }
  [[nodiscard]] const T& operator[](uint32_t i) const { return data_.get()[i]; }
  [[nodiscard]] T* data() { return data_.get(); }
  [[nodiscard]] const T* data() const { return data_.get(); }
  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] size_t bytes() const { return size_t{size_} * sizeof(T); }

 private:
  struct Free {
    void operator()(T* memory) const { detail::table_free(memory); }
  };
  std::unique_ptr<T, Free> data_;
  uint32_t size_ = 0;
};

// Free indices [first, capacity). Thread: control only.
class IndexPool {
 public:
  IndexPool() = default;
  IndexPool(uint32_t first, uint32_t capacity) {
    free_.reserve(capacity - first);
    for (uint32_t i = capacity; i > first; --i) free_.push_back(i - 1);
  }
  [[nodiscard]] bool take(uint32_t& index) {
    if (free_.empty()) return false;
    index = free_.back();
    free_.pop_back();
    return true;
  }
  // What take() gives after so many others.
  [[nodiscard]] std::optional<uint32_t> coming(size_t after) const {
    return after < free_.size() ? std::optional(free_[free_.size() - 1 - after]) : std::nullopt;
  }
  void give(uint32_t index) { free_.push_back(index); }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(free_.size()); }

 private:
  std::vector<uint32_t> free_;
};

}  // namespace portcullis
