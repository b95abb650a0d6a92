#include "bench/pps/order.h"

#include <cmath>

namespace portcullis::bench {
namespace {

constexpr double zipf_exponent = 1.1;
constexpr uint32_t zipf_draws = 1 << 22;

}  // namespace

std::vector<uint32_t> zipf_ranks(uint32_t size, double exponent, uint32_t count) {
  const double one_less = 1 - exponent;
  const auto integral = [&](double x) { return std::pow(x, one_less) / one_less; };
  const auto inverse = [&](double y) { return std::pow(y * one_less, 1 / one_less); };
  const double low = integral(1.5) - 1;
  const double high = integral(size + 0.5);
  std::vector<uint32_t> ranks;
  ranks.reserve(count);
  for (uint64_t draw = 0; ranks.size() < count; ++draw) {
    const double uniform = static_cast<double>(mix(draw + 1) >> 11) * 0x1p-53;
    const double y = low + uniform * (high - low);
    const double k = std::clamp(std::floor(inverse(y) + 0.5), 1.0, static_cast<double>(size));
    if (y >= integral(k + 0.5) - std::pow(k, -exponent)) ranks.push_back(static_cast<uint32_t>(k) - 1);
  }
  return ranks;
}

Order::Order(uint32_t flows, bool zipf) : permutation_(flows) {
  if (zipf) ranks_ = zipf_ranks(flows, zipf_exponent, zipf_draws);
}

}  // namespace portcullis::bench
