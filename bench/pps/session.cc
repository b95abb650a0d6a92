#include "bench/pps/session.h"

#include <rte_cycles.h>

#include <memory>

#include "bench/pps/feed_rig.h"
#include "bench/pps/progress.h"
#include "bench/pps/rows.h"
#include "bench/pps/scaling.h"
#include "bench/pps/verify.h"

namespace portcullis::bench {
namespace {

constexpr double stages_seconds = 0.5;

// Figures of the trials, the floor's beside the worker's; and what all of them did with the core to
// themselves.
struct Trials {
  std::vector<double> floor, total, useful, unmatched;
  Sum floor_alone, alone, unmatched_alone;
};

Expected<void> trial(Meter& meter, Source& source, Source& floor_source, const Plan& plan, Trials& trials) {
  PlainPoller poller;
  const Sample floor = meter.measure_floor(floor_source, plan.seconds * floor_share);
  trials.floor.push_back(floor.all.clocks_per_packet());
  trials.floor_alone.add(floor.alone);
  if (auto* flood = dynamic_cast<FloodSource*>(&source)) {
    flood->set_unmatched(true);
    const auto beside = meter.measure(source, poller, plan.seconds);
    if (!beside) return Unexpected(beside.error());
    trials.unmatched.push_back(beside->all.useful_per_second());
    trials.unmatched_alone.add(beside->alone);
    flood->set_unmatched(false);
  }
  const auto sample = meter.measure(source, poller, plan.seconds);
  if (!sample) return Unexpected(sample.error());
  trials.total.push_back(sample->all.clocks_per_packet());
  trials.useful.push_back(sample->all.useful_per_second());
  trials.alone.add(sample->alone);
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

// What is sent by either rig: the flows that there are from the start, and what is made of them.
struct Sources {
  FlowSource flows;
  std::unique_ptr<StormSource> storm;
  std::unique_ptr<FloodSource> flood;

  explicit Sources(const Workload& workload) : flows(workload) {
    if (workload.work == Work::storm) storm = std::make_unique<StormSource>(workload, rte_get_tsc_hz());
    if (workload.work == Work::flood) flood = std::make_unique<FloodSource>(workload, flows);
  }
  Source& measured() {
    if (storm) return *storm;
    if (flood) return *flood;
    return flows;
  }
};

Expected<void> verify(RingRig& rig, Sources& sources, const Plan& plan) {
  constexpr uint32_t storm_turns = 4096;
  if (sources.storm) return verify_storm(rig, *sources.storm, storm_turns);
  RingRig* const rigs[] = {&rig};
  return verify_flows(rigs, sources.flows, plan.workload);
}

Expected<void> measure(Meter& meter, Sources& sources, const Plan& plan, Report& report) {
  Source& source = sources.measured();
  if (plan.neighbour) {
    const auto factor = neighbour_factor(meter, source, plan.core);
    if (!factor) return Unexpected(factor.error());
    if (*factor > 0) report.neighbour = *factor;
  }
  // Only the trials' windows count: beside a neighbour they are meant to be disturbed.
  meter.forget_windows();
  Trials trials;
  Progress progress("measuring");
  const Footprint before = Footprint::now();
  const uint64_t attempts = sources.storm ? sources.storm->attempts() : 0;
  const uint64_t opened = sources.storm ? sources.storm->useful() : 0;
  for (uint32_t n = 0; n < plan.trials; ++n) {
    progress.at(n, plan.trials);
    if (auto done = trial(meter, source, sources.flows, plan, trials); !done) return done;
  }
  report.grown = Footprint::now() - before;
  report.total = summarise(trials.total);
  report.by_trial = trials.total;
  report.floor = summarise(trials.floor);
  report.windows = meter.windows();
  const bool alone =
      report.windows.alone >= fewest_alone && trials.alone.packets != 0 && trials.floor_alone.packets != 0;
  if (alone)
    report.alone =
        Alone{.total = trials.alone.clocks_per_packet(), .floor = trials.floor_alone.clocks_per_packet()};
  if (!meter.memory_clocks().empty()) report.memory = summarise(meter.memory_clocks());
  if (sources.storm) {
    report.new_flows_per_second = summarise(trials.useful).median;
    if (alone) report.alone->new_flows_per_second = trials.alone.useful_per_second();
    report.refused_share = 1 - static_cast<double>(sources.storm->useful() - opened) /
                                   static_cast<double>(sources.storm->attempts() - attempts);
  }
  if (sources.flood) {
    report.established_pps = summarise(trials.useful).median;
    report.established_pps_unmatched = summarise(trials.unmatched).median;
    if (alone && trials.unmatched_alone.packets != 0)
      report.alone->established_ratio =
          trials.alone.useful_per_second() / trials.unmatched_alone.useful_per_second();
  }
  if (!plan.stages) return {};
  auto stages = measure_stages(meter, source, stages_seconds);
  if (!stages) return Unexpected(stages.error());
  report.stages = std::move(*stages);
  return {};
}

void describe_tables(Gateway& gateway, Report& report) {
  const Worker& worker = gateway.worker();
  report.fill_seconds = gateway.fill_seconds();
  report.table_bytes = gateway.bytes();
  report.flows_open = worker.flows().size();
  report.flow_capacity = worker.flows().capacity();
}

// Rig B, whole; or for rig A the verification that only rig B can do: packets that must be dropped among the
// others.
Expected<void> run_ring(const Plan& plan, Report& report) {
  auto made = RingRig::create(plan.workload, plan.isa, plan.cold);
  if (!made) return Unexpected(made.error());
  RingRig& rig = **made;
  Sources sources(plan.workload);
  if (auto done = verify(rig, sources, plan); !done) return done;
  report.verified = true;
  if (plan.rig == 'A') return {};
  if (auto done = warm_up(rig, sources.measured(), plan); !done) return done;
  Meter meter(rig);
  if (auto done = measure(meter, sources, plan, report); !done) return done;
  if (plan.load > 0) {
    auto residence = measure_residence(rig, sources.measured(), plan.load, report.total.median, plan.seconds);
    if (!residence) return Unexpected(residence.error());
    report.residence = *residence;
  }
  report.flows_refused = sources.flows.refused();
  describe_tables(rig.gateway(), report);
  return {};
}

Expected<void> run_feed(const Plan& plan, Report& report) {
  Sources sources(plan.workload);
  auto made = FeedRig::create(plan.workload, sources.flows, plan.isa);
  if (!made) return Unexpected(made.error());
  FeedRig& rig = **made;
  if (auto done = rig.verify(); !done) return done;
  Meter meter(rig);
  if (auto done = measure(meter, sources, plan, report); !done) return done;
  describe_tables(rig.gateway(), report);
  return {};
}

}  // namespace

Expected<Report> run(const Plan& plan) {
  Report report{.row = plan.row,
                .rig = std::string(1, plan.rig),
                .work = describe(plan.workload),
                .isa = plan.isa,
                .workload = plan.workload,
                .cold = plan.cold,
                .hugepages = plan.hugepages,
                .tsc_hz = static_cast<double>(rte_get_tsc_hz()),
                .trials = plan.trials};
  auto done = plan.workload.workers > 1 ? run_several(plan, report) : run_ring(plan, report);
  if (done && plan.rig == 'A') done = run_feed(plan, report);
  if (!done) return fail(done.error().code, "no figure: " + done.error().message);
  return report;
}

}  // namespace portcullis::bench
