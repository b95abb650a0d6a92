#include "dataplane/rehearsal.h"

#include <algorithm>

namespace portcullis {

// A buffer that no pool knows: the stages neither free it nor send it.
Rehearsal::Rehearsal(PortId port, std::span<const uint8_t> frame, uint16_t headroom)
    : buffer_(std::make_unique<uint8_t[]>(headroom + longest_frame)), port_(port) {
  mbuf_.buf_addr = buffer_.get();
  mbuf_.buf_len = static_cast<uint16_t>(headroom + longest_frame);
  mbuf_.data_off = headroom;
  mbuf_.data_len = static_cast<uint16_t>(std::min<size_t>(frame.size(), longest_frame));
  mbuf_.pkt_len = mbuf_.data_len;
  mbuf_.nb_segs = 1;
  mbuf_.port = port;
  rte_mbuf_refcnt_set(&mbuf_, 1);
  std::copy_n(frame.begin(), mbuf_.data_len, frame_of(&mbuf_));
}

}  // namespace portcullis
