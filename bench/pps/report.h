// What a run says, as text and as JSON.
#pragma once

#include <optional>
#include <string>

#include "bench/pps/footprint.h"
#include "bench/pps/measure.h"
#include "dataplane/isa.h"

namespace portcullis::bench {

// Of the windows in which the worker had its core to itself.
struct Alone {
  double total = 0, floor = 0;  // clocks a packet
  std::optional<double> new_flows_per_second, established_ratio;
  [[nodiscard]] double g() const { return total - floor; }
};

// Several workers against one, clocks a packet of a worker.
struct Scaling {
  struct Case {
    Summary total;
    std::optional<double> alone;  // of windows in which each worker had its core to itself
  };
  Case one;         // the worker that is alone, all flows
  Case share;       // the same, only the flows that are the first's of several
  Case of_several;  // the first of several, the same flows, while the others do not poll
  Case each;        // of all, while all poll
  double one_floor = 0;
  std::optional<double> one_floor_alone;
  Summary gain;  // by trial: what all send a second, of what one sends
  std::optional<double> gain_alone;
  double handed_over = 0;  // of the packets that arrive
  double overlap = 0;      // of the time of the polls: all poll
};

struct Report {
  std::string row;  // of the table of targets; empty: none
  std::string rig;
  std::string work;  // in words
  Isa isa = Isa::scalar;
  Workload workload;
  bool cold = false;
  bool hugepages = true;
  double tsc_hz = 0;
  double fill_seconds = 0;
  size_t table_bytes = 0;
  Footprint grown;             // from before the first trial to behind the last one
  uint64_t flows_open = 0;     // entries of the flow table at the end
  uint64_t flows_refused = 0;  // flows that found no room in their bucket, and were not sent
  uint32_t flow_capacity = 0;
  bool verified = false;
  uint32_t trials = 0;
  Summary total, floor;          // clocks a packet
  std::vector<double> by_trial;  // those of `total`, in order
  Windows windows;
  std::optional<Alone> alone;     // too few such windows: none
  std::optional<Summary> memory;  // TSC ticks that a line took from memory, between the windows
  std::optional<double> neighbour;
  Stages stages;
  std::optional<Residence> residence;
  std::optional<Scaling> scaling;  // several workers: `total`, `floor` and `alone` are of each
  // storm: flows opened a second, and the share of attempts that the table refused
  std::optional<double> new_flows_per_second;
  double refused_share = 0;
  // flood: packets of open flows a second, and the same while the other half is unmatched traffic
  std::optional<double> established_pps, established_pps_unmatched;

  [[nodiscard]] double g() const { return total.median - floor.median; }
  // Of all workers.
  [[nodiscard]] double mpps() const { return workload.workers * tsc_hz / total.median / 1e6; }
  [[nodiscard]] double ns() const { return total.median / tsc_hz * 1e9; }
};

[[nodiscard]] std::string text_of(const Report& report);
[[nodiscard]] std::string json_of(const Report& report);

}  // namespace portcullis::bench
