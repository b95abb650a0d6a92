#include "dataplane/capture/capture.h"

#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "dataplane/capture/frame_summary.h"

namespace portcullis {

namespace {

// Whether a frame that no tunnel carries has the tags of that link, and no others.
bool is_tagged(const FrameSummary& frame, const Encapsulation& encapsulation) {
  if (std::holds_alternative<Tunnel>(encapsulation)) return false;
  const auto* const tags = std::get_if<VlanTags>(&encapsulation);
  if (tags == nullptr) return frame.tag_count == 0;
  return frame.tag_count == (tags->inner == 0 ? 1 : 2) && frame.tags == *tags;
}

// Whether the frame inside the other is of that tunnel, in either direction.
bool is_carried(const FrameSummary& outer, const Encapsulation& encapsulation) {
  const auto* const tunnel = std::get_if<Tunnel>(&encapsulation);
  return tunnel != nullptr && tunnel->protocol == outer.tunnel && tunnel->vni == outer.vni &&
         (outer.source == tunnel->remote || outer.destination == tunnel->remote);
}

}  // namespace

bool CaptureFilter::is_about(const rte_mbuf& packet, PortId port, std::optional<LinkId> taken_off) const {
  if (!address && !endpoint) return true;
  bool names_address = !address, is_of_endpoint = !endpoint;
  // A frame, and that of a tunnel inside it. Headers lie in the first buffer.
  std::span<const uint8_t> frame(rte_pktmbuf_mtod(&packet, const uint8_t*), packet.data_len);
  std::optional<FrameSummary> outer;
  for (int level = 0; level < 2; ++level) {
    const std::optional<FrameSummary> summary = summary_of(frame);
    if (!summary) break;
    const auto names = [&](const IpAddr& wanted) {
      return summary->source == wanted || summary->destination == wanted;
    };
    const auto is_on_its_link = [&] {
      if (taken_off) return !outer && taken_off == endpoint->link;
      return outer ? is_carried(*outer, endpoint->encapsulation)
                   : is_tagged(*summary, endpoint->encapsulation);
    };
    if (address && names(*address)) names_address = true;
    if (endpoint) {
      const bool is_at_home =
          endpoint->port == port && is_on_its_link() &&
          (summary->source_mac == endpoint->mac || summary->destination_mac == endpoint->mac);
      if (names(endpoint->eip) || (is_at_home && names(endpoint->dip))) is_of_endpoint = true;
    }
    if ((names_address && is_of_endpoint) || summary->inner_frame == 0) break;
    frame = frame.subspan(summary->inner_frame);
    outer = summary;
  }
  return names_address && is_of_endpoint;
}

void Capture::offer(uint32_t worker, const rte_mbuf& packet, PortId port, Fate fate, Drop reason,
                    std::optional<LinkId> taken_off) noexcept {
  if (!filter.fates[static_cast<size_t>(fate)] || !filter.ports[port]) return;
  if (fate == Fate::dropped && !filter.reasons[static_cast<size_t>(reason)]) return;
  if (!filter.is_about(packet, port, taken_off)) return;
  Share& share = shares[worker];
  if (++share.passed_over < filter.one_in) return;
  share.passed_over = 0;
  const CopyNote note{
      .tsc = rte_rdtsc(), .unsaid = 0, .eip = {}, .port = port, .fate = fate, .reason = reason};
  if (!share.ring->put(packet, filter.snap_length, note)) share.lost.add(1);
}

uint32_t Captures::frame_bytes(uint16_t mtu) {
  return mtu + longest_tunnel_header + uint32_t{sizeof(EthernetHeader)} + 2 * vlan_tag_bytes;
}

Expected<std::unique_ptr<Captures>> Captures::create(Tables& tables, rte_rcu_qsbr* rcu,
                                                     const std::vector<int>& numa_nodes, uint16_t mtu) {
  const auto marked = Tracer::mark_bit();
  if (!marked) return Unexpected(marked.error());
  std::unique_ptr<Captures> captures(new Captures(tables, rcu, *marked));
  for (uint32_t worker = 0; worker < numa_nodes.size(); ++worker) {
    auto ring = CopyRing::create(worker, copies_of_worker, frame_bytes(mtu), numa_nodes[worker]);
    if (!ring) return Unexpected(std::move(ring.error()));
    captures->rings_.push_back(std::move(*ring));
  }
  return captures;
}

Expected<Captures::Session> Captures::begin(const CaptureFilter& filter) {
  return begin(filter, false);
}

Expected<Captures::Session> Captures::begin_trace(const CaptureFilter& filter) {
  return begin(filter, true);
}

Expected<Captures::Session> Captures::begin(const CaptureFilter& filter, bool traces) {
  const std::lock_guard lock(mutex_);
  if (holder_ != 0)
    return fail(ErrorCode::failed_precondition,
                "another capture or trace goes on, and there is one at a time; end it, or wait for its end");
  capture_.filter = filter;
  std::vector<Capture::Share> shares(rings_.size());
  for (uint32_t worker = 0; worker < rings_.size(); ++worker) {
    Capture::Share& share = shares[worker];
    if (traces)
      share.tracer = std::make_unique<Tracer>(capture_.filter, worker, marked_, next_mark_);
    else
      share.ring = rings_[worker].get();
  }
  capture_.shares = std::move(shares);
  holder_ = ++sessions_;  // at last: what is above may lack memory
  tables_.capture.store(&capture_, std::memory_order_release);
  return Session(*this, holder_);
}

void Captures::stop() {
  if (tables_.capture.exchange(nullptr, std::memory_order_acq_rel) == nullptr) return;
  const uint64_t token = rte_rcu_qsbr_start(rcu_);
  rte_rcu_qsbr_check(rcu_, token, true);
}

uint64_t Captures::lost() const {
  uint64_t sum = 0;
  for (const Capture::Share& share : capture_.shares)
    sum += share.lost.get() + (share.tracer != nullptr ? share.tracer->lost() : 0);
  return sum;
}

Captures::Session::Session(Session&& other) noexcept
    : captures_(std::exchange(other.captures_, nullptr)), number_(other.number_), next_(other.next_) {}

Captures::Session::~Session() {
  if (captures_ != nullptr) leave();
}

void Captures::Session::leave() const {
  const std::lock_guard lock(captures_->mutex_);
  if (!has_place()) return;
  captures_->stop();
  for (const auto& ring : captures_->rings_)
    while (ring->take() != nullptr) continue;
  for (Capture::Share& share : captures_->capture_.shares) {
    if (share.tracer == nullptr) continue;
    captures_->next_mark_ = std::max(captures_->next_mark_, share.tracer->next_mark());
    share.tracer = nullptr;
  }
  captures_->holder_ = 0;
}

Copy Captures::Session::take() {
  const std::lock_guard lock(captures_->mutex_);
  if (!has_place()) return nullptr;
  for (size_t tried = 0; tried < captures_->rings_.size(); ++tried) {
    CopyRing& ring = *captures_->rings_[next_];
    next_ = (next_ + 1) % captures_->rings_.size();
    if (Copy copy = ring.take()) return copy;
  }
  return nullptr;
}

std::optional<TraceRecord> Captures::Session::take_trace() {
  const std::lock_guard lock(captures_->mutex_);
  if (!has_place()) return std::nullopt;
  std::vector<Capture::Share>& shares = captures_->capture_.shares;
  for (size_t tried = 0; tried < shares.size(); ++tried) {
    TraceRing& ring = shares[next_].tracer->ring();
    next_ = (next_ + 1) % shares.size();
    const TraceRecord* const front = ring.front();
    if (front == nullptr) continue;
    const TraceRecord record = *front;
    ring.pop();
    return record;
  }
  return std::nullopt;
}

uint64_t Captures::Session::lost() const {
  const std::lock_guard lock(captures_->mutex_);
  return has_place() ? captures_->lost() : 0;
}

void Captures::Session::stop() {
  const std::lock_guard lock(captures_->mutex_);
  if (has_place()) captures_->stop();
}

}  // namespace portcullis
