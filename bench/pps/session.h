// One run: fill, verify, measure, report.
#pragma once

#include "bench/pps/report.h"

namespace portcullis::bench {

struct Plan {
  std::string row;
  char rig = 'B';
  Workload workload;
  Isa isa = Isa::scalar;
  uint32_t trials = 9;
  double seconds = 1.0;
  double warm_up_seconds = 0;  // storm: worker time before the first trial
  double load = 0.9;           // of the residence histogram; 0: none
  bool stages = true;
  bool neighbour = true;
  bool cold = false;
  bool hugepages = true;
  uint32_t core = 0;
};

// EAL is up. internal when packets were wrong: then there is no figure.
[[nodiscard]] Expected<Report> run(const Plan& plan);

}  // namespace portcullis::bench
