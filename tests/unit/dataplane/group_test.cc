#include "dataplane/tables/group.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace portcullis {
namespace {

// Every back end that this CPU runs against the scalar twin, on random groups with many equal elements.
template <typename Group>
void compare() {
  if (!is_supported(Group::isa)) GTEST_SKIP() << "this CPU has no " << name_of(Group::isa);
  std::mt19937 random(1);
  const auto below = [&](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
  for (int round = 0; round < 20'000; ++round) {
    const uint32_t values = 1 + below(5);
    std::array<uint16_t, 64> numbers;
    for (auto& number : numbers) number = static_cast<uint16_t>(below(values) * 0x1111);
    std::array<std::array<uint32_t, 4>, 64> records;
    for (auto& record : records)
      for (auto& field : record) field = below(values * 20) * 0x11223344;
    std::array<std::atomic<uint32_t>, 8> words;
    for (auto& word : words) word = below(values) * 0x11223344;
    const auto number = static_cast<uint16_t>(below(values) * 0x1111);
    const uint32_t word = below(values) * 0x11223344;
    ASSERT_EQ(Group::equal16(numbers.data(), number), ScalarGroup::equal16(numbers.data(), number));
    ASSERT_EQ(Group::not_after16(numbers.data(), number), ScalarGroup::not_after16(numbers.data(), number));
    ASSERT_EQ(Group::equal8(words.data(), word), ScalarGroup::equal8(words.data(), word));
    ASSERT_EQ(Group::equal64(numbers.data(), number), ScalarGroup::equal64(numbers.data(), number));
    for (uint32_t at = 0; at < 4; ++at)
      ASSERT_EQ(Group::equal64_words(records.data(), at, word),
                ScalarGroup::equal64_words(records.data(), at, word));
  }
}

TEST(Group, TheScalarTwinSaysWhichAreEqual) {
  std::array<uint16_t, 64> numbers{};
  numbers[0] = numbers[15] = numbers[16] = numbers[63] = 7;
  EXPECT_EQ(ScalarGroup::equal16(numbers.data(), 7), 0x8001u);
  EXPECT_EQ(ScalarGroup::equal64(numbers.data(), 7), 0x8000000000018001u);
  std::array<std::array<uint32_t, 4>, 64> records{};
  records[0][2] = records[1][3] = records[63][2] = 7;
  EXPECT_EQ(ScalarGroup::equal64_words(records.data(), 2, 7), 0x8000000000000001u);
  EXPECT_EQ(ScalarGroup::equal64_words(records.data(), 3, 7), 2u);
  std::array<uint16_t, 16> times{};
  times = {0, 1, 5, 6, 0x7fff, 0x8004, 0x8005, 0x8006, 0xffff, 9, 9, 9, 9, 9, 9, 9};
  EXPECT_EQ(ScalarGroup::not_after16(times.data(), 5), 0b1'1100'0111u);
  std::array<std::atomic<uint32_t>, 8> words{};
  words[2] = words[7] = 5;
  EXPECT_EQ(ScalarGroup::equal8(words.data(), 5), 0x84u);
}

#if defined(__x86_64__)
TEST(Group, Avx2IsEqual) {
  compare<Avx2Group>();
}
TEST(Group, Avx512IsEqual) {
  compare<Avx512Group>();
}
#endif

TEST(Isa, NamesAreReadBack) {
  for (const Isa isa : all_isas) EXPECT_EQ(isa_of(name_of(isa)), isa);
  EXPECT_EQ(isa_of("sse9"), std::nullopt);
  EXPECT_TRUE(is_supported(Isa::scalar));
  EXPECT_TRUE(is_supported(widest_isa()));
}

}  // namespace
}  // namespace portcullis
