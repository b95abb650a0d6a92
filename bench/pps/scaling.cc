#include "bench/pps/scaling.h"

#include <memory>
#include <utility>
#include <vector>

#include "bench/pps/crew.h"
#include "bench/pps/progress.h"
#include "bench/pps/verify.h"

namespace portcullis::bench {
namespace {

// A source for each worker.
template <typename Kind>
struct Shares {
  std::vector<std::unique_ptr<Kind>> own;
  std::vector<Source*> all;

  Shares(const FlowSource& flows, const Workload& workload) {
    for (uint32_t worker = 0; worker < workload.workers; ++worker)
      all.push_back(own.emplace_back(std::make_unique<Kind>(flows, workload, worker)).get());
  }
};

// Packets that arrive at their owners must not be handed over.
Expected<CrewSample> measure(Crew& crew, std::span<Source* const> sources, const Plan& plan, double seconds) {
  auto sample = crew.measure(sources, seconds);
  if (sample && !plan.workload.unspread && sample->handed_over != 0)
    return fail(ErrorCode::internal, "packets that arrived at their owner were handed over");
  return sample;
}

// What only two threads can spoil: each packet by itself is verified before.
Expected<void> verify_together(Crew& crew, const FlowSource& flows, const Plan& plan) {
  constexpr double seconds = 0.1;
  const Shares<CheckedSource> sources(flows, plan.workload);
  if (auto done = measure(crew, sources.all, plan, seconds); !done) return Unexpected(done.error());
  for (const auto& source : sources.own)
    if (!source->fault().empty())
      return fail(ErrorCode::internal, source->fault() + " while all workers polled");
  return {};
}

// The trials of one of the cases.
struct Case {
  std::vector<double> total;
  std::vector<Sum> alone;  // by worker

  void add(const Sample& sample) {
    total.push_back(sample.all.clocks_per_packet());
    add_alone({&sample.alone, 1});
  }
  void add(const CrewSample& sample) {
    total.push_back(clocks_per_packet(sample.all));
    add_alone(sample.alone);
  }
  void add_alone(std::span<const Sum> sums) {
    alone.resize(sums.size());
    for (size_t n = 0; n < sums.size(); ++n) alone[n].add(sums[n]);
  }
};

struct CrewTrials {
  Case one, share, of_several, each, one_floor, floor;
  std::vector<double> gain, overlap, handed_over;
};

class Comparison {
 public:
  Comparison(const Plan& plan, RingRig& alone, std::vector<RingRig*> rigs, Crew& crew, FlowSource& flows)
      : plan_(plan),
        spread_(spread(plan.workload)),
        crew_(crew),
        one_(alone),
        first_(*rigs.front()),
        flows_(flows),
        share_(flows, spread_, 0),
        shares_(flows, plan.workload) {}

  Expected<void> run(Report& report) {
    if (plan_.neighbour) {
      const auto factor = neighbour_factor(one_, flows_, plan_.core);
      if (!factor) return Unexpected(factor.error());
      report.neighbour = *factor;
    }
    one_.forget_windows();
    crew_.forget_windows();
    Progress progress("measuring");
    const Footprint before = Footprint::now();
    for (uint32_t n = 0; n < plan_.trials; ++n) {
      progress.at(n, plan_.trials);
      if (auto done = trial(); !done) return done;
    }
    report.grown = Footprint::now() - before;
    tell(report);
    return {};
  }

 private:
  static Workload spread(Workload workload) {
    workload.unspread = false;
    return workload;
  }

