#include "dataplane/tables/endpoint.h"

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>

#include <atomic>
#include <string>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace portcullis {
namespace {

// rte_hash's code is not instrumented: a thread sanitizer must be told that a value found was released by
// set().
#ifdef __SANITIZE_THREAD__
void note_release(void* table) {
  __tsan_release(table);
}
void note_acquire(void* table) {
  __tsan_acquire(table);
}
#else
void note_release(void*) {}
void note_acquire(void*) {}
#endif

void* as_data(Slot slot) {
  return reinterpret_cast<void*>(static_cast<uintptr_t>(slot));
}
Slot as_slot(const void* data) {
  return static_cast<Slot>(reinterpret_cast<uintptr_t>(data));
}

}  // namespace

void EndpointTable::Free::operator()(rte_hash* hash) const {
  rte_hash_free(hash);
}

Expected<EndpointTable> EndpointTable::create(uint32_t capacity, int numa_node) {
  static std::atomic<unsigned> serial{0};  // rte_hash wants a name that no other table of the process has
  const std::string name = "endpoints" + std::to_string(serial.fetch_add(1));
  rte_hash_parameters parameters{};
  parameters.name = name.c_str();
  // Lock-free deletion keeps key slots until they are released, and buckets are never quite full: the
  // extendable table makes room for `capacity` keys certain.
  parameters.entries = capacity < 64 ? 64 : capacity;
  parameters.key_len = sizeof(EndpointKey);
  parameters.hash_func = rte_hash_crc;
  parameters.socket_id = numa_node < 0 ? static_cast<int>(rte_socket_id()) : numa_node;
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  EndpointTable table;
  table.hash_.reset(rte_hash_create(&parameters));
  if (!table.hash_)
    return fail(ErrorCode::resource_exhausted, "endpoint table of " + std::to_string(capacity) +
                                                   " entries: " + rte_strerror(rte_errno) +
                                                   "; raise eal.memory_mb or lower capacity.eips");
  table.capacity_ = parameters.entries;
  return table;
}

void EndpointTable::find(const EndpointKey* const* keys, uint32_t count, Slot* slots) const {
  const void* raw_keys[64];
  void* data[64];
  for (uint32_t i = 0; i < count; ++i) raw_keys[i] = keys[i];
  uint64_t hits = 0;
  rte_hash_lookup_bulk_data(hash_.get(), raw_keys, count, &hits, data);
  note_acquire(hash_.get());
  for (uint32_t i = 0; i < count; ++i) slots[i] = (hits >> i & 1) != 0 ? as_slot(data[i]) : 0;
}

bool EndpointTable::set(EndpointKey key, Slot slot) {
  note_release(hash_.get());
  return rte_hash_add_key_data(hash_.get(), &key, as_data(slot)) == 0;
}

void EndpointTable::erase(EndpointKey key) {
  const int32_t position = rte_hash_del_key(hash_.get(), &key);
  if (position >= 0) erased_.push_back(position);
}

void EndpointTable::release_erased() {
  for (const int32_t position : erased_) rte_hash_free_key_with_position(hash_.get(), position);
  erased_.clear();
}

}  // namespace portcullis
