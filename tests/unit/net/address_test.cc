#include "src/net/address.h"

#include <gtest/gtest.h>

#include <cstring>

namespace portcullis {
namespace {

std::string round_trip_address(std::string_view text) {
  const auto parsed = Ipv4Addr::parse(text);
  return parsed ? parsed->to_string() : "refused";
}

TEST(Ipv4Addr, Parse) {
  for (const char* good : {"0.0.0.0", "1.2.3.4", "203.0.113.255", "255.255.255.255"}) {
    EXPECT_EQ(round_trip_address(good), good);
  }
  for (const char* bad :
       {"", " ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4",
        "1.2.3.0x4", "1,2,3,4", "::1", "1.2.3.4/32", "255.255.255.2555", "host"}) {
    EXPECT_EQ(round_trip_address(bad), "refused") << bad;
  }
  EXPECT_EQ(round_trip_address(std::string_view("1.2.3.4\0", 8)), "refused") << "a zero byte within the text";
}

TEST(Ipv4Addr, WireAndHostOrder) {
  constexpr auto address = Ipv4Addr::of(192, 0, 2, 1);
  static_assert(address.host() == 0xc0000201);
  static_assert(Ipv4Addr::from_host(0xc0000201) == address);
  static_assert(Ipv4Addr::from_wire(address.wire()) == address);
  uint8_t bytes[4];
  std::memcpy(bytes, &address, sizeof bytes);
  EXPECT_EQ(bytes[0], 192);
  EXPECT_EQ(bytes[3], 1);
}

TEST(Ipv4Addr, OrderedByNumber) {
  static_assert(Ipv4Addr::of(1, 0, 0, 255) < Ipv4Addr::of(2, 0, 0, 0));
  static_assert(Ipv4Addr::of(9, 255, 255, 255) < Ipv4Addr::of(10, 0, 0, 0));
  static_assert(Ipv4Addr::of(127, 0, 0, 1) < Ipv4Addr::of(128, 0, 0, 0));
}

std::string round_trip_prefix(std::string_view text) {
  const auto parsed = Ipv4Prefix::parse(text);
  return parsed ? parsed->to_string() : "refused";
}

TEST(Ipv4Prefix, Parse) {
  for (const char* good : {"0.0.0.0/0", "10.0.0.0/8", "203.0.113.128/25", "192.0.2.1/32"}) {
    EXPECT_EQ(round_trip_prefix(good), good);
  }
  EXPECT_EQ(round_trip_prefix("192.0.2.1"), "192.0.2.1/32");
  for (const char* bad : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8",
                          "10.0.0.0/8 ", "10.0.0.0/ 8", "10.0.0.0/8/8", "10.0.0.0/4294967304", "10.0.0.1/8",
                          "0.0.0.1/0", "192.0.2.1/31", "10.0.0/8", "10.0.0.0/255.0.0.0"}) {
    EXPECT_EQ(round_trip_prefix(bad), "refused") << bad;
  }
}

TEST(Ipv4Prefix, CanonicalForm) {
  static_assert(Ipv4Prefix(Ipv4Addr::of(10, 1, 2, 3), 8) == Ipv4Prefix(Ipv4Addr::of(10, 0, 0, 0), 8));
  static_assert(Ipv4Prefix(Ipv4Addr::of(255, 255, 255, 255), 0) == Ipv4Prefix());
  static_assert(Ipv4Prefix(Ipv4Addr::of(10, 0, 0, 0), 8) != Ipv4Prefix(Ipv4Addr::of(10, 0, 0, 0), 9));
}

TEST(Ipv4Prefix, RangeOfEachLength) {
  for (uint8_t length = 0; length <= 32; ++length) {
    const Ipv4Prefix prefix(Ipv4Addr::of(203, 0, 113, 77), length);
    const uint64_t size = uint64_t{1} << (32 - length);
    EXPECT_EQ(prefix.size(), size);
    EXPECT_EQ(prefix.last().host() - prefix.first().host(), size - 1);
    EXPECT_EQ(prefix.first().host() % size, 0U);
    EXPECT_TRUE(prefix.contains(prefix.first()));
    EXPECT_TRUE(prefix.contains(prefix.last()));
    EXPECT_TRUE(prefix.contains(Ipv4Addr::of(203, 0, 113, 77)));
    if (length > 0) {
      EXPECT_FALSE(prefix.contains(Ipv4Addr::from_host(prefix.first().host() - 1)));
      EXPECT_FALSE(prefix.contains(Ipv4Addr::from_host(prefix.last().host() + 1)));
    }
    EXPECT_EQ(Ipv4Prefix::parse(prefix.to_string()), prefix);
  }
}

TEST(Ipv4Prefix, ContainsAndOverlaps) {
  const auto wide = *Ipv4Prefix::parse("10.0.0.0/8");
  const auto narrow = *Ipv4Prefix::parse("10.1.0.0/16");
  const auto other = *Ipv4Prefix::parse("11.0.0.0/16");
  EXPECT_TRUE(wide.contains(narrow));
  EXPECT_TRUE(wide.contains(wide));
  EXPECT_FALSE(narrow.contains(wide));
  EXPECT_FALSE(wide.contains(other));
  EXPECT_TRUE(wide.overlaps(narrow));
  EXPECT_TRUE(narrow.overlaps(wide));
  EXPECT_FALSE(wide.overlaps(other));
  EXPECT_FALSE(other.overlaps(wide));
  EXPECT_TRUE(Ipv4Prefix().contains(other));
}

TEST(Ipv6Addr, Parse) {
  for (const char* good :
       {"::", "::1", "2001:db8::1", "fe80::1", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.1"}) {
    const auto parsed = Ipv6Addr::parse(good);
    ASSERT_TRUE(parsed) << good;
    EXPECT_EQ(parsed->to_string(), good);
  }
  EXPECT_EQ(Ipv6Addr::parse("2001:0DB8:0:0::0001")->to_string(), "2001:db8::1");
  for (const char* bad : {"", ":", "1.2.3.4", "2001:db8", "fe80::1%eth0", "::1/128", "1::2::3", " ::1"})
    EXPECT_FALSE(Ipv6Addr::parse(bad)) << bad;
}

TEST(Ipv6Addr, OrderAndHalves) {
  constexpr auto address = Ipv6Addr::of(0x20010db800010002, 0x0003000400050006);
  static_assert(address.high() == 0x20010db800010002 && address.low() == 0x0003000400050006);
  EXPECT_EQ(address.to_string(), "2001:db8:1:2:3:4:5:6");
  static_assert(Ipv6Addr::of(1, 0) > Ipv6Addr::of(0, ~uint64_t{0}));
  static_assert(Ipv6Addr::of(1, 2) > Ipv6Addr::of(1, 1));
  static_assert(Ipv6Addr::of(0xff02000000000000, 1).is_multicast());
  static_assert(link_local_next_hop6.is_link_local());
  static_assert(!Ipv6Addr::of(0xfec0000000000000, 1).is_link_local());
}

TEST(Ipv6Prefix, CanonicalAndContains) {
  for (const char* good : {"::/0", "2001:db8::/32", "2001:db8:0:1::/64", "2001:db8::8000:0/97", "::1/128"})
    EXPECT_EQ(Ipv6Prefix::parse(good)->to_string(), good);
  EXPECT_EQ(Ipv6Prefix::parse("::1")->to_string(), "::1/128");
  for (const char* bad : {"", "/", "/8", "::/129", "::/-1", "2001:db8::1/64", "::1/127", "10.0.0.0/8"})
    EXPECT_FALSE(Ipv6Prefix::parse(bad)) << bad;
  const auto prefix = *Ipv6Prefix::parse("2001:db8::/97");
  EXPECT_EQ(prefix.last(), *Ipv6Addr::parse("2001:db8::7fff:ffff"));
  EXPECT_TRUE(prefix.contains(prefix.last()));
  EXPECT_FALSE(prefix.contains(*Ipv6Addr::parse("2001:db8::8000:0")));
  EXPECT_TRUE(prefix.contains(*Ipv6Prefix::parse("2001:db8::/128")));
  EXPECT_FALSE(prefix.contains(*Ipv6Prefix::parse("2001:db8::/96")));
  EXPECT_TRUE(prefix.overlaps(*Ipv6Prefix::parse("2001:db8::/96")));
  EXPECT_EQ(Ipv6Prefix(*Ipv6Addr::parse("2001:db8::ffff"), 64).to_string(), "2001:db8::/64");
}

TEST(IpAddr, EitherFamily) {
  const auto four = *IpAddr::parse("192.0.2.1");
  const auto six = *IpAddr::parse("2001:db8::1");
  EXPECT_TRUE(four.is_v4() && six.is_v6());
  EXPECT_EQ(four.to_string(), "192.0.2.1");
  EXPECT_EQ(six.to_string(), "2001:db8::1");
  EXPECT_LT(four, six);
  EXPECT_NE(IpAddr(Ipv4Addr()), IpAddr(Ipv6Addr()));
  EXPECT_FALSE(IpAddr::parse("host"));
  EXPECT_TRUE(IpPrefix::parse("192.0.2.0/24")->contains(four));
  EXPECT_FALSE(IpPrefix::parse("192.0.2.0/24")->contains(six));
  EXPECT_FALSE(IpPrefix::parse("::/0")->contains(four));
  EXPECT_TRUE(IpPrefix::parse("::/0")->overlaps(*IpPrefix::parse("2001:db8::/32")));
  EXPECT_FALSE(IpPrefix::parse("::/0")->overlaps(*IpPrefix::parse("0.0.0.0/0")));
}

TEST(Mac, Parse) {
  const auto mac = Mac::parse("02:00:5E:10:aB:ff");
  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->bytes, (std::array<uint8_t, 6>{0x02, 0x00, 0x5e, 0x10, 0xab, 0xff}));
  EXPECT_EQ(mac->to_string(), "02:00:5e:10:ab:ff");
  for (const char* bad :
       {"", "02:00:00:00:00", "02:00:00:00:00:1", "02:00:00:00:00:001", "02:00:00:00:00:01:02",
        "02-00-00-00-00-01", "0200.0000.0001", "02:00:00:00:00:0g", "02:00:00:00:00: 1", "02:00:00:00:00:+1",
        "02:00:00:00:00:-1", "0x:00:00:00:00:01", "02:00:00:00:00;01"}) {
    EXPECT_FALSE(Mac::parse(bad)) << bad;
  }
}

TEST(Mac, Kinds) {
  EXPECT_TRUE(broadcast_mac.is_multicast());
  EXPECT_TRUE(Mac::parse("01:00:5e:00:00:01")->is_multicast());
  EXPECT_FALSE(Mac::parse("02:00:00:00:00:01")->is_multicast());
  EXPECT_TRUE(Mac().is_zero());
  EXPECT_FALSE(Mac::parse("00:00:00:00:00:01")->is_zero());
}

TEST(PortRange, Contains) {
  constexpr PortRange any;
  static_assert(any.is_any() && any.contains(0) && any.contains(65535));
  constexpr PortRange some{80, 443};
  static_assert(!some.is_any() && some.contains(80) && some.contains(443));
  static_assert(!some.contains(79) && !some.contains(444));
}

}  // namespace
}  // namespace portcullis
