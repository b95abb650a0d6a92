// Lets the calling thread, and those that it starts, run on more CPUs for as long as this lives. What cannot
// be had is left out: the work takes longer then.
#pragma once

#include <sched.h>

#include <cstdint>
#include <span>

namespace portcullis {

class WiderAffinity {
 public:
  explicit WiderAffinity(std::span<const uint32_t> cpus) {
    is_known_ = sched_getaffinity(0, sizeof before_, &before_) == 0;
    if (!is_known_) return;
    cpu_set_t wider = before_;
    for (const uint32_t cpu : cpus)
      if (cpu < CPU_SETSIZE) CPU_SET(cpu, &wider);
    sched_setaffinity(0, sizeof wider, &wider);
  }
  ~WiderAffinity() {
    if (is_known_) sched_setaffinity(0, sizeof before_, &before_);
  }
  WiderAffinity(const WiderAffinity&) = delete;
  WiderAffinity& operator=(const WiderAffinity&) = delete;
  WiderAffinity(WiderAffinity&&) = delete;
  WiderAffinity& operator=(WiderAffinity&&) = delete;

 private:
  cpu_set_t before_{};
  bool is_known_ = false;
};

}  // namespace portcullis
