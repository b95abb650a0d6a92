#include "src/net/cursor.h"

#include <gtest/gtest.h>

#include <array>

#include "src/net/five_tuple.h"
#include "src/net/headers.h"

namespace portcullis {
namespace {

constexpr std::array<uint8_t, 8> bytes{1, 2, 3, 4, 5, 6, 7, 8};

TEST(Cursor, ReadsInOrder) {
  Cursor cursor(bytes);
  Be16 first;
  Be32 second;
  ASSERT_TRUE(cursor.read(first));
  ASSERT_TRUE(cursor.read(second));
  EXPECT_EQ(first.host(), 0x0102);
  EXPECT_EQ(second.host(), 0x03040506U);
  EXPECT_EQ(cursor.offset(), 6U);
  EXPECT_EQ(cursor.remaining(), 2U);
}

// For every length: what fits is read, what does not moves nothing and writes nothing.
TEST(Cursor, Bounds) {
  for (size_t length = 0; length <= bytes.size(); ++length) {
    Cursor cursor(std::span<const uint8_t>(bytes).first(length));
    Be32 value = Be32::from_host(0xdeadbeef);
    EXPECT_EQ(cursor.read(value), length >= 4);
    EXPECT_EQ(cursor.offset(), length >= 4 ? 4U : 0U);
    EXPECT_EQ(value.host(), length >= 4 ? 0x01020304U : 0xdeadbeefU);

    Cursor skipping(std::span<const uint8_t>(bytes).first(length));
    EXPECT_EQ(skipping.skip(5), length >= 5);
    EXPECT_EQ(skipping.remaining(), length >= 5 ? length - 5 : length);
  }
}

TEST(Cursor, HugeSkipDoesNotWrap) {
  Cursor cursor(bytes);
  ASSERT_TRUE(cursor.skip(1));
  EXPECT_FALSE(cursor.skip(SIZE_MAX));
  EXPECT_FALSE(cursor.skip(8));
  EXPECT_EQ(cursor.offset(), 1U);
  EXPECT_TRUE(cursor.skip(7));
  EXPECT_TRUE(cursor.skip(0));
  EXPECT_EQ(cursor.remaining(), 0U);
}

TEST(Cursor, Empty) {
  Cursor cursor({});
  uint8_t byte = 9;
  EXPECT_FALSE(cursor.read(byte));
  EXPECT_EQ(byte, 9);
  EXPECT_TRUE(cursor.skip(0));
}

TEST(Cursor, HeadersAsTheyLie) {
  const std::array<uint8_t, 14> frame{0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x06};
  Cursor cursor(frame);
  EthernetHeader header;
  ASSERT_TRUE(cursor.read(header));
  EXPECT_EQ(header.destination.to_string(), "02:00:00:00:00:01");
  EXPECT_EQ(header.source.to_string(), "02:00:00:00:00:02");
  EXPECT_EQ(header.ether_type, ether_type::arp);
  EXPECT_EQ(cursor.remaining(), 0U);
}

// A key is compared and hashed as bytes.
TEST(SideTuple, EqualMeansEqualBytes) {
  SideTuple a{Ipv4Addr::of(203, 0, 113, 1),
              Ipv4Addr::of(192, 0, 2, 1),
              Port::from_host(80),
              Port::from_host(4000),
              6,
              0};
  SideTuple b = a;
  EXPECT_EQ(a, b);
  EXPECT_EQ(std::memcmp(&a, &b, sizeof a), 0);
  b.remote_port = Port::from_host(4001);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace portcullis
