#include "src/portctl/rule.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "src/net/address.h"
#include "src/net/protocol_name.h"

namespace portcullis::portctl {
namespace {

constexpr size_t max_name = 63;
constexpr std::string_view space = " \t\r\n";

struct Word {
  std::string_view text;
  size_t column = 0;
};

std::vector<Word> split(std::string_view line, std::string_view separators) {
  std::vector<Word> words;
  for (size_t at = line.find_first_not_of(separators); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(separators, at), line.size());
    words.push_back({line.substr(at, end - at), at});
    at = line.find_first_not_of(separators, end);
  }
  return words;
}

// A whole decimal number of at most `max`.
std::optional<uint32_t> number(std::string_view text, uint32_t max) {
  uint32_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || status != std::errc() || end != text.data() + text.size() || value > max)
    return std::nullopt;
  return value;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= max_name && is_name_character(text.front()) &&
         is_name_character(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_name_character(c) || c == '-'; });
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

// Reads words from left to right; the first one that does not fit ends it with error().
class Parser {
 public:
  explicit Parser(std::string_view line)
      : words_(split(line, space)), end_(line.find_last_not_of(space) + 1) {}

  bool parse() { return direction() && protocol() && local_ports() && remote() && clauses(); }
  [[nodiscard]] const v1::PermitRule& rule() const { return rule_; }
  [[nodiscard]] const RuleError& error() const { return error_; }

 private:
  bool direction() {
    if (done()) return expected("in or out");
    Word word = take();
    if (const size_t equals = word.text.find('='); equals != std::string_view::npos) {
      const Word name{word.text.substr(0, equals), word.column};
      if (!is_name(name.text))
        return fail(name,
                    "a rule's name has a-z, 0-9 and -, begins and ends with a letter or digit, and has at "
                    "most 63 characters");
      rule_.set_name(std::string(name.text));
      word = {word.text.substr(equals + 1), word.column + equals + 1};
      if (word.text.empty()) return fail(word, "in or out is expected right after the '='");
    }
    if (word.text == "in") {
      rule_.set_direction(v1::PermitRule::INBOUND);
    } else if (word.text == "out") {
      rule_.set_direction(v1::PermitRule::OUTBOUND);
    } else {
      return fail(word, "a rule begins with in or out, not " + quoted(word.text));
    }
    return true;
  }

  bool protocol() {
    if (done()) return expected("a protocol (" + listed_protocol_names() + ", any or an IANA number)");
    const Word word = take();
    const std::optional<uint32_t> value = number(word.text, 255);
    for (const ProtocolName& known : protocol_names) {
      if (word.text != known.name && value != known.number) continue;
      rule_.set_protocol(std::string(known.name));
      return true;
    }
    if (word.text != "any" && !value.has_value())
      return fail(word, quoted(word.text) + " is no protocol: write " + listed_protocol_names() +
                            ", any or an IANA number up to 255");
    rule_.set_protocol(value.has_value() ? std::to_string(*value) : "any");
    return true;
  }

  bool local_ports() {
    if (done() || words_[next_].text == "from" || words_[next_].text == "to") return true;
    return ports(take(), *rule_.mutable_local_ports());
  }

  bool remote() {
    const bool inbound = rule_.direction() == v1::PermitRule::INBOUND;
    const std::string keyword = inbound ? "from" : "to";
    if (done()) return expected(keyword + " and the other end");
    const Word word = take();
    if (word.text != keyword) {
      return fail(word, word.text == "from" || word.text == "to"
                            ? std::string(inbound ? "an in rule says from" : "an out rule says to") +
                                  ", not " + quoted(word.text)
                            : keyword + " is expected, not " + quoted(word.text));
    }
    if (done()) return expected("any, a prefix or tag:NAME");
    const Word list = take();
    if (list.text == "any") {
      rule_.mutable_remote()->set_any(true);
      return true;
    }
    for (size_t at = 0; at <= list.text.size();) {
      const size_t comma = std::min(list.text.find(',', at), list.text.size());
      if (!remote_item({list.text.substr(at, comma - at), list.column + at})) return false;
      at = comma + 1;
    }
    return true;
  }

