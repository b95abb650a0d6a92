// A permit rule on one line, as people write it:
//
//   [NAME=](in|out) PROTO [PORTS] (from|to) (any|PREFIX[,PREFIX...]|tag:T[,tag:U...])
//           [port PORTS] [type T[/C]] [tracked]
//
//   web=in tcp 80 from any
//   in tcp 5432 from tag:web,tag:batch tracked
//   dns=out udp to 192.0.2.53 port 53
//   in icmp from 198.51.100.0/24 type 8
//   in icmpv6 from 2001:db8:1::/48 type 128
//
// PROTO is tcp, udp, icmp, icmpv6, sctp, gre, esp, ah, any or an IANA number; PORTS is one port or
// FIRST-LAST. The ports after PROTO are the endpoint's own, those after `port` the other end's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "portcullis/v1/permit.pb.h"

namespace portcullis::portctl {

// What is wrong, and which bytes of the line.
struct RuleError {
  std::string message;
  size_t column = 0;
  size_t length = 0;
};

// The rule's name is left empty when the line gives none.
[[nodiscard]] tl::expected<v1::PermitRule, RuleError> parse_rule(std::string_view line);

// The canonical line, without the name: parse_rule(to_line(rule)) is the rule again, but for its name.
[[nodiscard]] std::string to_line(const v1::PermitRule& rule);

// What a rule says that is seldom meant: a port on the side that chooses its port by itself, and none on the
// other, which is open as a whole then. Empty: nothing. The rule is as parse_rule() gives it.
[[nodiscard]] std::string doubt(const v1::PermitRule& rule);

// The message, the line, and a caret under the offending word.
[[nodiscard]] std::string explain(std::string_view line, const RuleError& error);

// Shell words to rule lines. A word with a space in it is a line by itself; others are joined, a new line
// beginning at each `in`, `out`, `NAME=in` or `NAME=out`, so that a rule needs no quotes.
[[nodiscard]] std::vector<std::string> join_rules(const std::vector<std::string>& words);

// Gives each rule without a name one that follows from what it says ("in-tcp-80-from-any"), so that the same
// line has the same name every time. Only rules that say the same are numbered ("...-2").
void name_rules(std::vector<v1::PermitRule>& rules);

}  // namespace portcullis::portctl
