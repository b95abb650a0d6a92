// Random permit rules and questions about them, biased to what goes wrong: ends of ranges and prefixes,
// nested and equal prefixes, the lowest and highest address, tags, rules that shadow others.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "dataplane/tables/permit_rule.h"

namespace portcullis::testing {

class RandomPermits {
 public:
  explicit RandomPermits(uint64_t seed) : random_(seed), tags_(*TagSetTable::create(8, -1)) {
    for (const std::vector<TagId>& set : {std::vector<TagId>{1}, {2, 3}, {1, 5, 7}, {4, 6, 8, 9, 11, 12}})
      sets_.push_back(*tags_.store(set));
  }

  [[nodiscard]] TagSetTable& tags() { return tags_; }
  [[nodiscard]] uint32_t below(uint32_t end) { return static_cast<uint32_t>(random_() % end); }
  [[nodiscard]] bool chance(uint32_t percent) { return below(100) < percent; }

  // `count` rules, those that track nothing first, as compile gives them. They share `shapes` matches but for
  // the remote; few, if lists are long, or each its own (0).
  [[nodiscard]] std::vector<PermitRule> rules(uint32_t count, uint32_t shapes = 0,
                                              uint32_t tag_percent = 15) {
    std::vector<PermitRule> matches_of;
    for (uint32_t n = 0; n < shapes; ++n) matches_of.push_back(match());
    std::vector<PermitRule> list;
    for (uint32_t n = 0; n < count; ++n) {
      PermitRule rule = shapes == 0 ? match() : matches_of[below(shapes)];
      give_remote(rule, tag_percent);
      if (rule.direction() == Direction::inbound && chance(25)) rule.flags |= PermitRule::tracked;
      list.push_back(rule);
    }
    std::stable_partition(list.begin(), list.end(),
                          [](const PermitRule& rule) { return !rule.is_tracked(); });
    return list;
  }

  // Near one of `rules`, if there are any.
  [[nodiscard]] PermitQuery query(const std::vector<PermitRule>& rules) {
    PermitQuery query{
        .direction = static_cast<Direction>(below(2)),
        .protocol = protocol(),
        .local_port = port(),
        .remote_port = port(),
        .remote = Ipv4Addr::from_host(address()),
        .remote_tags = chance(30) ? sets_[below(static_cast<uint32_t>(sets_.size()))] : empty_tag_set};
    if (rules.empty() || chance(5)) return query;
    const PermitRule& rule = rules[below(static_cast<uint32_t>(rules.size()))];
    if (!chance(5)) query.direction = rule.direction();
    if (!rule.is_any_protocol() && !chance(5)) query.protocol = rule.protocol;
    if (!chance(5)) query.local_port = near(rule.local_ports);
    if (!chance(5)) query.remote_port = near(rule.remote_ports);
    if (!rule.names_tag() && !chance(5)) query.remote = near(rule);
    return query;
  }

 private:
  PermitRule match() {
    PermitRule rule;
    if (chance(45)) rule.flags |= PermitRule::outbound;
    if (chance(15)) {
      rule.flags |= PermitRule::any_protocol;
      return rule;
    }
    rule.protocol = protocol();
    if (chance(70)) rule.local_ports = range();
    if (chance(30)) rule.remote_ports = range();
    return rule;
  }
  void give_remote(PermitRule& rule, uint32_t tag_percent) {
    if (chance(tag_percent)) {
      rule.flags |= PermitRule::remote_tag;
      rule.remote = 1 + below(14);
      return;
    }
    if (chance(10)) return;  // any
    rule.prefix_length = static_cast<uint8_t>(chance(40) ? 32 : chance(10) ? 1 + below(7) : 8 + below(24));
    rule.remote = address() & Ipv4Prefix::mask(rule.prefix_length);
  }
  uint8_t protocol() {
    constexpr uint8_t protocols[] = {1, 6, 6, 6, 17, 17, 0, 255};
    return protocols[below(8)];
  }
  uint16_t port() {
    constexpr uint16_t ports[] = {0, 1, 22, 80, 443, 5000, 32767, 32768, 65534, 65535};
    return chance(80) ? ports[below(10)] : static_cast<uint16_t>(below(65536));
  }
  PortRange range() {
    const uint16_t a = port();
    const uint16_t b = chance(50) ? a : port();
    return {std::min(a, b), std::max(a, b)};
  }
  uint16_t near(PortRange range) {
    const uint32_t kind = below(10);
    if (kind == 0) return static_cast<uint16_t>(range.first - 1);
    if (kind == 1) return static_cast<uint16_t>(range.last + 1);
    return kind < 6 ? range.first : range.last;
  }
  // Out of a few neighbourhoods, so that prefixes nest, touch and repeat.
  uint32_t address() {
    constexpr uint32_t bases[] = {0, 0xffffffff, 0xc6336400, 0xc6336480, 0x0a000000, 0x80000000, 0x7fffffff};
    if (chance(10)) return static_cast<uint32_t>(random_());
    return bases[below(7)] ^ below(chance(50) ? 4 : chance(50) ? 256 : 65536);
  }
  Ipv4Addr near(const PermitRule& rule) {
    const uint32_t first = rule.remote;
    const uint32_t last = rule.remote | ~Ipv4Prefix::mask(rule.prefix_length);
    const uint32_t kind = below(10);
    if (kind == 0) return Ipv4Addr::from_host(first - 1);
    if (kind == 1) return Ipv4Addr::from_host(last + 1);
    if (kind < 4) return Ipv4Addr::from_host(first);
    if (kind < 6) return Ipv4Addr::from_host(last);
    return Ipv4Addr::from_host(first + (static_cast<uint32_t>(random_()) & (last - first)));
  }

  std::mt19937_64 random_;
  TagSetTable tags_;
  std::vector<TagSetId> sets_;
};

}  // namespace portcullis::testing