  // All cases, one after the other.
  Expected<void> trial() {
    PlainPoller poller;
    const double of_floor = plan_.seconds * floor_share;
    trials_.one_floor.add(one_.measure_floor(flows_, of_floor));
    const auto add = [&](Case& to, Meter& meter, Source& source) -> Expected<void> {
      const auto sample = meter.measure(source, poller, plan_.seconds);
      if (!sample) return Unexpected(sample.error());
      to.add(*sample);
      return {};
    };
    if (auto done = add(trials_.one, one_, flows_); !done) return done;
    if (auto done = add(trials_.share, one_, share_); !done) return done;
    if (auto done = add(trials_.of_several, first_, share_); !done) return done;
    trials_.floor.add(crew_.measure_floor(shares_.all, of_floor));
    const auto sample = measure(crew_, shares_.all, plan_, plan_.seconds);
    if (!sample) return Unexpected(sample.error());
    trials_.each.add(*sample);
    trials_.overlap.push_back(sample->overlap);
    trials_.handed_over.push_back(sample->handed_over);
    trials_.gain.push_back(plan_.workload.workers * trials_.one.total.back() / trials_.each.total.back());
    return {};
  }

  void tell(Report& report) const {
    bool is_enough = true;
    for (const Windows* windows : {&one_.windows(), &first_.windows(), &crew_.windows()}) {
      report.windows.add(*windows);
      is_enough = is_enough && windows->alone >= fewest_alone;
    }
    const auto alone = [&](const Case& of) -> std::optional<double> {
      const double clocks = clocks_per_packet(of.alone);
      return is_enough && clocks > 0 ? std::optional(clocks) : std::nullopt;
    };
    const auto said = [&](const Case& of) {
      return Scaling::Case{.total = summarise(of.total), .alone = alone(of)};
    };
    Scaling scaling{.one = said(trials_.one),
                    .share = said(trials_.share),
                    .of_several = said(trials_.of_several),
                    .each = said(trials_.each),
                    .one_floor = summarise(trials_.one_floor.total).median,
                    .one_floor_alone = alone(trials_.one_floor),
                    .gain = summarise(trials_.gain),
                    .gain_alone = {},
                    .handed_over = summarise(trials_.handed_over).median,
                    .overlap = summarise(trials_.overlap).median};
    report.total = scaling.each.total;
    report.by_trial = trials_.each.total;
    report.floor = summarise(trials_.floor.total);
    const auto floor_alone = alone(trials_.floor);
    if (scaling.each.alone && floor_alone)
      report.alone = Alone{.total = *scaling.each.alone, .floor = *floor_alone};
    if (scaling.each.alone && scaling.one.alone)
      scaling.gain_alone = plan_.workload.workers * *scaling.one.alone / *scaling.each.alone;
    if (!one_.memory_clocks().empty()) report.memory = summarise(one_.memory_clocks());
    report.scaling = scaling;
  }

  const Plan& plan_;
  Workload spread_;
  Crew& crew_;
  Meter one_, first_;
  FlowSource& flows_;
  ShareSource share_;  // what arrives at the first of several if they are spread
  Shares<ShareSource> shares_;
  CrewTrials trials_;
};

}  // namespace

Expected<void> run_several(const Plan& plan, Report& report) {
  const Workload& workload = plan.workload;
  auto made = RingRig::create(workload, plan.isa, plan.cold);
  if (!made) return Unexpected(made.error());
  RingRig& alone = **made;
  std::vector<std::unique_ptr<RingRig>> several;
  std::vector<RingRig*> rigs;
  std::vector<uint32_t> cpus;
  for (uint32_t n = 0; n < workload.workers; ++n) {
    rigs.push_back(several.emplace_back(alone.of_worker(n)).get());
    cpus.push_back(cpu_of_worker(plan.core, n));
  }
  FlowSource flows(workload);
  RingRig* const one[] = {&alone};
  if (auto done = verify_flows(one, flows, workload); !done) return done;
  if (auto done = verify_flows(rigs, flows, workload); !done) return done;
  Crew crew(rigs, cpus);
  if (auto done = verify_together(crew, flows, plan); !done) return done;
  report.verified = true;

  Comparison comparison(plan, alone, rigs, crew, flows);
  if (auto done = comparison.run(report); !done) return done;
  report.flows_refused = flows.refused();
  report.fill_seconds = alone.gateway().fill_seconds();
  report.table_bytes = alone.gateway().bytes();
  for (RingRig* rig : rigs) report.flows_open += rig->worker().flows().size();
  report.flow_capacity = rigs.front()->worker().flows().capacity();
  return {};
}

}  // namespace portcullis::bench