  bool remote_item(Word item) {
    v1::Remote& remote = *rule_.mutable_remote();
    if (item.text.empty())
      return fail(item, "a prefix or tag is missing here (a list has commas and no spaces)");
    if (item.text == "any") return fail(item, "any stands alone");
    if (item.text.starts_with("tag:")) {
      const Word tag{item.text.substr(4), item.column + 4};
      if (remote.has_prefixes())
        return fail(item, "a rule names prefixes or tags, not both: write two rules");
      if (!is_name(tag.text))
        return fail(tag,
                    "a tag has a-z, 0-9 and -, begins and ends with a letter or digit, and has at most 63 "
                    "characters");
      remote.mutable_tags()->add_tags(std::string(tag.text));
      return true;
    }
    if (remote.has_tags()) return fail(item, "a rule names prefixes or tags, not both: write two rules");
    const std::optional<IpPrefix> prefix = IpPrefix::parse(item.text);
    if (!prefix.has_value()) return fail(item, not_a_prefix(item.text));
    remote.mutable_prefixes()->add_prefixes(prefix->to_string());
    return true;
  }

  static std::string not_a_prefix(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash != std::string_view::npos) {
      const std::optional<IpAddr> address = IpAddr::parse(text.substr(0, slash));
      const std::optional<uint32_t> length =
          number(text.substr(slash + 1), address && address->is_v6() ? 128 : 32);
      if (address.has_value() && length.has_value())
        return quoted(text) + " has bits beyond its length: write " +
               shortened(*address, static_cast<uint8_t>(*length)).to_string();
    }
    return quoted(text) +
           " is no prefix: write 198.51.100.0/24, 2001:db8:1::/48, a bare address, tag:NAME or any";
  }

  static IpPrefix shortened(const IpAddr& address, uint8_t length) {
    if (address.is_v4()) return Ipv4Prefix(address.v4(), length);
    return Ipv6Prefix(address.v6(), length);
  }

  bool clauses() {
    while (!done()) {
      const Word word = take();
      if (word.text == "port") {
        if (rule_.has_remote_ports()) return fail(word, "port is given twice");
        if (done()) return expected("a port or FIRST-LAST");
        if (!ports(take(), *rule_.mutable_remote_ports())) return false;
      } else if (word.text == "type") {
        if (rule_.has_icmp_type()) return fail(word, "type is given twice");
        if (rule_.protocol() != "icmp" && rule_.protocol() != "icmpv6")
          return fail(word, "type is for icmp and icmpv6, this rule is for " + rule_.protocol());
        if (done()) return expected("an ICMP type, or TYPE/CODE");
        if (!icmp(take())) return false;
      } else if (word.text == "tracked") {
        if (rule_.tracked()) return fail(word, "tracked is given twice");
        if (rule_.direction() != v1::PermitRule::INBOUND)
          return fail(word,
                      "tracked is for in rules; what leaves under an out rule always makes a flow entry");
        rule_.set_tracked(true);
      } else {
        return fail(word, "nothing, port, type or tracked is expected here, not " + quoted(word.text));
      }
    }
    return true;
  }

  bool ports(Word word, v1::PortRange& range) {
    if (rule_.protocol() != "tcp" && rule_.protocol() != "udp" && rule_.protocol() != "sctp")
      return fail(word, "ports are for tcp, udp and sctp, this rule is for " + rule_.protocol());
    const size_t dash = word.text.find('-');
    const std::optional<uint32_t> first = number(word.text.substr(0, dash), 65535);
    const std::optional<uint32_t> last =
        dash == std::string_view::npos ? first : number(word.text.substr(dash + 1), 65535);
    if (!first.has_value() || !last.has_value())
      return fail(word, quoted(word.text) + " is neither a port (0 to 65535) nor FIRST-LAST");
    if (*first > *last) return fail(word, "the first port is above the last");
    range.set_first(*first);
    range.set_last(*last);
    return true;
  }

  bool icmp(Word word) {
    const size_t slash = word.text.find('/');
    const std::optional<uint32_t> type = number(word.text.substr(0, slash), 255);
    const std::optional<uint32_t> code =
        slash == std::string_view::npos ? std::nullopt : number(word.text.substr(slash + 1), 255);
    if (!type.has_value() || (slash != std::string_view::npos && !code.has_value()))
      return fail(word, quoted(word.text) + " is neither an ICMP type (0 to 255) nor TYPE/CODE");
    rule_.set_icmp_type(*type);
    if (code.has_value()) rule_.set_icmp_code(*code);
    return true;
  }

  [[nodiscard]] bool done() const { return next_ == words_.size(); }
  Word take() { return words_[next_++]; }
  bool fail(Word word, std::string message) {
    error_ = {std::move(message), word.column, word.text.size()};
    return false;
  }
  bool expected(const std::string& what) {
    return fail({{}, end_ == 0 ? 0 : end_ + 1}, "the rule ends where " + what + " is expected");
  }

  std::vector<Word> words_;
  size_t end_;  // of the last word
  size_t next_ = 0;
  v1::PermitRule rule_;
  RuleError error_;
};

