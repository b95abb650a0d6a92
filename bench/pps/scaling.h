// Row 12: what several workers give together, against one on the same tables.
#pragma once

#include "bench/pps/session.h"

namespace portcullis::bench {

// workload.workers of them, rig B; lists and flows that are open. EAL has an lcore for each (cpu_of_worker).
[[nodiscard]] Expected<void> run_several(const Plan& plan, Report& report);

}  // namespace portcullis::bench
