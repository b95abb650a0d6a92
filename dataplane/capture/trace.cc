#include "dataplane/capture/trace.h"

#include <algorithm>

namespace portcullis {

// Headers lie in the first buffer.
TracedFrame TracedFrame::of(const rte_mbuf& packet, PortId port) {
  TracedFrame frame;
  frame.length = packet.pkt_len;
  frame.copied = std::min<uint32_t>(packet.data_len, room);
  frame.port = port;
  std::copy_n(frame_of(&packet), frame.copied, frame.bytes.begin());
  return frame;
}

bool asks_for(const CaptureFilter& filter, const Passage& passage) {
  const auto has = [&](Fate fate) { return filter.fates[static_cast<size_t>(fate)]; };
  const auto reason = passage.reason();
  if (reason && has(Fate::dropped) && filter.reasons[static_cast<size_t>(*reason)]) return true;
  const Verdict fate = passage.fate();
  if (fate == Verdict::transmitted || fate == Verdict::answered) return has(Fate::transmitted);
  return fate == Verdict::punted && has(Fate::punted);
}

}  // namespace portcullis
