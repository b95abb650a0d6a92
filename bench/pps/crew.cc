#include "bench/pps/crew.h"

#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_launch.h>

#include <algorithm>
#include <array>
#include <optional>

#include "bench/pps/step.h"

namespace portcullis::bench {
namespace {

using Core = Calibration::Core;

}  // namespace

// Of one worker's.
struct Crew::Window {
  Sum sum;
  bool stalled = false;
  Core before = Core::slow, after = Core::slow;
};

// When a worker polled, in this turn and in the one before: others read the one while it writes the other.
struct alignas(64) Crew::Polled {
  std::array<uint64_t, 2> begin{}, end{};
};

// What the workers share while they run.
struct Crew::Run {
  std::span<const std::unique_ptr<Seat>> seats;
  Step step;
  uint64_t end;  // TSC
  bool empty;    // nothing between receive and transmit
  uint64_t together = 0;
};

struct Crew::Seat {
  Seat(uint32_t place_, RingRig& rig_, uint32_t cpu_) : place(place_), cpu(cpu_), rig(rig_) {}
  uint32_t place;
  uint32_t cpu;
  RingRig& rig;
  PlainPoller poller;
  std::optional<Calibration> calibration;  // made on its CPU
  Source* source = nullptr;
  Run* run = nullptr;
  std::vector<Window> windows;
  uint64_t polling = 0;  // clocks
  Polled polled;
};

Crew::Crew(std::vector<RingRig*> rigs, std::vector<uint32_t> cpus) {
  for (uint32_t n = 0; n < rigs.size(); ++n) seats_.push_back(std::make_unique<Seat>(n, *rigs[n], cpus[n]));
}

Crew::~Crew() = default;

void Crew::work(Run& run, Seat& seat) {
  const bool leads = seat.place == 0;
  const uint64_t stall = stall_clocks();
  const auto together = [&](size_t turn) {
    uint64_t begin = 0, end = UINT64_MAX;
    for (const auto& each : run.seats) {
      begin = std::max(begin, each->polled.begin[turn]);
      end = std::min(end, each->polled.end[turn]);
    }
    return end > begin ? end - begin : 0;
  };
  if (!seat.calibration) seat.calibration.emplace();
  uint64_t turn = 0;
  Core before = seat.calibration->look();
  for (Step::Then then = Step::Then::go_on; then != Step::Then::stop;) {
    Window window{.sum = {}, .before = before};
    const uint64_t until = rte_rdtsc() + clocks_of(window_seconds);
    do {
      window.sum.packets += seat.rig.feed(*seat.source, burst_size);
      const uint64_t now = rte_rdtsc();
      then = run.step.wait(seat.place, now >= run.end ? Step::Then::stop
                                       : now >= until ? Step::Then::look
                                                      : Step::Then::go_on);
      const uint64_t begin = rte_rdtsc();
      const uint64_t clocks = run.empty ? seat.rig.poll_empty() : seat.rig.poll(seat.poller);
      const uint64_t end = rte_rdtsc();
      seat.polling += end - begin;
      seat.polled.begin[turn % 2] = begin;
      seat.polled.end[turn % 2] = end;
      if (leads && turn != 0) run.together += together((turn - 1) % 2);
      if (run.empty)
        seat.rig.discard();
      else
        seat.rig.take_back(*seat.source);
      window.sum.clocks += clocks;
      window.stalled |= clocks > stall;
      ++turn;
    } while (then == Step::Then::go_on);
    window.after = before = seat.calibration->look();
    seat.windows.push_back(window);
  }
}

int Crew::work_elsewhere(void* seat) {
  auto& self = *static_cast<Seat*>(seat);
  work(*self.run, self);
  return 0;
}

CrewSample Crew::in_windows(std::span<Source* const> sources, double seconds, bool empty) {
  Run run{.seats = seats_,
          .step = Step(static_cast<uint32_t>(seats_.size())),
          .end = rte_rdtsc() + clocks_of(seconds),
          .empty = empty};
  for (const auto& seat : seats_) {
    seat->source = sources[seat->place];
    seat->run = &run;
    seat->windows.clear();
    seat->polling = 0;
    if (seat->place != 0) RTE_VERIFY(rte_eal_remote_launch(work_elsewhere, seat.get(), seat->cpu) == 0);
  }
  work(run, *seats_.front());
  for (const auto& seat : seats_)
    if (seat->place != 0) rte_eal_wait_lcore(seat->cpu);

  CrewSample sample{.all = std::vector<Sum>(seats_.size()), .alone = std::vector<Sum>(seats_.size())};
  std::vector<Sum> discarded(seats_.size());
  uint64_t polling = 0;
  for (const auto& seat : seats_) polling += seat->polling;
  sample.overlap = static_cast<double>(run.together * seats_.size()) / static_cast<double>(polling);
  for (size_t n = 0; n < seats_.front()->windows.size(); ++n) {
    const auto all_of = [&](auto&& is_so) {
      return std::ranges::all_of(seats_, [&](const auto& seat) { return is_so(seat->windows[n]); });
    };
    const auto add_to = [&](std::vector<Sum>& sums) {
      for (const auto& seat : seats_) sums[seat->place].add(seat->windows[n].sum);
    };
    ++windows_.all;
    if (!all_of([](const Window& window) { return window.after != Core::slow && !window.stalled; })) {
      ++windows_.discarded;
      add_to(discarded);
      continue;
    }
    add_to(sample.all);
    if (!all_of(
            [](const Window& window) { return window.before == Core::alone && window.after == Core::alone; }))
      continue;
    ++windows_.alone;
    add_to(sample.alone);
  }
  // As with one worker (Meter): Windows says that they were disturbed.
  if (sample.all.front().packets == 0) sample.all = discarded;
  return sample;
}

Expected<CrewSample> Crew::measure(std::span<Source* const> sources, double seconds) {
  for (const auto& seat : seats_) seat->rig.reset_balance();
  const Passed before = passed();
  CrewSample sample = in_windows(sources, seconds, false);
  finish(sources);
  const Passed after = passed();
  sample.handed_over = static_cast<double>(after.handed_over - before.handed_over) /
                       static_cast<double>(after.received - before.received);
  std::vector<Ledger> ledgers;
  for (const auto& seat : seats_) ledgers.push_back(seat->rig.ledger());
  if (auto done = Ledger::balance(ledgers); !done) return Unexpected(done.error());
  return sample;
}

CrewSample Crew::measure_floor(std::span<Source* const> sources, double seconds) {
  return in_windows(sources, seconds, true);
}

void Crew::finish(std::span<Source* const> sources) {
  for (const auto& seat : seats_) {
    seat->rig.poll(seat->poller);
    seat->rig.take_back(*sources[seat->place]);
  }
}

Crew::Passed Crew::passed() const {
  Passed passed;
  for (const auto& seat : seats_) {
    const WorkerCounters& counters = seat->rig.worker().counters();
    passed.received += counters.received();
    passed.handed_over += counters.handed_over.get();
  }
  return passed;
}

}  // namespace portcullis::bench
