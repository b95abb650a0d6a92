#include "src/net/byte_order.h"

#include <gtest/gtest.h>

#include <concepts>
#include <cstring>

#include "src/net/headers.h"

namespace portcullis {
namespace {

TEST(ByteOrder, BytesLieInNetworkOrder) {
  const Be16 two = Be16::from_host(0x0102);
  const Be32 four = Be32::from_host(0x01020304);
  uint8_t bytes[4];
  std::memcpy(bytes, &two, 2);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[1], 2);
  std::memcpy(bytes, &four, 4);
  for (uint8_t i = 0; i < 4; ++i) EXPECT_EQ(bytes[i], i + 1);
}

TEST(ByteOrder, RoundTrip) {
  for (uint32_t value = 0; value <= UINT16_MAX; ++value) {
    const auto host = static_cast<uint16_t>(value);
    ASSERT_EQ(Be16::from_host(host).host(), host);
    ASSERT_EQ(Be16::from_wire(host).wire(), host);
  }
  for (const uint32_t value : {0U, 1U, 0x80000000U, 0xdeadbeefU, UINT32_MAX}) {
    EXPECT_EQ(Be32::from_host(value).host(), value);
    EXPECT_EQ(Be32::from_wire(value).wire(), value);
  }
}

// Mixing orders must not compile.
template <typename Big, typename Host>
concept mixes = std::convertible_to<Host, Big> || std::convertible_to<Big, Host> ||
    requires(Big big, Host host) {
  big == host;
} || requires(Big big, Host host) {
  big + host;
};
static_assert(!mixes<Be16, uint16_t> && !mixes<Be16, int> && !mixes<Be32, uint32_t> && !mixes<Be16, Be32>);

TEST(Headers, UnalignedAddress) {
  const auto address = Ipv4Addr::of(192, 0, 2, 9);
  const auto unaligned = UnalignedIpv4::of(address);
  EXPECT_EQ(unaligned.bytes, (std::array<uint8_t, 4>{192, 0, 2, 9}));
  EXPECT_EQ(unaligned.address(), address);
}

}  // namespace
}  // namespace portcullis