std::string to_text(const v1::PortRange& range) {
  const std::string first = std::to_string(range.first());
  return range.first() == range.last() ? first : first + "-" + std::to_string(range.last());
}

std::string to_text(const v1::Remote& remote) {
  if (remote.remote_case() == v1::Remote::kAny) return "any";
  std::string text;
  for (const std::string& prefix : remote.prefixes().prefixes()) text += (text.empty() ? "" : ",") + prefix;
  for (const std::string& tag : remote.tags().tags()) text += (text.empty() ? "tag:" : ",tag:") + tag;
  return text;
}

// FNV-1a, 32 bits: a fixed function, since names that follow from it are stored.
uint32_t fingerprint(std::string_view text) {
  uint32_t hash = 2166136261u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hash;
}

std::string hex(uint32_t value) {
  std::string text;
  for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 15];
  return text;
}

// The line with a dash for whatever a name cannot hold; a fingerprint stands for what does not fit.
std::string derived_name(const std::string& line, size_t room) {
  std::string name;
  for (const char c : line) {
    if (is_name_character(c)) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  if (name.size() <= room) return name;
  name.resize(room - 9);
  while (name.back() == '-') name.pop_back();
  return name + "-" + hex(fingerprint(line));
}

bool begins_rule(std::string_view word) {
  return word == "in" || word == "out" || word.ends_with("=in") || word.ends_with("=out");
}

}  // namespace

tl::expected<v1::PermitRule, RuleError> parse_rule(std::string_view line) {
  Parser parser(line);
  if (!parser.parse()) return tl::unexpected(parser.error());
  return parser.rule();
}

std::string to_line(const v1::PermitRule& rule) {
  const bool inbound = rule.direction() != v1::PermitRule::OUTBOUND;
  std::string line = inbound ? "in " : "out ";
  line += rule.protocol().empty() ? "any" : rule.protocol();
  if (rule.has_local_ports()) line += " " + to_text(rule.local_ports());
  line += (inbound ? " from " : " to ") + to_text(rule.remote());
  if (rule.has_remote_ports()) line += " port " + to_text(rule.remote_ports());
  if (rule.has_icmp_type()) line += " type " + std::to_string(rule.icmp_type());
  if (rule.has_icmp_code()) line += "/" + std::to_string(rule.icmp_code());
  if (rule.tracked()) line += " tracked";
  return line;
}

std::string doubt(const v1::PermitRule& rule) {
  const bool is_inbound = rule.direction() == v1::PermitRule::INBOUND;
  const bool is_odd = is_inbound ? rule.has_remote_ports() && !rule.has_local_ports()
                                 : rule.has_local_ports() && !rule.has_remote_ports();
  if (!is_odd) return {};
  v1::PermitRule meant = rule;
  std::swap(*meant.mutable_local_ports(), *meant.mutable_remote_ports());
  is_inbound ? meant.clear_remote_ports() : meant.clear_local_ports();
  return "'" + to_line(rule) + "' permits every port of the " + (is_inbound ? "endpoint" : "other end") +
         ", to packets from that port; for packets to it write '" + to_line(meant) + "'";
}

std::string explain(std::string_view line, const RuleError& error) {
  std::string shown(line);
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return space.find(c) != std::string_view::npos; }, ' ');
  return error.message + "\n  " + shown + "\n  " + std::string(error.column, ' ') +
         std::string(std::max<size_t>(error.length, 1), '^');
}

std::vector<std::string> join_rules(const std::vector<std::string>& words) {
  std::vector<std::string> lines;
  bool open = false;  // the last line takes further words
  for (const std::string& word : words) {
    const bool whole = word.empty() || word.find_first_of(space) != std::string::npos;
    if (whole || !open || begins_rule(word)) {
      lines.push_back(word);
    } else {
      lines.back() += " " + word;
    }
    open = !whole;
  }
  return lines;
}

void name_rules(std::vector<v1::PermitRule>& rules) {
  constexpr size_t room_for_number = 8;
  std::set<std::string> taken;
  for (const v1::PermitRule& rule : rules) taken.insert(rule.name());
  for (v1::PermitRule& rule : rules) {
    if (!rule.name().empty()) continue;
    const std::string base = derived_name(to_line(rule), max_name - room_for_number);
    std::string name = base;
    for (uint32_t n = 2; !taken.insert(name).second; ++n) name = base + "-" + std::to_string(n);
    rule.set_name(name);
  }
}

}  // namespace portcullis::portctl
