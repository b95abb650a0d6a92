// Copies of packets on their way from one worker to one reader: buffers of their own and a ring. The worker
// never waits: without a free buffer or a place in the ring there is no copy, and it counts that.
//
// A copy is an enhanced packet block of pcapng as rte_pcapng makes it (pcapng.h finishes it); what the
// gateway knows of the packet lies in the private area of its buffer.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "dataplane/capture/capture_filter.h"
#include "dataplane/drop.h"
#include "dataplane/tables/binding.h"
#include "src/base/expected.h"
#include "src/net/address.h"

struct rte_ring;

namespace portcullis {

struct CopyNote {
  uint64_t tsc = 0;
  uint64_t unsaid = 0;        // log of denied packets: those of the reason since the last copy, without one
  std::optional<IpAddr> eip;  // log of denied packets: whose list denied it
  PortId port = 0;            // it came by; of a transmitted one: it leaves by
  Fate fate = Fate::received;
  Drop reason{};  // of a dropped one
};

struct FreeCopy {
  void operator()(rte_mbuf* copy) const { rte_pktmbuf_free(copy); }
};
using Copy = std::unique_ptr<rte_mbuf, FreeCopy>;

inline CopyNote& note_of(rte_mbuf& copy) {
  return *static_cast<CopyNote*>(rte_mbuf_to_priv(&copy));
}
// The bytes of the frame that were copied.
[[nodiscard]] std::span<const uint8_t> frame_of_copy(rte_mbuf& copy);

class CopyRing {
 public:
  // Room for `copies`, a power of two, of at most `frame_bytes` each. `worker`: whose it is.
  // resource_exhausted if that does not fit.
  [[nodiscard]] static Expected<std::unique_ptr<CopyRing>> create(uint32_t worker, uint32_t copies,
                                                                  uint32_t frame_bytes, int numa_node);
  ~CopyRing();
  CopyRing(const CopyRing&) = delete;
  CopyRing& operator=(const CopyRing&) = delete;

  // The worker: copies the first `length` bytes; false when there is no room.
  [[nodiscard]] bool put(const rte_mbuf& packet, uint32_t length, const CopyNote& note) noexcept;
  // The reader: the oldest copy; null when there is none.
  [[nodiscard]] Copy take();
  [[nodiscard]] uint32_t frame_bytes() const { return frame_bytes_; }

  [[nodiscard]] static size_t bytes_for(uint32_t copies, uint32_t frame_bytes);

 private:
  CopyRing(uint32_t worker, uint32_t frame_bytes) : worker_(worker), frame_bytes_(frame_bytes) {}
  const uint32_t worker_;
  const uint32_t frame_bytes_;
  rte_mempool* pool_ = nullptr;
  rte_ring* ring_ = nullptr;
};

}  // namespace portcullis
