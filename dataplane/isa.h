// Back ends: which vector instructions a worker's loop may use. The loop is compiled once for each from the
// same stage bodies, and a worker chooses one at start (worker.cc). The only code that differs by back end is
// behind Group (tables/group.h), which has a scalar twin.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace portcullis {

enum class Isa : unsigned char { scalar, avx2, avx512 };

inline constexpr std::array all_isas{Isa::scalar, Isa::avx2, Isa::avx512};

constexpr std::string_view name_of(Isa isa) {
  constexpr std::array<std::string_view, all_isas.size()> names{"scalar", "avx2", "avx512"};
  return names[static_cast<size_t>(isa)];
}

[[nodiscard]] constexpr std::optional<Isa> isa_of(std::string_view name) {
  for (const Isa isa : all_isas)
    if (name == name_of(isa)) return isa;
  return std::nullopt;
}

// Whether this CPU, and the operating system for its registers, can run the back end.
[[nodiscard]] bool is_supported(Isa isa);
// The widest that this CPU can run.
[[nodiscard]] Isa widest_isa();

// What a function needs that is compiled for a back end. Functions without an attribute are compiled for the
// floor (x86-64-v2) and may be inlined into any of them.
#if defined(__x86_64__)
#define PORTCULLIS_AVX2 [[gnu::target("avx2,bmi,bmi2,lzcnt,popcnt,movbe")]]
#if defined(__clang__)  // does not know this, and would take none of the attribute
#define PORTCULLIS_WIDTH_512 ""
#else
#define PORTCULLIS_WIDTH_512 ",prefer-vector-width=512"
#endif
#define PORTCULLIS_AVX512                                              \
  [[gnu::target(                                                       \
      "avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt," \
      "movbe" PORTCULLIS_WIDTH_512)]]
#endif

}  // namespace portcullis
