// A packet that is taken through the pipeline as if it had been received, and of which nothing stays: what
// Explain is made of. The stages are the ones that real packets go through, on the worker's tables as they
// are; while Burst::rehearsal is set, what they would count, write or send is told to it instead.
//
// Made by whoever asks and carried out by a worker (mailbox.h). If another worker owns the flow, it says so
// and is to be carried out by that one, as a packet is that is handed over.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/burst.h"
#include "dataplane/mailbox.h"
#include "dataplane/passage.h"

namespace portcullis {

class Rehearsal final : public Errand, public Passage {
 public:
  static constexpr uint32_t longest_frame = 16'128;  // bytes: more than any port takes

  // `frame`: as it would come from the wire by `port`, of 1 to longest_frame bytes. `headroom`: bytes before
  // it in its buffer.
  Rehearsal(PortId port, std::span<const uint8_t> frame, uint16_t headroom = RTE_PKTMBUF_HEADROOM);

  // The back end is the worker's own. (In worker.cc, with the stages.)
  bool run(WorkerState& worker, uint64_t now_ms) noexcept override;

  // The frame as the stages have left it.
  [[nodiscard]] std::span<const uint8_t> frame() const { return {frame_of(&mbuf_), mbuf_.data_len}; }

  // --- for hand_over, with what else there is to know of where it goes ---
  void hand_over(uint32_t owner, LinkId link) {
    Passage::hand_over(owner);
    link_ = link;
  }

  // --- for rehearse.h, which takes it through the stages ---
  [[nodiscard]] rte_mbuf* mbuf() { return &mbuf_; }
  [[nodiscard]] PortId port() const { return port_; }
  [[nodiscard]] LinkId link() const { return link_; }
  [[nodiscard]] bool is_taken_over() const { return is_handed_over(); }

 private:
  rte_mbuf mbuf_{};
  std::unique_ptr<uint8_t[]> buffer_;
  PortId port_;
  LinkId link_ = 0;
};

}  // namespace portcullis
