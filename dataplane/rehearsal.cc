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

Verdict Rehearsal::fate() const {
  if (count_ == 0) return Verdict::passed;
  const Verdict last = stages_[count_ - 1].verdict;
  return last == Verdict::transmitted && answered_ ? Verdict::answered : last;
}

Verdict Rehearsal::note(std::string_view stage, uint32_t worker, bool answered) {
  RehearsedStage noted{.stage = stage, .worker = worker, .reason = lost_};
  if (lost_) reason_ = lost_;
  if (answered && !answered_)
    noted.verdict = Verdict::answered;
  else if (lost_)
    noted.verdict = Verdict::dropped;
  else if (punted_)
    noted.verdict = Verdict::punted;
  else if (handed_over_)
    noted.verdict = Verdict::handed_over;
  else if (transmitted_)
    noted.verdict = Verdict::transmitted;
  answered_ = answered_ || answered;
  is_over_ = noted.verdict != Verdict::passed && noted.verdict != Verdict::answered;
  lost_.reset();
  if (count_ < stages_.size()) stages_[count_++] = noted;
  return noted.verdict;
}

}  // namespace portcullis
