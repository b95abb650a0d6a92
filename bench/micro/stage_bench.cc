// Each stage of the pipeline alone, on each back end: packets a second of those that it is given, and TSC
// ticks a packet ("tsc"). Real frames, the product's tables, filled through its publisher, and ports made of
// rings, as in bench-pps rig B; every burst of 64 is another one.
//
// In the time: the stage's one call over the burst, between two serialising reads of the clock; what the
// reads take is taken off. Not in it: the generator, the receive, and the stages before and after, which run
// for every burst, so that a stage finds what those before it find out and ask the caches for. What a stage
// asks for and does not wait for is in the time of the stage that does.
//
// What comes out, and what is dropped by reason, is compared with what should be: if it differs there is no
// figure. Time stands still: nothing expires.

#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>
#include <utility>

#include "bench/micro/micro.h"
#include "bench/pps/ring_rig.h"
#include "dataplane/worker_loop.h"

namespace portcullis::micro {
namespace {

using bench::Packet;
using bench::Way;
using bench::Work;

struct Traffic {
  std::string_view name;
  Work work;
  Way way;
  bool half_denied;  // every other packet, at random, is one that no rule lets in
  int64_t most;      // flows
};

// As many EIPs as flows, but at most 1 M.
constexpr std::array traffics{
    Traffic{"permitted", Work::listed, Way::in, false, million},
    Traffic{"reply", Work::listed, Way::out, false, million},
    Traffic{"tracked", Work::tracked, Way::out, false, 16 * million},
    Traffic{"half_permitted", Work::listed, Way::in, true, million},
    Traffic{"not_permitted", Work::not_permitted, Way::in, false, million},
    Traffic{"unbound", Work::unbound, Way::in, false, million},
};

bench::Workload workload_of(const Traffic& traffic, uint32_t flows) {
  return {.work = traffic.work,
          .eips = std::min(flows, static_cast<uint32_t>(million)),
          .flows = flows,
          .ways = {traffic.way}};
}

// Of each case: what is not measured takes many times as long as what is, so time would be no good limit.
constexpr int64_t bursts = 20'000;

constexpr size_t stage_count = std::tuple_size_v<Pipeline>;
constexpr std::array stage_names =
    std::apply([](auto... stage) { return std::array{decltype(stage)::name...}; }, Pipeline{});

// Stages [first, last).
template <typename Group, size_t first, size_t last>
void run_stages(WorkerState& worker) {
  [&]<size_t... n>(std::index_sequence<n...>) {
    (Group::template call<std::tuple_element_t<first + n, Pipeline>>(worker.burst, worker.tables, worker),
     ...);
  }
  (std::make_index_sequence<last - first>());
}

// A rig and what it is fed with. All flows are open.
class Bed {
 public:
  static Expected<std::unique_ptr<Bed>> create(const Traffic& traffic, uint32_t flows) {
    const bench::Workload workload = workload_of(traffic, flows);
    auto rig = bench::RingRig::create(workload, Isa::scalar, false);
    if (!rig) return tl::unexpected(rig.error());
    std::unique_ptr<Bed> bed(new Bed(traffic, workload, std::move(*rig)));
    if (traffic.work == Work::tracked)
      for (uint32_t sent = 0; sent < flows; sent += burst) bed->whole_burst();
    if (auto done = bed->rig_->balance(); !done) return tl::unexpected(done.error());
    return bed;
  }

  [[nodiscard]] WorkerState& worker() { return rig_->gateway().worker().state(); }
  [[nodiscard]] bench::RingRig& rig() { return *rig_; }

  // The next burst is in the worker's hands.
  void receive_next() {
    std::array<Packet, burst> packets;
    source_.fill(traffic_.way, packets);
    if (traffic_.half_denied)
      for (Packet& packet : packets)
        if (!half_.next()) packet = source_.denied(packet);
    rig_->send(traffic_.way, packets);
    receive(worker(), in_port_, now_ms);
  }
  // It has left.
  void collect() {
    rig_->collect(traffic_.way);
    rig_->release();
  }
  void whole_burst() {
    receive_next();
    run_stages<ScalarGroup, 0, stage_count>(worker());
    collect();
  }

 private:
  static constexpr uint64_t now_ms = 1;

