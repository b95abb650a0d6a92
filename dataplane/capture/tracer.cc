#include "dataplane/capture/tracer.h"

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

#include <bit>
#include <new>
#include <string>

namespace portcullis {
namespace {

// A mark is the worker that has received the packet, and a number of its own.
constexpr uint32_t worker_shift = 24;
constexpr uint32_t number_mask = (uint32_t{1} << worker_shift) - 1;
static_assert(max_workers <= 1u << (32 - worker_shift));

constexpr rte_mbuf_dynflag marked_flag{"portcullis_traced", 0};

}  // namespace

Expected<uint64_t> Tracer::mark_bit() {
  const int bit = rte_mbuf_dynflag_register(&marked_flag);
  if (bit >= 0) return uint64_t{1} << bit;
  return fail(ErrorCode::resource_exhausted,
              std::string("no bit of packet buffers is left to mark traced packets (") +
                  rte_strerror(rte_errno) + ")");
}

bool Tracer::begin(uint32_t i, uint32_t mark, const rte_mbuf* received, PortId port) noexcept {
  TraceRecord* const place = ring_.open();
  if (place == nullptr) return false;
  records_[i] = new (place) TraceRecord{.mark = mark,
                                        .worker = worker_,
                                        .is_first = received != nullptr,
                                        .tsc = rte_rdtsc(),
                                        .received = {},
                                        .sent = {},
                                        .passage = {}};
  if (received != nullptr) place->received = TracedFrame::of(*received, port);
  traced_ |= uint64_t{1} << i;
  return true;
}

bool Tracer::choose(const Burst& burst) noexcept {
  gone_ = 0;
  if (!filter_.ports[burst.in_port]) return false;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const rte_mbuf& packet = *burst.mbuf[i];
    if (!filter_.is_about(packet, burst.in_port) || ++passed_over_ < filter_.one_in) continue;
    passed_over_ = 0;
    const uint32_t number = (first_mark_ + begun_++) & number_mask;
    if (!begin(i, worker_ << worker_shift | number, &packet, burst.in_port)) lost_.add(1);
  }
  return traced_ != 0;
}

// One without a place here is missed by the reader, who has its record of the worker before.
bool Tracer::take_over(const Burst& burst) noexcept {
  gone_ = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    rte_mbuf& packet = *burst.mbuf[i];
    if ((packet.ol_flags & marked_) == 0) continue;
    unmark(packet);
    begin(i, packet.hash.fdir.hi, nullptr, burst.in_port);
  }
  return traced_ != 0;
}

void Tracer::close_up() noexcept {
  const uint64_t before = traced_;
  traced_ = 0;
  for_each_packet(before & ~gone_, [&](uint32_t i) {
    const uint64_t ahead = (uint64_t{1} << i) - 1;
    const auto moved_to = i - static_cast<uint32_t>(std::popcount(gone_ & ahead));
    records_[moved_to] = records_[i];
    traced_ |= uint64_t{1} << moved_to;
  });
}

void Tracer::transmit(const Burst& burst) noexcept {
  const auto leaves_by = [&](uint32_t i, PortId port) {
    records_[i]->sent = TracedFrame::of(*burst.mbuf[i], port);
    passage(i).transmit(port);
  };
  for_each_packet(burst.answered & traced_, [&](uint32_t i) { leaves_by(i, burst.in_port); });
  for_each_packet(burst.live & traced_, [&](uint32_t i) { leaves_by(i, burst.out_port[i]); });
}

// What has come from another worker, or goes on with one, is the reader's to judge, who sees all of it.
void Tracer::finish() noexcept {
  ring_.close([&](const TraceRecord& record) {
    return !record.is_first || record.goes_on() || asks_for(filter_, record.passage);
  });
  traced_ = 0;
}

}  // namespace portcullis
