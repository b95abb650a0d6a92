#include "dataplane/tables/permit.h"

#include <gtest/gtest.h>

#include <vector>

namespace portcullis {
namespace {

constexpr TagId blue = 5;

TagSetTable tags_with_blue(TagSetId& set) {
  auto tags = TagSetTable::create(4, -1);
  EXPECT_TRUE(tags.has_value());
  const TagId ids[] = {blue, 9};
  set = *tags->store(ids);
  return std::move(*tags);
}

PermitRule tcp_80_from(const char* prefix) {
  const Ipv4Prefix p = *Ipv4Prefix::parse(prefix);
  return {.remote = p.address().host(),
          .prefix_length = p.length(),
          .protocol = 6,
          .local_ports = {80, 80},
          .remote_ports = {}};
}

PermitQuery query_of(const char* remote, uint16_t local_port) {
  return {.direction = Direction::inbound,
          .protocol = 6,
          .local_port = local_port,
          .remote_port = 40000,
          .remote = *Ipv4Addr::parse(remote),
          .remote_tags = empty_tag_set};
}

TEST(PermitRule, EachFieldMustMatch) {
  TagSetId set = 0;
  const TagSetTable tags = tags_with_blue(set);
  const PermitRule rule = tcp_80_from("198.51.100.0/24");
  const PermitQuery good = query_of("198.51.100.7", 80);
  EXPECT_TRUE(matches(rule, good, tags));
  PermitQuery bad = good;
  bad.direction = Direction::outbound;
  EXPECT_FALSE(matches(rule, bad, tags));
  bad = good;
  bad.protocol = 17;
  EXPECT_FALSE(matches(rule, bad, tags));
  bad = good;
  bad.local_port = 81;
  EXPECT_FALSE(matches(rule, bad, tags));
  bad = good;
  bad.remote = Ipv4Addr::of(198, 51, 101, 7);
  EXPECT_FALSE(matches(rule, bad, tags));
  PermitRule narrow = rule;
  narrow.remote_ports = {1, 39999};
  EXPECT_FALSE(matches(narrow, good, tags));
  narrow.remote_ports = {40000, 40000};
  EXPECT_TRUE(matches(narrow, good, tags));
}

TEST(PermitRule, PrefixLengthsAtTheirEnds) {
  TagSetId set = 0;
  const TagSetTable tags = tags_with_blue(set);
  EXPECT_TRUE(matches(tcp_80_from("0.0.0.0/0"), query_of("255.255.255.255", 80), tags));
  EXPECT_TRUE(matches(tcp_80_from("198.51.100.7/32"), query_of("198.51.100.7", 80), tags));
  EXPECT_FALSE(matches(tcp_80_from("198.51.100.7/32"), query_of("198.51.100.6", 80), tags));
  EXPECT_TRUE(matches(tcp_80_from("128.0.0.0/1"), query_of("128.0.0.0", 80), tags));
  EXPECT_FALSE(matches(tcp_80_from("128.0.0.0/1"), query_of("127.255.255.255", 80), tags));
}

TEST(PermitRule, AnyProtocolLooksAtNoPorts) {
  TagSetId set = 0;
  const TagSetTable tags = tags_with_blue(set);
  const PermitRule rule{.flags = PermitRule::any_protocol};
  EXPECT_TRUE(matches(rule, query_of("192.0.2.1", 80), tags));
  PermitQuery udp = query_of("192.0.2.1", 65535);
  udp.protocol = 17;
  EXPECT_TRUE(matches(rule, udp, tags));
}

TEST(PermitRule, ATagIsTestedAgainstTheRemotesSet) {
  TagSetId set = 0;
  const TagSetTable tags = tags_with_blue(set);
  const PermitRule rule{.remote = blue, .flags = PermitRule::any_protocol | PermitRule::remote_tag};
  PermitQuery query = query_of("203.0.113.1", 80);
  EXPECT_FALSE(matches(rule, query, tags)) << "an external remote carries no tag";
  query.remote_tags = set;
  EXPECT_TRUE(matches(rule, query, tags));
  const PermitRule other{.remote = blue + 1, .flags = PermitRule::any_protocol | PermitRule::remote_tag};
  EXPECT_FALSE(matches(other, query, tags));
}

TEST(TagSetTable, IsBoundedAndTheEmptySetCostsNothing) {
  auto table = TagSetTable::create(1, -1);
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(*table->store({}), empty_tag_set);
  const TagId one[] = {1};
  const auto set = table->store(one);
  ASSERT_TRUE(set.has_value());
  EXPECT_TRUE(table->contains(*set, 1));
  EXPECT_FALSE(table->contains(*set, 2));
  EXPECT_FALSE(table->contains(empty_tag_set, 1));
  EXPECT_FALSE(table->store(one).has_value());
  table->free(*set);
  EXPECT_TRUE(table->store(one).has_value());
  const std::vector<TagId> many(max_tags_per_eip + 1, 1);
  EXPECT_FALSE(table->store(many).has_value());
}

}  // namespace
}  // namespace portcullis