  Bed(const Traffic& traffic, const bench::Workload& workload, std::unique_ptr<bench::RingRig> rig)
      : traffic_(traffic), rig_(std::move(rig)), source_(workload) {
    const PortTable& ports = worker().tables.ports;
    for (const PortId port : ports.in_use)
      if ((port == ports.uplink) == (traffic.way == Way::in)) in_port_ = port;
  }

  Traffic traffic_;
  std::unique_ptr<bench::RingRig> rig_;
  bench::FlowSource source_;
  Known half_{50};
  PortId in_port_ = 0;
};

// Two reads of the clock with nothing between them.
double clocks_of_reading() {
  constexpr uint32_t tries = 1000;
  uint64_t least = UINT64_MAX;
  for (uint32_t n = 0; n < tries; ++n) {
    const uint64_t begin = bench::clock_now();
    least = std::min(least, bench::clock_now() - begin);
  }
  return static_cast<double>(least);
}

// Packets that stage `n` is given of a burst, by n: with a gateway of few EIPs.
std::array<int, stage_count> given(const Traffic& traffic) {
  std::array<int, stage_count> live{};
  auto bed = Bed::create(traffic, burst);
  if (!bed) {
    std::fprintf(stderr, "%s\n", bed.error().message.c_str());
    std::exit(1);
  }
  WorkerState& worker = (*bed)->worker();
  (*bed)->receive_next();
  size_t n = 0;
  live[n++] = std::popcount(worker.burst.live);
  run_pipeline<ScalarGroup>(worker.burst, worker.tables, worker, [&](std::string_view) {
    if (n < stage_count) live[n++] = std::popcount(worker.burst.live);
  });
  (*bed)->collect();
  return live;
}

template <typename Group, size_t stage>
void measure(benchmark::State& state, const Traffic& traffic) {
  const auto create = [&](uint32_t flows) { return Bed::create(traffic, flows); };
  const auto kept_bed = keep<Bed>(state.range(0), create, &traffic);
  if (!kept_bed) return skip(state, kept_bed.error());
  Bed& bed = **kept_bed;
  WorkerState& worker = bed.worker();
  bed.rig().reset_balance();
  const double reading = clocks_of_reading();
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  int64_t packets = 0;
  double clocks = 0;
  for (auto _ : state) {
    bed.receive_next();
    run_stages<Group, 0, stage>(worker);
    packets += std::popcount(worker.burst.live);
    const uint64_t begin = bench::clock_now();
    run_stages<Group, stage, stage + 1>(worker);
    const double taken = std::max(0.0, static_cast<double>(bench::clock_now() - begin) - reading);
    run_stages<Group, stage + 1, stage_count>(worker);
    bed.collect();
    clocks += taken;
    state.SetIterationTime(taken / hz);
  }
  if (auto done = bed.rig().balance(); !done) return skip(state, done.error());
  state.SetItemsProcessed(packets);
  state.counters["tsc"] = clocks / static_cast<double>(packets);
}

template <typename Group>
void register_group(const Traffic& traffic, int64_t flows, const std::array<int, stage_count>& live) {
  if (!is_supported(Group::isa)) return;
  [&]<size_t... stage>(std::index_sequence<stage...>) {
    const auto add = [&](size_t n, void (*run)(benchmark::State&, const Traffic&)) {
      if (live[n] == 0) return;  // all are dropped before it
      const std::string name = std::string(stage_names[n]) + "<" + std::string(name_of(Group::isa)) + ">/" +
                               std::string(traffic.name);
      benchmark::RegisterBenchmark(name.c_str(), [run, &traffic](benchmark::State& s) { run(s, traffic); })
          ->ArgName("flows")
          ->Arg(flows)
          ->Iterations(bursts)
          ->UseManualTime();
    };
    (add(stage, measure<Group, stage>), ...);
  }
  (std::make_index_sequence<stage_count>());
}

void register_all() {
  for (const Traffic& traffic : traffics) {
    const std::array<int, stage_count> live = given(traffic);
    for (const int64_t flows : sizes) {
      if (flows > traffic.most) continue;
      register_group<ScalarGroup>(traffic, flows, live);
#if defined(__x86_64__)
      register_group<Avx2Group>(traffic, flows, live);
      register_group<Avx512Group>(traffic, flows, live);
#endif
    }
  }
}

}  // namespace
}  // namespace portcullis::micro

int main(int argc, char** argv) {
  portcullis::micro::start_eal(1024);
  portcullis::micro::register_all();
  return portcullis::micro::run(argc, argv);
}
