#include "dataplane/handover.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_ring.h>

#include <atomic>
#include <string>

namespace portcullis {

void Handover::Free::operator()(rte_ring* ring) const {
  void* packet = nullptr;
  while (rte_ring_sc_dequeue(ring, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
  rte_ring_free(ring);
}

Handover::Handover(uint32_t workers) : workers_(workers), rings_(size_t{workers} * workers * kinds) {
  for (uint32_t bucket = 0; bucket < Spread::buckets; ++bucket)
    owners_[bucket] = static_cast<uint8_t>(Spread::worker_of_bucket(bucket, workers));
}

Expected<std::unique_ptr<Handover>> Handover::create(uint32_t workers, int numa_node,
                                                     uint32_t owner_ring_size) {
  static std::atomic<uint32_t> serial{0};
  std::unique_ptr<Handover> handover(new Handover(workers));
  for (uint32_t from = 0; from < workers; ++from)
    for (uint32_t to = 0; to < workers; ++to)
      for (uint32_t kind = 0; kind < kinds && from != to; ++kind) {
        const std::string name = "handover" + std::to_string(serial.fetch_add(1));
        rte_ring* const ring = rte_ring_create(name.c_str(), kind == owner_kind ? owner_ring_size : ring_size,
                                               numa_node, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
        if (ring == nullptr)
          return fail(ErrorCode::resource_exhausted, "rings between " + std::to_string(workers) +
                                                         " workers do not fit (" + rte_strerror(rte_errno) +
                                                         "); raise eal.memory_mb, or have fewer workers");
        handover->rings_[(from * workers + to) * kinds + kind].reset(ring);
      }
  return handover;
}

// Positions in a ring wrap: a difference says which is farther.
void Handover::wait_until_taken() const {
  for (uint32_t from = 0; from < workers_; ++from)
    for (uint32_t to = 0; to < workers_; ++to) {
      if (from == to) continue;
      const rte_ring& ring = *to_owner(from, to);
      const uint32_t filled_until = __atomic_load_n(&ring.prod.tail, __ATOMIC_ACQUIRE);
      while (!is_abandoned_.load(std::memory_order_relaxed) &&
             static_cast<int32_t>(__atomic_load_n(&ring.cons.tail, __ATOMIC_ACQUIRE) - filled_until) < 0)
        rte_pause();
    }
}

size_t Handover::bytes_for(uint32_t workers) {
  if (workers < 2) return 0;
  return size_t{workers} * (workers - 1) * kinds * static_cast<size_t>(rte_ring_get_memsize(2 * ring_size));
}

}  // namespace portcullis
