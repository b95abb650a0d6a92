#include "src/net/checksum.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace portcullis {
namespace {

// RFC 1071, by the book: 16-bit words in network order, carries folded, complemented.
uint16_t checksum_by_the_book(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    const uint32_t high = bytes[i];
    const uint32_t low = i + 1 < bytes.size() ? bytes[i + 1] : 0;
    sum += high << 8 | low;
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

std::vector<uint8_t> random_bytes(std::mt19937& generator, size_t count) {
  std::vector<uint8_t> bytes(count);
  // Runs of 0x00 and 0xff are where one's complement arithmetic goes wrong.
  const auto kind = generator() % 4;
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(kind == 0 ? 0 : kind == 1 ? 0xff : generator());
  }
  return bytes;
}

Be16 word_at(const std::vector<uint8_t>& bytes, size_t offset) {
  uint16_t raw;
  std::memcpy(&raw, &bytes[offset], 2);
  return Be16::from_wire(raw);
}

void set_word(std::vector<uint8_t>& bytes, size_t offset, Be16 value) {
  const uint16_t raw = value.wire();
  std::memcpy(&bytes[offset], &raw, 2);
}

TEST(InternetSum, AgreesWithTheBook) {
  std::mt19937 generator(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto bytes = random_bytes(generator, generator() % 80);
    const Be16 sum = Be16::from_wire(internet_sum(bytes));
    ASSERT_EQ(static_cast<uint16_t>(~sum.host()), checksum_by_the_book(bytes));
  }
}

TEST(InternetSum, Rfc1071Example) {
  const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(Be16::from_wire(internet_sum(bytes)).host(), 0xddf2);
}

TEST(InternetSum, HeaderWithItsChecksumGivesAllOnes) {
  // A well-known IPv4 header whose checksum is b861.
  const uint8_t header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                            0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
  EXPECT_EQ(internet_sum(header), 0xffff);
}

TEST(InternetSum, Initial) {
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6};
  const std::span<const uint8_t> all(bytes);
  EXPECT_EQ(internet_sum(all.subspan(2), internet_sum(all.first(2))), internet_sum(all));
}

// The words of a header that translation changes: any of them, by any value, against the checksum of the
// whole.
TEST(ChecksumDelta, AgreesWithRecomputation) {
  std::mt19937 generator(2);
  for (int i = 0; i < 200'000; ++i) {
    // A header of 20 bytes, its checksum at 10; the first byte of a real one is not zero (0x45).
    auto bytes = random_bytes(generator, 20);
    bytes[0] = 0x45;
    set_word(bytes, 10, Be16());
    set_word(bytes, 10, Be16::from_host(checksum_by_the_book(bytes)));

    ChecksumDelta delta;
    const auto changes = 1 + generator() % 3;
    for (uint32_t change = 0; change < changes; ++change) {
      const auto fresh = random_bytes(generator, 4);
      if (generator() % 2 == 0) {
        const size_t offset = 12 + 4 * (generator() % 2);
        const auto address_at = [](const std::vector<uint8_t>& from, size_t at) {
          uint32_t raw;
          std::memcpy(&raw, &from[at], 4);
          return Ipv4Addr::from_wire(raw);
        };
        delta.replace(address_at(bytes, offset), address_at(fresh, 0));
        std::copy(fresh.begin(), fresh.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
      } else {
        const size_t offset = 2 + 2 * (generator() % 4);
        delta.replace(word_at(bytes, offset), word_at(fresh, 0));
        set_word(bytes, offset, word_at(fresh, 0));
      }
    }
    const Be16 updated = delta.apply(word_at(bytes, 10));
    set_word(bytes, 10, Be16());
    ASSERT_EQ(updated.host(), checksum_by_the_book(bytes));
  }
}

TEST(ChecksumDelta, NothingReplacedChangesNothing) {
  for (uint32_t value = 0; value <= UINT16_MAX; ++value) {
    const Be16 checksum = Be16::from_host(static_cast<uint16_t>(value));
    ASSERT_EQ(ChecksumDelta().apply(checksum), checksum);
  }
}

TEST(ChecksumDelta, Rfc1624Example) {
  // Section 4: HC = 0xdd2f, a word 0x5555 becomes 0x3285, and the new checksum is 0x0000.
  ChecksumDelta delta;
  delta.replace(Be16::from_host(0x5555), Be16::from_host(0x3285));
  EXPECT_EQ(delta.apply(Be16::from_host(0xdd2f)).host(), 0x0000);
}

TEST(ChecksumDelta, AnErrorStaysAnError) {
  std::mt19937 generator(3);
  for (int i = 0; i < 10'000; ++i) {
    auto bytes = random_bytes(generator, 20);
    bytes[0] = 0x45;
    set_word(bytes, 10, Be16());
    const uint16_t right = checksum_by_the_book(bytes);
    const auto wrong = static_cast<uint16_t>(right + 1 + generator() % 1000);
    const Be16 fresh = Be16::from_host(static_cast<uint16_t>(generator()));
    ChecksumDelta delta;
    delta.replace(word_at(bytes, 4), fresh);
    set_word(bytes, 4, fresh);
    set_word(bytes, 10, delta.apply(Be16::from_host(wrong)));
    ASSERT_NE(internet_sum(bytes), 0xffff);
  }
}

}  // namespace
}  // namespace portcullis
