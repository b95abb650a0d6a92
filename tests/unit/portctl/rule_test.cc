// The one-line rule: what each line means, that a rule's line is the rule again, and what a wrong line is
// told.
#include "src/portctl/rule.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <set>

namespace portcullis::portctl {
namespace {

using google::protobuf::TextFormat;
using google::protobuf::util::MessageDifferencer;

struct Good {
  const char* line;
  const char* rule;       // text format
  const char* canonical;  // what to_line makes of it
};

class GoodRule : public testing::TestWithParam<Good> {};

TEST_P(GoodRule, MeansWhatItSaysAndComesBack) {
  const auto rule = parse_rule(GetParam().line);
  ASSERT_TRUE(rule.has_value()) << explain(GetParam().line, rule.error());
  v1::PermitRule expected;
  ASSERT_TRUE(TextFormat::ParseFromString(GetParam().rule, &expected));
  EXPECT_TRUE(MessageDifferencer::Equals(*rule, expected)) << rule->DebugString();

  const std::string line = to_line(*rule);
  EXPECT_EQ(line, GetParam().canonical);
  auto again = parse_rule(line);
  ASSERT_TRUE(again.has_value()) << explain(line, again.error());
  again->set_name(rule->name());
  EXPECT_TRUE(MessageDifferencer::Equals(*again, *rule)) << again->DebugString();
}

const Good good[] = {
    {"in tcp 80 from any",
     "direction: INBOUND protocol: 'tcp' local_ports { first: 80 last: 80 } remote { any: true }",
     "in tcp 80 from any"},
    {"web=in tcp 80-90 from any",
     "name: 'web' direction: INBOUND protocol: 'tcp' local_ports { first: 80 last: 90 } remote { any: true }",
     "in tcp 80-90 from any"},
    {"  in   tcp\t0-65535  from  any ",
     "direction: INBOUND protocol: 'tcp' local_ports { first: 0 last: 65535 } remote { any: true }",
     "in tcp 0-65535 from any"},
    {"out udp to 192.0.2.53 port 53",
     "direction: OUTBOUND protocol: 'udp' remote { prefixes { prefixes: '192.0.2.53/32' } }"
     "remote_ports { first: 53 last: 53 }",
     "out udp to 192.0.2.53/32 port 53"},
    {"dns-1=out 17 1024-65535 to 192.0.2.0/24,198.51.100.7 port 53-54",
     "name: 'dns-1' direction: OUTBOUND protocol: 'udp' local_ports { first: 1024 last: 65535 }"
     "remote { prefixes { prefixes: '192.0.2.0/24' prefixes: '198.51.100.7/32' } }"
     "remote_ports { first: 53 last: 54 }",
     "out udp 1024-65535 to 192.0.2.0/24,198.51.100.7/32 port 53-54"},
    {"in 6 from tag:web", "direction: INBOUND protocol: 'tcp' remote { tags { tags: 'web' } }",
     "in tcp from tag:web"},
    {"in tcp 5432 from tag:web,tag:batch tracked",
     "direction: INBOUND protocol: 'tcp' local_ports { first: 5432 last: 5432 }"
     "remote { tags { tags: 'web' tags: 'batch' } } tracked: true",
     "in tcp 5432 from tag:web,tag:batch tracked"},
    {"in any from any", "direction: INBOUND protocol: 'any' remote { any: true }", "in any from any"},
    {"out any to 0.0.0.0/0",
     "direction: OUTBOUND protocol: 'any' remote { prefixes { prefixes: '0.0.0.0/0' } }",
     "out any to 0.0.0.0/0"},
    {"in icmp from any type 8", "direction: INBOUND protocol: 'icmp' remote { any: true } icmp_type: 8",
     "in icmp from any type 8"},
    {"in 1 from any type 0/0",
     "direction: INBOUND protocol: 'icmp' remote { any: true } icmp_type: 0 icmp_code: 0",
     "in icmp from any type 0/0"},
    {"in udp from any tracked port 123",
     "direction: INBOUND protocol: 'udp' remote { any: true } remote_ports { first: 123 last: 123 } tracked: "
     "true",
     "in udp from any port 123 tracked"},
    {"out 132 to any", "direction: OUTBOUND protocol: 'sctp' remote { any: true }", "out sctp to any"},
    {"in sctp 2905 from any",
     "direction: INBOUND protocol: 'sctp' local_ports { first: 2905 last: 2905 } remote { any: true }",
     "in sctp 2905 from any"},
    {"in gre from 192.0.2.1",
     "direction: INBOUND protocol: 'gre' remote { prefixes { prefixes: '192.0.2.1/32' } }",
     "in gre from 192.0.2.1/32"},
    {"out 50 to any", "direction: OUTBOUND protocol: 'esp' remote { any: true }", "out esp to any"},
    {"in ah from any", "direction: INBOUND protocol: 'ah' remote { any: true }", "in ah from any"},
    {"in icmpv6 from 2001:0DB8:1::/48,2001:db8::5 type 128",
     "direction: INBOUND protocol: 'icmpv6' icmp_type: 128 "
     "remote { prefixes { prefixes: '2001:db8:1::/48' prefixes: '2001:db8::5/128' } }",
     "in icmpv6 from 2001:db8:1::/48,2001:db8::5/128 type 128"},
    {"out 58 to any", "direction: OUTBOUND protocol: 'icmpv6' remote { any: true }", "out icmpv6 to any"},
    {"in tcp 443 from ::/0",
     "direction: INBOUND protocol: 'tcp' local_ports { first: 443 last: 443 } remote { prefixes { prefixes: "
     "'::/0' } }",
     "in tcp 443 from ::/0"},
    {"out 112 to any", "direction: OUTBOUND protocol: '112' remote { any: true }", "out 112 to any"},
};
INSTANTIATE_TEST_SUITE_P(, GoodRule, testing::ValuesIn(good));

struct Bad {
  const char* line;
  const char* marked;   // the bytes that the caret is under; empty: the end of the line
  const char* message;  // part of it
};

class BadRule : public testing::TestWithParam<Bad> {};

TEST_P(BadRule, PointsAtTheWord) {
  const std::string line = GetParam().line;
  const auto rule = parse_rule(line);
  ASSERT_FALSE(rule.has_value()) << rule->DebugString();
  const RuleError& error = rule.error();
  EXPECT_NE(error.message.find(GetParam().message), std::string::npos) << error.message;
  if (*GetParam().marked == '\0') {
    EXPECT_EQ(error.length, 0u) << explain(line, error);
  } else {
    ASSERT_LE(error.column + error.length, line.size());
    EXPECT_EQ(line.substr(error.column, error.length), GetParam().marked) << explain(line, error);
  }
}

const Bad bad[] = {
    {"", "", "in or out"},
    {"   ", "", "in or out"},
    {"allow tcp 80 from any", "allow", "begins with in or out"},
    {"IN tcp 80 from any", "IN", "begins with in or out"},
    {"web= in tcp 80 from any", "", "right after the '='"},
    {"=in tcp 80 from any", "", "a rule's name"},
    {"Web=in tcp 80 from any", "Web", "a rule's name"},
    {"web-=in tcp 80 from any", "web-", "a rule's name"},
    {"a123456789012345678901234567890123456789012345678901234567890123=in tcp from any",
     "a123456789012345678901234567890123456789012345678901234567890123", "at most 63"},
    {"in", "", "protocol"},
    {"in tpc 80 from any", "tpc", "is no protocol"},
    {"in 256 from any", "256", "is no protocol"},
    {"in -1 from any", "-1", "is no protocol"},
    {"in tcp", "", "from and the other end"},
    {"out tcp", "", "to and the other end"},
    {"in tcp 80", "", "from and the other end"},
    {"in tcp 65536 from any", "65536", "neither a port"},
    {"in tcp 90-80 from any", "90-80", "above the last"},
    {"in tcp 80- from any", "80-", "neither a port"},
    {"in tcp 80,90 from any", "80,90", "neither a port"},
    {"in tcp http from any", "http", "neither a port"},
    {"in icmp 80 from any", "80", "ports are for tcp, udp and sctp"},
    {"in any 80 from any", "80", "ports are for tcp, udp and sctp"},
    {"in tcp 80 81 from any", "81", "from is expected"},
    {"in tcp 80 to any", "to", "an in rule says from"},
    {"out tcp 80 from any", "from", "an out rule says to"},
    {"in tcp 80 from", "", "any, a prefix or tag:NAME"},
    {"in tcp 80 from 10.0.0.1/8", "10.0.0.1/8", "write 10.0.0.0/8"},
    {"in tcp 80 from 10.0.0.0/33", "10.0.0.0/33", "is no prefix"},
    {"in tcp 80 from 10.0.0", "10.0.0", "is no prefix"},
    {"in tcp 80 from example.org", "example.org", "is no prefix"},
    {"in tcp 80 from 192.0.2.1,10.0.0.1/8", "10.0.0.1/8", "write 10.0.0.0/8"},
    {"in tcp 80 from 192.0.2.1,", "", "missing here"},
    {"in tcp 80 from 192.0.2.1, 192.0.2.2", "", "no spaces"},
    {"in tcp 80 from any,192.0.2.1", "any", "any stands alone"},
    {"in tcp 80 from 192.0.2.1,any", "any", "any stands alone"},
    {"in tcp 80 from tag:", "", "a tag has"},
    {"in tcp 80 from tag:Web", "Web", "a tag has"},
    {"in tcp 80 from tag:web,192.0.2.1", "192.0.2.1", "not both"},
    {"in tcp 80 from 192.0.2.1,tag:web", "tag:web", "not both"},
    {"in tcp 80 from any port", "", "a port or FIRST-LAST"},
    {"in tcp 80 from any port x", "x", "neither a port"},
    {"in tcp 80 from any port 1 port 2", "port", "given twice"},
    {"in icmp from any port 1", "1", "ports are for tcp, udp and sctp"},
    {"in tcp from any type 8", "type", "type is for icmp"},
    {"in icmp from any type", "", "an ICMP type"},
    {"in icmp from any type 256", "256", "neither an ICMP type"},
    {"in icmp from any type 8/", "8/", "neither an ICMP type"},
    {"in icmp from any type echo", "echo", "neither an ICMP type"},
    {"in icmp from any type 8 type 8", "type", "given twice"},
    {"out udp to any tracked", "tracked", "tracked is for in rules"},
    {"in udp from any tracked tracked", "tracked", "given twice"},
    {"in tcp 80 from any please", "please", "is expected here"},
};
INSTANTIATE_TEST_SUITE_P(, BadRule, testing::ValuesIn(bad));

TEST(Explain, PutsACaretUnderEachByteOfTheWord) {
  const std::string line = "x=in\ttpc 80 from any";
  const auto rule = parse_rule(line);
  ASSERT_FALSE(rule.has_value());
  const std::string text = explain(line, rule.error());
  EXPECT_EQ(text.substr(text.find('\n')), "\n  x=in tpc 80 from any\n       ^^^");
}

TEST(JoinRules, NeedsNoQuotes) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(join_rules({}), Words{});
  EXPECT_EQ(join_rules({"in tcp 80 from any"}), Words{"in tcp 80 from any"});
  EXPECT_EQ(join_rules({"in", "tcp", "80", "from", "any"}), Words{"in tcp 80 from any"});
  EXPECT_EQ(join_rules({"in", "tcp", "80", "from", "any", "dns=out", "udp", "to", "any"}),
            (Words{"in tcp 80 from any", "dns=out udp to any"}));
  EXPECT_EQ(join_rules({"in tcp 80 from any", "out", "udp", "to", "any"}),
            (Words{"in tcp 80 from any", "out udp to any"}));
  EXPECT_EQ(join_rules({"in", "icmp", "from", "any", "out udp to any", "any"}),
            (Words{"in icmp from any", "out udp to any", "any"}));
  EXPECT_EQ(join_rules({"in", "tcp", "from", "tag:in"}), Words{"in tcp from tag:in"});
  EXPECT_EQ(join_rules({""}), Words{""});
}

v1::PermitRule rule_of(const std::string& line) {
  const auto rule = parse_rule(line);
  EXPECT_TRUE(rule.has_value()) << line;
  return rule.value_or(v1::PermitRule());
}

std::vector<std::string> names(std::vector<v1::PermitRule> rules) {
  name_rules(rules);
  std::vector<std::string> names;
  names.reserve(rules.size());
  for (const v1::PermitRule& rule : rules) names.push_back(rule.name());
  return names;
}

TEST(Doubt, IsOfAPortOnTheSideThatChoosesItsPortAndNoneOnTheOther) {
  EXPECT_EQ(
      doubt(rule_of("web=in tcp from any port 80")),
      "'in tcp from any port 80' permits every port of the endpoint, to packets from that port; for packets "
      "to it write 'in tcp 80 from any'");
  EXPECT_EQ(
      doubt(rule_of("out udp 53 to 192.0.2.0/24")),
      "'out udp 53 to 192.0.2.0/24' permits every port of the other end, to packets from that port; for "
      "packets to it write 'out udp to 192.0.2.0/24 port 53'");
  for (const char* line :
       {"in tcp 80 from any", "out udp to any port 53", "in udp 68 from any port 67",
        "out udp 68 to any port 67", "in tcp from any", "out any to any", "in icmp from any type 8"})
    EXPECT_EQ(doubt(rule_of(line)), "") << line;
}

TEST(NameRules, FollowFromWhatTheRuleSays) {
  EXPECT_EQ(
      names({rule_of("in tcp 80 from any"), rule_of("web=in tcp 80 from any"),
             rule_of("out udp to 192.0.2.0/24 port 53"), rule_of("in 6 5432 from tag:a,tag:b tracked")}),
      (std::vector<std::string>{"in-tcp-80-from-any", "web", "out-udp-to-192-0-2-0-24-port-53",
                                "in-tcp-5432-from-tag-a-tag-b-tracked"}));
}

TEST(NameRules, DoNotDependOnTheOtherRules) {
  const auto first = names({rule_of("in tcp 80 from any"), rule_of("in tcp 443 from any")});
  const auto second = names({rule_of("in tcp 443 from any"), rule_of("in tcp 80 from any")});
  EXPECT_EQ(first[0], second[1]);
  EXPECT_EQ(first[1], second[0]);
}

TEST(NameRules, AreUnique) {
  EXPECT_EQ(names({rule_of("in tcp 80 from any"), rule_of("in tcp 80 from any"),
                   rule_of("in-tcp-80-from-any=in tcp 81 from any")}),
            (std::vector<std::string>{"in-tcp-80-from-any-2", "in-tcp-80-from-any-3", "in-tcp-80-from-any"}));
}

TEST(NameRules, AreValidHoweverLongTheRule) {
  std::string line = "in tcp 80 from 192.0.2.0";
  std::vector<v1::PermitRule> rules;
  for (int i = 1; i < 30; ++i) {
    line += ",192.0.2." + std::to_string(i);
    rules.push_back(rule_of(line));
    rules.push_back(rule_of(line));
  }
  std::set<std::string> seen;
  for (const std::string& name : names(rules)) {
    EXPECT_TRUE(parse_rule(name + "=in tcp 80 from any").has_value()) << name;
    EXPECT_TRUE(seen.insert(name).second) << name;
  }
}

}  // namespace
}  // namespace portcullis::portctl
