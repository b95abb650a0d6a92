// The rows of the table of targets (docs/bench-pps.md) as workloads.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/pps/workload.h"

namespace portcullis::bench {

struct Row {
  std::string_view name;
  std::string_view work;
  Workload workload;
};

[[nodiscard]] const std::vector<Row>& rows();
[[nodiscard]] const Row* find_row(std::string_view name);
// A workload in words.
[[nodiscard]] std::string describe(const Workload& workload);

}  // namespace portcullis::bench
