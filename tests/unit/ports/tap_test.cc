// The TAP against the kernel that is there: what it sets up, what goes through, and that nothing of it stays.
#include "dataplane/ports/tap.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <optional>

#include "tests/model/frames.h"
#include "tests/unit/ports/own_network.h"

namespace portcullis {
namespace {

using testing::Bytes;
using testing::gateway;
using testing::output_of;
using testing::outside;

TapConfig config_of(const std::string& name) {
  return {name, {{0x02, 0x50, 0x43, 0, 0, 1}}, 1400, {{gateway, 24}, {Ipv4Addr::of(198, 51, 100, 9), 32}}};
}

// The next IPv4 frame that the kernel sends within two seconds.
std::optional<Bytes> next_ipv4(Tap& tap) {
  Bytes frame(2048);
  pollfd readable{tap.descriptor(), POLLIN, 0};
  while (poll(&readable, 1, 2000) > 0) {
    const size_t size = tap.read(frame);
    const Bytes read(frame.begin(), frame.begin() + static_cast<long>(size));
    if (testing::is_ipv4(read)) return read;
  }
  return std::nullopt;
}

TEST(Tap, HasItsAddressesAndTheirRoute) {
  NEEDS_OWN_NETWORK();
  const auto tap = Tap::create(config_of("pctap0"));
  ASSERT_TRUE(tap) << tap.error().message;
  const std::string device = output_of("ip address show pctap0");
  EXPECT_NE(device.find("NOARP,UP"), std::string::npos) << device;
  EXPECT_NE(device.find("mtu 1400"), std::string::npos) << device;
  EXPECT_NE(device.find("02:50:43:00:00:01"), std::string::npos) << device;
  EXPECT_NE(device.find("inet 198.51.100.1/24"), std::string::npos) << device;
  EXPECT_NE(device.find("inet 198.51.100.9/32"), std::string::npos) << device;
  // What the gateway sends goes by the TAP, also into its own subnet; what others send does not.
  EXPECT_NE(output_of("ip route get 192.0.2.7 from 198.51.100.1").find("dev pctap0"), std::string::npos);
  EXPECT_NE(output_of("ip route get 198.51.100.7 from 198.51.100.9").find("dev pctap0"), std::string::npos);
  EXPECT_EQ(output_of("ip route get 198.51.100.7").find("dev pctap0"), std::string::npos);
}

TEST(Tap, HasIpv6AddressesAndTheirRouteAndTakesThemAway) {
  NEEDS_OWN_NETWORK();
  const std::string rules = output_of("ip -6 rule");
  {
    TapConfig config = config_of("pctap0");
    config.addresses.push_back({*Ipv6Addr::parse("2001:db8::1"), 64});
    const auto tap = Tap::create(config);
    ASSERT_TRUE(tap) << tap.error().message;
    EXPECT_NE(output_of("ip -6 address show pctap0").find("inet6 2001:db8::1/64"), std::string::npos);
    EXPECT_NE(output_of("ip route get 2001:db8:7::1 from 2001:db8::1").find("dev pctap0"), std::string::npos);
    EXPECT_EQ(output_of("ip route get 2001:db8::7").find("dev pctap0"), std::string::npos);
    EXPECT_NE(output_of("ip -6 rule"), rules);
  }
  EXPECT_EQ(output_of("ip -6 rule"), rules);
}

TEST(Tap, LeavesNothingBehind) {
  NEEDS_OWN_NETWORK();
  const std::string rules = output_of("ip rule");
  { ASSERT_TRUE(Tap::create(config_of("pctap0"))); }
  EXPECT_EQ(output_of("ip rule"), rules);
  EXPECT_EQ(output_of("ip -oneline link").find("pctap0"), std::string::npos);
}

TEST(Tap, ReplacesTheRulesOfAProcessThatWasKilled) {
  NEEDS_OWN_NETWORK();
  const std::string rules = output_of("ip rule");
  ASSERT_EQ(output_of("ip rule add from 198.51.100.1 priority 20547 table 77"), "");
  { ASSERT_TRUE(Tap::create(config_of("pctap0"))); }
  EXPECT_EQ(output_of("ip rule"), rules);
}

TEST(Tap, RefusesAnInterfaceThatExists) {
  NEEDS_OWN_NETWORK();
  const auto first = Tap::create(config_of("pctap0"));
  ASSERT_TRUE(first);
  const auto second = Tap::create(config_of("pctap0"));
  ASSERT_FALSE(second);
  EXPECT_EQ(
      second.error().message,
      "TAP pctap0: cannot be created, an interface of this name exists; remove it, or choose another name in "
      "gateway.tap: Device or resource busy");
}

TEST(Tap, TheKernelAnswersAPingAlsoUnderAStrictReversePathFilter) {
  NEEDS_OWN_NETWORK();
  auto tap = Tap::create(config_of("pctap0"));
  ASSERT_TRUE(tap);
  (void)output_of("sysctl -qw net.ipv4.conf.pctap0.rp_filter=1");
  const testing::Packet ping{.to = tap->config().mac,
                             .from = {{2, 0, 0, 0, 0, 2}},
                             .source = outside,
                             .destination = gateway,
                             .protocol = testing::icmp,
                             .icmp_id = 7};
  ASSERT_TRUE(tap->write(build(ping)));
  const auto answer = next_ipv4(*tap);
  ASSERT_TRUE(answer);
  EXPECT_EQ(testing::get_address(*answer, 26), gateway);
  EXPECT_EQ(testing::get_address(*answer, 30), outside);
  EXPECT_EQ((*answer)[testing::transport_at], 0) << "echo reply";
  EXPECT_TRUE(testing::header_checksum_right(*answer));
  EXPECT_TRUE(testing::transport_checksum_right(*answer));
}

}  // namespace
}  // namespace portcullis
