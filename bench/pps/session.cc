#include "bench/pps/session.h"

#include <rte_cycles.h>

#include <cstdio>

#include "bench/pps/progress.h"
#include "bench/pps/rows.h"
#include "bench/pps/verify.h"

namespace portcullis::bench {
namespace {

constexpr double stages_seconds = 0.5;
constexpr double floor_share = 0.25;  // of a trial's time

// Figures of the trials, the floor's beside the worker's.
struct Trials {
  std::vector<double> floor, total, useful, unmatched;
};

Unexpected without_figure(const Error& error) {
  return fail(error.code, "no figure: " + error.message);
}

Expected<void> trial(Meter& meter, Source& source, Source& floor_source, const Plan& plan, Trials& trials) {
  PlainPoller poller;
  trials.floor.push_back(meter.measure_floor(floor_source, plan.seconds * floor_share).clocks_per_packet);
  if (auto* flood = dynamic_cast<FloodSource*>(&source)) {
    flood->set_unmatched(true);
    const auto beside = meter.measure(source, poller, plan.seconds);
    if (!beside) return Unexpected(beside.error());
    trials.unmatched.push_back(beside->useful_per_second);
    flood->set_unmatched(false);
  }
  const auto sample = meter.measure(source, poller, plan.seconds);
  if (!sample) return Unexpected(sample.error());
  trials.total.push_back(sample->clocks_per_packet);
  trials.useful.push_back(sample->useful_per_second);
  if (auto* flood = dynamic_cast<FloodSource*>(&source);
      flood && flood->useful() != flood->established_sent())
    return fail(ErrorCode::internal, "packets of established flows were lost in the flood");
  return {};
}

// Until a storm has aged what it opened, or a flood has filled the table.
Expected<void> warm_up(RingRig& rig, Source& source, const Plan& plan) {
  Progress progress("warming up");
  PlainPoller poller;
  rig.reset_balance();
  const FlowTable& flows = rig.gateway().worker().flows();
  const uint64_t begin = rig.clock();
  const auto budget = static_cast<uint64_t>(plan.warm_up_seconds * static_cast<double>(rte_get_tsc_hz()));
  const bool fills = plan.workload.work == Work::flood && plan.workload.flood == Flood::full;
  // Where buckets are full at random, some never are: that nothing was added for a while is full enough.
  constexpr uint32_t patience = 1000;
  uint32_t idle_turns = 0;
  uint64_t size = flows.size();
  while (rig.clock() - begin < budget || (fills && idle_turns < patience)) {
    rig.turn(source, poller, burst_size);
    idle_turns = flows.size() == size ? idle_turns + 1 : 0;
    size = flows.size();
    if (fills)
      progress.at(size, flows.capacity());
    else
      progress.at(rig.clock() - begin, budget);
  }
  return rig.balance();
}

Expected<void> verify(RingRig& rig, FlowSource& flows, StormSource* storm, const Plan& plan) {
  constexpr uint32_t storm_turns = 4096;
  if (storm != nullptr) return verify_storm(rig, *storm, storm_turns);
  return verify_flows(rig, flows, plan.workload);
}

}  // namespace

Expected<Report> run_ring(const Plan& plan) {
  auto made = RingRig::create(plan.workload, plan.isa, plan.cold);
  if (!made) return Unexpected(made.error());
  RingRig& rig = **made;
  FlowSource flows(plan.workload);
  std::unique_ptr<StormSource> storm;
  std::unique_ptr<FloodSource> flood;
  if (plan.workload.work == Work::storm)
    storm = std::make_unique<StormSource>(plan.workload, rte_get_tsc_hz());
  if (plan.workload.work == Work::flood) flood = std::make_unique<FloodSource>(plan.workload, flows);
  Source* source = &flows;
  if (storm) source = storm.get();
  if (flood) source = flood.get();

  if (auto done = verify(rig, flows, storm.get(), plan); !done) return without_figure(done.error());
  if (flows.refused() * 100 > plan.workload.flows)
    return fail(ErrorCode::resource_exhausted,
                "no figure: " + std::to_string(flows.refused()) +
                    " flows found no room in the flow table; raise --flow-slots");
  if (auto done = warm_up(rig, *source, plan); !done) return without_figure(done.error());

  Report report{.row = plan.row,
                .rig = std::string(rig.name()),
                .work = describe(plan.workload),
                .isa = plan.isa,
                .workload = plan.workload,
                .cold = plan.cold,
                .hugepages = plan.hugepages,
                .tsc_hz = static_cast<double>(rte_get_tsc_hz()),
                .fill_seconds = rig.gateway().fill_seconds(),
                .verified = true,
                .trials = plan.trials};
  Meter meter(rig);
  if (plan.neighbour) {
    const auto factor = neighbour_factor(meter, *source, plan.core);
    if (!factor) return without_figure(factor.error());
    if (*factor > 0) report.neighbour = *factor;
  }
  // Only the trials' windows count: beside a neighbour they are meant to be disturbed.
  meter.forget_windows();
  Trials trials;
  {
    Progress progress("measuring");
    const uint64_t attempts_before = storm ? storm->attempts() : 0;
    const uint64_t opened_before = storm ? storm->useful() : 0;
    for (uint32_t n = 0; n < plan.trials; ++n) {
      progress.at(n, plan.trials);
      if (auto done = trial(meter, *source, flows, plan, trials); !done) return without_figure(done.error());
    }
    if (storm) {
      const auto attempts = static_cast<double>(storm->attempts() - attempts_before);
      report.refused_share = 1 - static_cast<double>(storm->useful() - opened_before) / attempts;
    }
  }
  report.total = summarise(trials.total);
  report.floor = summarise(trials.floor);
  report.windows = meter.windows();
  if (storm) report.new_flows_per_second = summarise(trials.useful).median;
  if (flood) {
    report.established_pps = summarise(trials.useful).median;
    report.established_pps_unmatched = summarise(trials.unmatched).median;
  }
  if (plan.stages) {
    auto stages = measure_stages(meter, *source, stages_seconds);
    if (!stages) return without_figure(stages.error());
    report.stages = std::move(*stages);
  }
  if (plan.load > 0) {
    auto residence = measure_residence(rig, *source, plan.load, report.total.median, plan.seconds);
    if (!residence) return without_figure(residence.error());
    report.residence = *residence;
  }
  Worker& worker = rig.gateway().worker();
  report.table_bytes = rig.gateway().bytes();
  report.flows_open = worker.flows().size();
  report.flow_capacity = worker.flows().capacity();
  report.flows_refused = flows.refused();
  return report;
}

}  // namespace portcullis::bench
