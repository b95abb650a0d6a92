#include "dataplane/isa.h"

#include <rte_cpuflags.h>

#include <initializer_list>

namespace portcullis {

bool is_supported(Isa isa) {
#if defined(__x86_64__)
  const auto has = [](std::initializer_list<rte_cpu_flag_t> flags) {
    for (const rte_cpu_flag_t flag : flags)
      if (rte_cpu_get_flag_enabled(flag) <= 0) return false;
    return true;
  };
  if (isa == Isa::avx2) return has({RTE_CPUFLAG_AVX2, RTE_CPUFLAG_BMI1, RTE_CPUFLAG_BMI2});
  if (isa == Isa::avx512)
    return is_supported(Isa::avx2) &&
           has({RTE_CPUFLAG_AVX512F, RTE_CPUFLAG_AVX512BW, RTE_CPUFLAG_AVX512DQ, RTE_CPUFLAG_AVX512VL});
#endif
  return isa == Isa::scalar;
}

Isa widest_isa() {
  Isa widest = Isa::scalar;
  for (const Isa isa : all_isas)
    if (is_supported(isa)) widest = isa;
  return widest;
}

}  // namespace portcullis
