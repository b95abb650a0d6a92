// The time by which the store's promises run: so long an address rests, so long an answer is remembered. Unix
// milliseconds that do not jump when somebody sets the wall clock. Within one boot of the machine they are
// counted by CLOCK_BOOTTIME, which nobody can set, from what the wall clock said when the boot's first
// process came; a file beside the store tells the later ones. What no clock knows is how long a machine was
// off: over a boot the wall clock is believed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "src/base/expected.h"

namespace portcullis::store {

struct MachineClocks {
  std::string boot_id;  // another at each boot; empty: not known, and then each process is the first
  std::function<int64_t()> boot_ms;  // since the boot, time asleep among it; any thread
  std::function<int64_t()> wall_ms;  // since 1970
};
[[nodiscard]] MachineClocks machine_clocks();

class DurableClock {
 public:
  // `path`: of the file. One that is missing, or damaged, or of another boot, is as none.
  DurableClock(MachineClocks clocks, std::string path);
  // Writes the file, unless it says all that already. Without it a later process believes the wall clock.
  [[nodiscard]] Expected<void> save();

  [[nodiscard]] int64_t now_ms() const { return clocks_.boot_ms() + booted_ms_; }

 private:
  MachineClocks clocks_;
  std::string path_;
  int64_t booted_ms_ = 0;  // when the boot was, in unix milliseconds
  bool is_saved_ = false;
};

}  // namespace portcullis::store
