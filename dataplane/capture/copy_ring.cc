#define ALLOW_EXPERIMENTAL_API  // all of rte_pcapng

#include "dataplane/capture/copy_ring.h"

#include <rte_errno.h>
#include <rte_mempool.h>
#include <rte_pcapng.h>
#include <rte_ring.h>
#include <rte_version.h>

#include <algorithm>
#include <atomic>
#include <new>

#include "dataplane/capture/pcapng.h"

namespace portcullis {
namespace {

constexpr uint16_t note_bytes = RTE_ALIGN(sizeof(CopyNote), RTE_MBUF_PRIV_ALIGN);

uint32_t data_room(uint32_t frame_bytes) {
  return rte_pcapng_mbuf_size(frame_bytes) + RTE_PKTMBUF_HEADROOM;
}

// What it says of time and comment is not used: they are the reader's to write, by a clock that is set when
// it begins.
rte_mbuf* copy_as_block(const rte_mbuf& packet, rte_mempool* pool, uint32_t length, uint32_t worker,
                        const CopyNote& note) {
  const bool leaves =
      note.fate == Fate::transmitted || (note.fate == Fate::dropped && note.reason == Drop::transmit_full);
  const auto direction = leaves ? RTE_PCAPNG_DIRECTION_OUT : RTE_PCAPNG_DIRECTION_IN;
#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
  return rte_pcapng_copy(note.port, worker, &packet, pool, length, note.tsc, direction);
#elif RTE_VERSION < RTE_VERSION_NUM(23, 11, 0, 0)
  return rte_pcapng_copy(note.port, worker, &packet, pool, length, note.tsc, direction, nullptr);
#else
  return rte_pcapng_copy(note.port, worker, &packet, pool, length, direction, nullptr);
#endif
}

// At its first copy DPDK 22.11 asks the system for the time: not on a worker.
void make_first_copy(rte_mempool* pool) {
  const Copy packet(rte_pktmbuf_alloc(pool));
  if (packet != nullptr) const Copy copy(copy_as_block(*packet, pool, 0, 0, {}));
}

}  // namespace

std::span<const uint8_t> frame_of_copy(rte_mbuf& copy) {
  const auto* const begin = rte_pktmbuf_mtod(&copy, const uint8_t*);
  PacketBlock block;
  std::memcpy(&block, begin, sizeof block);
  return {begin + sizeof block, block.captured_length};
}

Expected<std::unique_ptr<CopyRing>> CopyRing::create(uint32_t worker, uint32_t copies, uint32_t frame_bytes,
                                                     int numa_node) {
  static std::atomic<uint32_t> serial{0};
  std::unique_ptr<CopyRing> made(new CopyRing(worker, frame_bytes));
  const std::string name = "copies" + std::to_string(serial.fetch_add(1));
  // The worker alone takes from the pool: it meets nobody there.
  made->pool_ =
      rte_pktmbuf_pool_create_by_ops(name.c_str(), copies, 0, note_bytes,
                                     static_cast<uint16_t>(data_room(frame_bytes)), numa_node, "ring_mp_sc");
  // With room for all of the pool: it is the pool that says when there is none.
  if (made->pool_ != nullptr)
    made->ring_ =
        rte_ring_create(name.c_str(), copies, numa_node, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
  if (made->ring_ == nullptr)
    return fail(ErrorCode::resource_exhausted, "buffers for " + std::to_string(copies) +
                                                   " copies of packets do not fit (" +
                                                   rte_strerror(rte_errno) + "); raise eal.memory_mb");
  make_first_copy(made->pool_);
  return made;
}

CopyRing::~CopyRing() {
  if (ring_ != nullptr) {
    while (take() != nullptr) continue;
    rte_ring_free(ring_);
  }
  rte_mempool_free(pool_);
}

bool CopyRing::put(const rte_mbuf& packet, uint32_t length, const CopyNote& note) noexcept {
  rte_mbuf* const copy = copy_as_block(packet, pool_, std::min(length, frame_bytes_), worker_, note);
  if (copy == nullptr) return false;
  new (rte_mbuf_to_priv(copy)) CopyNote(note);
  // Cannot fail: it has room for all of the pool.
  return rte_ring_sp_enqueue(ring_, copy) == 0;
}

Copy CopyRing::take() {
  void* copy = nullptr;
  if (rte_ring_sc_dequeue(ring_, &copy) != 0) return nullptr;
  return Copy(static_cast<rte_mbuf*>(copy));
}

size_t CopyRing::bytes_for(uint32_t copies, uint32_t frame_bytes) {
  const size_t buffer = sizeof(rte_mempool_objhdr) + sizeof(rte_mbuf) + note_bytes + data_room(frame_bytes);
  const auto ring = static_cast<size_t>(rte_ring_get_memsize(2 * copies));  // one place of it stays empty
  return copies * (RTE_ALIGN(buffer, size_t{RTE_CACHE_LINE_SIZE}) + RTE_CACHE_LINE_SIZE) + 2 * ring;
}

}  // namespace portcullis
