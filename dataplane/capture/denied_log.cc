#include "dataplane/capture/denied_log.h"

#include <rte_cycles.h>

#include <optional>
#include <utility>

#include "dataplane/capture/frame_summary.h"
#include "dataplane/stages/family.h"

namespace portcullis {
namespace {

IpAddr eip_of(const Burst& burst, const BindingRecord& side, uint32_t i) {
  if ((burst.ipv6 >> i & 1) != 0) return stages::Ipv6::eip(side);
  return stages::Ipv4::eip(side);
}

// Whose list it was, or whose vm does not send as it should: known from identify on.
std::optional<IpAddr> concerned(const Burst& burst, uint32_t i, Drop reason) {
  if (reason == Drop::destination_not_permitted) return eip_of(burst, *burst.destination[i], i);
  if (reason == Drop::source_not_permitted || reason == Drop::spoofed_mac)
    return eip_of(burst, *burst.source[i], i);
  return std::nullopt;
}

}  // namespace

Expected<std::unique_ptr<DeniedLog>> DeniedLog::create(uint32_t worker, uint32_t workers,
                                                       uint32_t packets_a_second, int numa_node) {
  std::unique_ptr<DeniedLog> log(
      new DeniedLog((1000 * uint64_t{workers} + packets_a_second - 1) / packets_a_second));
  auto ring = CopyRing::create(worker, copies, frame_bytes, numa_node);
  if (!ring) return Unexpected(std::move(ring.error()));
  log->ring_ = std::move(*ring);
  return log;
}

void DeniedLog::offer(const Burst& burst, uint32_t i, Drop reason) noexcept {
  if (!is_denial(reason)) return;
  Turn& turn = turns_[static_cast<size_t>(reason)];
  if (burst.now_ms < turn.due_ms) {
    ++turn.unsaid;
    return;
  }
  const CopyNote note{.tsc = rte_rdtsc(),
                      .unsaid = turn.unsaid,
                      .eip = concerned(burst, i, reason),
                      .port = burst.in_port,
                      .fate = Fate::dropped,
                      .reason = reason};
  const bool is_said = ring_->put(*burst.mbuf[i], frame_bytes, note);
  turn = {.due_ms = burst.now_ms + interval_ms_, .unsaid = is_said ? 0 : turn.unsaid + 1};
}

std::string line_of(rte_mbuf& copy, std::string_view port) {
  const CopyNote& note = note_of(copy);
  std::string line;
  const auto add = [&](std::string_view name, std::string_view value) {
    line.append(line.empty() ? "" : " ").append(name).append("=").append(value);
  };
  add("reason", describe(note.reason).name);
  add("port", port);
  if (const auto summary = summary_of(frame_of_copy(copy))) {
    add("mac", summary->source_mac.to_string());
    if (summary->source) add("source", summary->source->to_string());
    if (summary->ports) add("source_port", std::to_string(summary->ports->source));
    if (summary->destination) add("destination", summary->destination->to_string());
    if (summary->ports) add("destination_port", std::to_string(summary->ports->destination));
    if (summary->protocol) add("protocol", protocol_text(*summary->protocol));
    if (summary->icmp) {
      add("icmp_type", std::to_string(summary->icmp->type));
      add("icmp_code", std::to_string(summary->icmp->code));
    }
  }
  if (note.eip) add("eip", note.eip->to_string());
  add("unsaid", std::to_string(note.unsaid));
  return line;
}

}  // namespace portcullis
