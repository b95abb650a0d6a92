// DPDK's environment for this process: memory, the worker's core, log lines. One object a process.
#pragma once

#include <cstdint>
#include <memory>

#include "config/settings.h"
#include "src/base/expected.h"

namespace portcullis {

class Eal {
 public:
  // `megabytes`: for a process without hugepages, or when the configuration says how much; else hugepages are
  // taken as they are needed. The calling thread becomes the main lcore, on eal.main_core.
  [[nodiscard]] static Expected<std::unique_ptr<Eal>> start(const config::Settings& settings,
                                                            uint32_t megabytes);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  // The lcore of the `index`-th worker.
  [[nodiscard]] static constexpr unsigned worker_lcore(uint32_t index) { return index + 1; }

 private:
  Eal() = default;
};

}  // namespace portcullis
