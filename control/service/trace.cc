// The Trace call: records of workers, put together and told as Explain tells a packet.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <vector>

#include "control/service/looking.h"
#include "control/service/observe_service.h"
#include "control/service/status.h"
#include "control/service/tell_passage.h"
#include "dataplane/capture/frame_summary.h"
#include "dataplane/capture/trace_parts.h"
#include "dataplane/capture/tsc_clock.h"

namespace portcullis::service {
namespace {

constexpr uint32_t default_packets = 100, most_packets = 100'000;
constexpr uint32_t default_seconds = 300;
// Of a chunk: names are looked up on the control thread, which does nothing else meanwhile.
constexpr size_t packets_of_chunk = 256;
// Looked at in one turn. Of packets between workers each is, whether it is asked for or not, and they may
// come as fast as they are looked at.
constexpr size_t parts_of_turn = 4096;

// The same words of a capture; RECEIVED is the one fate that all traced packets have.
Expected<v1::CaptureRequest> as_capture(const v1::TraceRequest& request) {
  v1::CaptureRequest capture;
  for (int i = 0; i < request.fates_size(); ++i)
    if (request.fates(i) == v1::CaptureRequest::RECEIVED)
      return fail(ErrorCode::invalid_argument,
                  "every traced packet is received; give TRANSMITTED, PUNTED or DROPPED",
                  "fates[" + std::to_string(i) + "]");
  *capture.mutable_fates() = request.fates();
  *capture.mutable_reasons() = request.reasons();
  *capture.mutable_ports() = request.ports();
  capture.set_address(request.address());
  capture.set_eip(request.eip());
  capture.set_seconds(request.seconds());
  capture.set_one_in(request.one_in());
  if (request.packets() > most_packets)
    return fail(ErrorCode::invalid_argument,
                std::to_string(request.packets()) + " packets are too many; a trace is of at most " +
                    std::to_string(most_packets),
                "packets");
  return capture;
}

void tell_frame(const Sources& sources, const TracedFrame& traced, v1::Frame& frame) {
  tell_frame(sources, traced.port, traced.copy(), frame);
  frame.set_length(traced.length);
  frame.set_headers(headers_of(traced.copy()));
}

void tell_packet(const Control::View& view, const Sources& sources, const TscClock& clock,
                 const TraceRecord& record, v1::TracedPacket& packet) {
  packet.set_time_ns(clock.nanoseconds(record.tsc));
  v1::Explanation& explanation = *packet.mutable_explanation();
  tell_passage(view, sources, record.passage, record.sent.copy(), explanation);
  tell_frame(sources, record.received, *explanation.mutable_received());
  const Verdict fate = record.passage.fate();
  if (fate == Verdict::transmitted || fate == Verdict::answered)
    tell_frame(sources, record.sent, *explanation.mutable_sent());
}

}  // namespace

grpc::Status ObserveService::Trace(grpc::ServerContext* context, const v1::TraceRequest* request,
                                   grpc::ServerWriter<v1::TraceChunk>* writer) {
  const Expected<Identity> caller = identity_of(*context);
  if (!caller) return to_status(caller.error());
  return trace(*caller, *request, sender(*context, *caller, *writer), [&] { return context->IsCancelled(); });
}

grpc::Status ObserveService::trace(const Identity& caller, const v1::TraceRequest& request,
                                   const Send<v1::TraceChunk>& send, const std::function<bool()>& is_over) {
  const auto asked = as_capture(request);
  if (!asked) return to_status(asked.error());
  const auto filter = filter_of(*asked);
  if (!filter) return to_status(filter.error());
  const auto seat = watches_.take(caller.name());
  if (!seat) return to_status(seat.error());
  auto session = sources_.captures->begin_trace(*filter);
  if (!session) return to_status(session.error());
  spdlog::info("trace by {} begins: {}", caller.name(), description_of(*asked));

  const TscClock clock;
  const uint64_t most = request.packets() != 0 ? request.packets() : default_packets;
  TraceParts parts(*filter);
  std::vector<TraceRecord> records;  // to be sent
  uint64_t told = 0;
  bool is_drained = false;  // there was nothing more to take, or nothing more is wanted
  const auto take = [&](bool ends) {
    const auto now = TraceParts::Clock::now();
    is_drained = false;
    for (size_t n = 0; n < parts_of_turn; ++n) {
      const bool wants_no_more = told + records.size() == most;
      if (wants_no_more || records.size() == packets_of_chunk) {
        is_drained = wants_no_more;
        return;
      }
      const auto part = session->take_trace();
      if (!part) {
        is_drained = true;
        break;
      }
      if (const auto record = parts.add(*part, now)) records.push_back(*record);
    }
    if (ends && is_drained)
      parts.give_up_all();
    else
      parts.give_up(now - TraceParts::patience);
  };
  const auto send_records = [&] {
    v1::TraceChunk chunk;
    if (!records.empty()) {
      const auto done = control_.run([&](Control::View view) {
        for (const TraceRecord& record : records)
          tell_packet(view, sources_, clock, record, *chunk.add_packets());
      });
      if (!done) return false;  // the gateway is stopping
    }
    told += records.size();
    records.clear();
    chunk.set_told(told);
    chunk.set_lost(session->lost() + parts.lost());
    return send(chunk, [&] { session->leave(); });
  };
  look(*session, request.seconds() != 0 ? request.seconds() : default_seconds,
       {take, [&] { return !records.empty() || !is_drained; }, send_records, [&] { return told == most; }},
       [&] { return is_stopping_ || is_over(); });
  spdlog::info("trace by {} has ended: {} packets, {} lost", caller.name(), told,
               session->lost() + parts.lost());
  if (is_stopping_)
    return to_status(Error{ErrorCode::unavailable, "the gateway is stopping; try again", {}, {}});
  return grpc::Status::OK;
}

}  // namespace portcullis::service
