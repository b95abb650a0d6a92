// Memory fetched ahead. A loop over many objects that lie in no cache waits for one after another; told some
// items before where they lie, the CPU fetches them side by side.
#pragma once

#include <cstddef>
#include <cstdint>

namespace portcullis {

// All lines of so many bytes (as long as those of x86: 64 bytes).
//
// The empty assembly is there for GCC 12, which takes a function that does nothing but prefetch for one
// without effect, and leaves out the calls of those that it has not inlined by then.
inline void prefetch_bytes(const void* begin, size_t bytes) {
  constexpr uintptr_t line = 64;
  const auto first = reinterpret_cast<uintptr_t>(begin);
  for (uintptr_t at = first & ~(line - 1); at < first + bytes; at += line)
    __builtin_prefetch(reinterpret_cast<const void*>(at));
  asm volatile("");
}

template <typename Object>
inline void prefetch_object(const Object& object) {
  prefetch_bytes(&object, sizeof object);
}

// What a hash table is asked for in order to fetch what may be there: its equality asks for the memory of
// each that may be it, and says that it is none. So nothing is waited for, and nothing is found.
template <typename Key>
struct Ahead {
  const Key& key;
};

// Each pass over some items of the range, then over the next ones: what one pass fetches is there in the
// next.
template <typename Range, typename... Passes>
void in_passes(Range&& range, Passes&&... passes) {
  static_assert(sizeof...(Passes) > 0);
  constexpr size_t at_once = 16;
  const auto end = range.end();
  for (auto item = range.begin(); item != end;) {
    const auto first = item;
    const auto over_some = [&](auto& pass) {
      item = first;
      for (size_t n = 0; n < at_once && item != end; ++n, ++item) pass(*item);
    };
    (over_some(passes), ...);
  }
}

}  // namespace portcullis
