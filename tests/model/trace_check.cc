#include "tests/model/trace_check.h"

#include <algorithm>
#include <stdexcept>

#include "tests/model/passage_check.h"

namespace portcullis::testing {
namespace {

using reference::Fate;

std::string told(Fate fate, const std::string& reason) {
  constexpr const char* names[] = {"transmitted", "answered", "punted", "dropped"};
  return names[static_cast<size_t>(fate)] + (reason.empty() ? "" : " " + reason);
}

bool begins_as(const TracedFrame& frame, const Bytes& bytes) {
  return frame.length == bytes.size() &&
         std::ranges::equal(frame.copy(), std::span(bytes).first(frame.copied));
}

// Stages in their order, from the first to the one where it ended; each worker's end with where it went.
void compare_stages(const Passage& passage, const std::string& what, std::vector<std::string>& wrong) {
  const auto stages = passage.stages();
  for (size_t n = 0; n < stages.size(); ++n) {
    const PassedStage& stage = stages[n];
    if (stage.reason && describe(*stage.reason).stage != stage.stage)
      wrong.push_back(what + " for " + std::string(describe(*stage.reason).name) + " by " +
                      std::string(stage.stage));
    const bool is_last = n + 1 == stages.size();
    const bool goes_on = stage.verdict == Verdict::passed || stage.verdict == Verdict::answered ||
                         stage.verdict == Verdict::handed_over;
    if (goes_on == is_last)
      wrong.push_back(what + " and then goes on, or ends in " + std::string(stage.stage));
    if (!is_last && (stage.verdict == Verdict::handed_over) != (stage.worker != stages[n + 1].worker))
      wrong.push_back(what + " by a worker that has not got it");
  }
}

// With several workers a frame may find no room where another one transmits it: its trace has ended by then.
bool is_full(const reference::Turn& turn) {
  return std::ranges::any_of(turn.verdicts, [](const auto& of_port) {
    return std::ranges::any_of(of_port,
                               [](const auto& verdict) { return verdict.reason == "transmit_full"; });
  });
}

}  // namespace

TraceCheck::TraceCheck(GatewayUnderTest& gateway, bool only_drops)
    : gateway_(gateway), only_drops_(only_drops) {
  capture_.filter.fates.fill(!only_drops);
  capture_.filter.fates[static_cast<size_t>(portcullis::Fate::dropped)] = true;
  capture_.filter.reasons.fill(true);
  capture_.filter.ports.fill(true);
  capture_.shares = std::vector<Capture::Share>(gateway.workers().size());
  for (uint32_t worker = 0; worker < capture_.shares.size(); ++worker)
    capture_.shares[worker].tracer =
        std::make_unique<Tracer>(capture_.filter, worker, Tracer::mark_bit().value(), 0);
  gateway.tables().capture = &capture_;
}

TraceCheck::~TraceCheck() {
  gateway_.tables().capture = nullptr;
}

std::vector<TraceRecord> TraceCheck::take_all() {
  TraceParts parts(capture_.filter);
  std::vector<TraceRecord> all;
  uint64_t lost = 0;
  for (const Capture::Share& share : capture_.shares) {
    TraceRing& ring = share.tracer->ring();
    for (; ring.front() != nullptr; ring.pop())
      if (auto trace = parts.add(*ring.front(), {})) all.push_back(*trace);
    lost += share.tracer->lost();
  }
  parts.give_up_all();
  lost_ = lost - lost_before_ + parts.lost();
  lost_before_ = lost;
  return all;
}

bool TraceCheck::is_asked_for(const reference::Verdict& verdict) const {
  return !only_drops_ || !verdict.reason.empty();
}

void TraceCheck::compare(const reference::Setup& setup,
                         const std::vector<std::vector<reference::Arrival>>& arrivals,
                         const reference::Turn& turn, SourcePorts& source_ports,
                         std::vector<std::string>& wrong) {
  std::vector<TraceRecord> all = take_all();
  size_t came = 0;
  for (const auto& of_port : arrivals) came += of_port.size();
  if (came > TraceRing::places) return;  // a storm, of which some find no place
  if (gateway_.workers().size() > 1 && is_full(turn)) return;
  if (lost_ != 0) wrong.emplace_back("a trace has lost packets");
  // The marks of whoever receives count up.
  std::ranges::sort(all, {}, &TraceRecord::mark);
  for (reference::PortNumber port = 0; port < arrivals.size(); ++port)
    for (uint32_t receiver = 0; receiver < gateway_.workers().size(); ++receiver) {
      Received received;
      for (const TraceRecord& record : all)
        if (record.received.port == gateway_.port_id(port) &&
            record.passage.stages().front().worker == receiver)
          received.traces.push_back(&record);
      for (size_t n = 0; n < arrivals[port].size(); ++n)
        if (setup.workers.receiver(port, arrivals[port][n].bytes) == receiver &&
            is_asked_for(turn.verdicts[port][n]))
          received.asked_for.emplace_back(&arrivals[port][n], &turn.verdicts[port][n]);
      compare(setup, received, source_ports, wrong);
    }
}

void TraceCheck::compare(const reference::Setup& setup, const Received& received, SourcePorts& source_ports,
                         std::vector<std::string>& wrong) {
  if (received.traces.size() > received.asked_for.size()) wrong.emplace_back("a trace of what has not come");
  for (size_t n = 0; n < received.asked_for.size(); ++n) {
    const auto& [arrival, verdict] = received.asked_for[n];
    if (n < received.traces.size())
      compare(setup, *received.traces[n], *arrival, *verdict, source_ports, wrong);
    else
      wrong.push_back("no trace of what the reference says is " + told(verdict->fate, verdict->reason));
  }
}

void TraceCheck::compare(const reference::Setup& setup, const TraceRecord& record,
                         const reference::Arrival& arrival, const reference::Verdict& verdict,
                         SourcePorts& source_ports, std::vector<std::string>& wrong) {
  const std::string expected = told(verdict.fate, verdict.reason);
  const Fate fate = fate_of(record.passage.fate());
  const auto reason = record.passage.reason();
  const std::string traced = told(fate, reason ? std::string(describe(*reason).name) : "");
  ++events_["traced: " + traced];
  if (traced != expected) {
    wrong.push_back(
        std::string("traced as ").append(traced).append(", but the reference says ").append(expected));
    return;
  }
  compare_stages(record.passage, "traced as " + traced, wrong);
  compare_rules(gateway_, record.passage, verdict, "traced as " + traced, wrong);
  if (arrival.first_segment == 0 && !begins_as(record.received, arrival.bytes))
    wrong.push_back("traced as " + traced + " with other bytes than what came");
  if (fate != Fate::transmitted && fate != Fate::answered) return;
  if (record.sent.port != gateway_.port_id(verdict.port) || record.passage.out_port() != record.sent.port)
    wrong.push_back("traced as leaving by port " + std::to_string(record.sent.port));
  if (record.sent.copied != record.sent.length) return;
  Bytes left(record.sent.copy().begin(), record.sent.copy().end());
  left = source_ports.without(setup.ports[verdict.port], std::move(left), wrong);
  if (left != verdict.bytes) wrong.push_back("traced as " + traced + " with other bytes than what leaves");
}

}  // namespace portcullis::testing
