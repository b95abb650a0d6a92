// A publisher on tables of its own, and bindings as the compiler makes them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/publish/publisher.h"
#include "dataplane/stages/permit_match.h"
#include "tests/support/model_rule.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis::publish {
using compile::CompiledBinding;
using compile::CompiledPool;
using compile::CompiledRule;
using compile::Update;
using model::PoolKind;
using model::TagKey;

inline constexpr PortId port_a = 1;
inline constexpr PortId port_b = 2;
inline constexpr uint32_t flow_quota = 77;
inline constexpr uint32_t eips = 100;
inline constexpr uint32_t spare = 4;

inline Ipv4Prefix prefix(const char* text) {
  return *Ipv4Prefix::parse(text);
}
inline Ipv4Addr eip_at(uint32_t n) {
  return Ipv4Addr::from_host(0xcb007100 + n);
}  // 203.0.113.n
inline Ipv4Addr dip_at(uint32_t n) {
  return Ipv4Addr::from_host(0x0a000000 + n);
}

inline std::map<IpAddr, CompiledPool> pools(const std::vector<CompiledPool>& list) {
  std::map<IpAddr, CompiledPool> by_address;
  for (const CompiledPool& pool : list) by_address.emplace(pool.prefix.first(), pool);
  return by_address;
}

// A rule whose match is told apart by `mark`.
inline model::PermitRule rule(const std::string& name, uint16_t mark) {
  return {.name = name, .protocol = 6, .local_ports = {mark, mark}};
}
inline model::PermitRule tag_rule(const std::string& name, const std::string& tag) {
  return {.name = name, .remote = std::vector<std::string>{tag}, .protocol = 6};
}
// The nth of a list whose rules are each for one remote, next to the last one's.
inline PermitRule nth_rule(uint32_t n, uint16_t mark) {
  return {.remote = 0x0a010000 + n, .prefix_length = 32, .protocol = 6, .local_ports = {mark, mark}};
}
// `count` of them, of names of their own.
inline std::vector<model::PermitRule> rules(uint32_t count, uint16_t mark = 1) {
  std::vector<model::PermitRule> list;
  for (uint32_t n = 0; n < count; ++n)
    list.push_back(model_rule("r" + std::to_string(1000 + n), nth_rule(n, mark)));
  return list;
}

inline PermitQuery query_of(const PermitRule& rule) {
  return {.direction = rule.direction(),
          .protocol = rule.protocol,
          .local_port = rule.local_ports.first,
          .remote_port = rule.remote_ports.first,
          .remote = Ipv4Addr::from_host(rule.remote),
          .remote_tags = empty_tag_set};
}
// The inline part of a list.
inline PermitQuad first_rules(const CompiledBinding& binding) {
  std::vector<PermitRule> first;
  for (const CompiledRule& compiled : compile::compile_rules(binding.permit, IpFamily::ipv4))
    if (first.size() < inline_permit_rules) first.push_back(compiled.rule);
  return PermitQuad(first);
}

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    publisher.add_worker(plane.worker.get());
    publish_pools({{prefix("203.0.113.0/24"), PoolKind::local}});
  }

  // Generations rise with each binding that is made, as the model's do.
  CompiledBinding binding(uint32_t n, model::PermitList list = {}) {
    ++generation_;
    return {.eip = eip_at(n),
            .dip = dip_at(n),
            .port = "a",
            .mac = Mac{{2, 0, 0, 0, 0, static_cast<uint8_t>(n)}},
            .edge = true,
            .incarnation = generation_,
            .binding_generation = generation_,
            .list_generation = generation_,
            .kept_from = generation_,
            .tags = {},
            .tenant = "acme",
            .permit = std::move(list)};
  }
  // The same binding with another list.
  CompiledBinding relist(CompiledBinding before, model::PermitList list) {
    before.list_generation = before.kept_from = ++generation_;
    before.permit = std::move(list);
    return before;
  }

  void publish(const std::vector<CompiledBinding>& bindings) {
    Update update;
    for (const CompiledBinding& b : bindings) update.bindings[b.eip] = b;
    publish(update);
  }
  void publish(const Update& update) {
    const auto done = publisher.publish(update);
    ASSERT_TRUE(done) << done.error().message;
    for (const auto& [eip, binding] : update.bindings)
      if (binding) published_[eip] = *binding;
  }
  void publish_pools(const std::vector<CompiledPool>& list) {
    publish(Update{.pools = pools(list), .bindings = {}});
  }
  static void take_away(Update& update, uint32_t n) { update.bindings[eip_at(n)] = std::nullopt; }

  void expect_published(const CompiledBinding& b, PortId port) {
    const BindingRecord* record = plane.find(View::local, b.eip.v4());
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(plane.find(View::edge, b.eip.v4()), b.edge ? record : nullptr);
    EXPECT_EQ(plane.find(port, b.dip.v4()), record);
    EXPECT_EQ(record->ipv4.eip, b.eip);
    EXPECT_EQ(record->ipv4.dip, b.dip);
    EXPECT_EQ(record->mac, b.mac);
    EXPECT_EQ(record->link, port);
    const compile::StampedTerms stamped = compile::flow_terms(b, flow_quota);
    EXPECT_EQ(record->ipv4.terms, stamped.terms);
    EXPECT_EQ(record->stamp, stamped.stamp);
    const compile::CompiledRules rules = compile::compile_rules(b.permit, IpFamily::ipv4);
    EXPECT_EQ(record->rule_count, rules.size());
    EXPECT_EQ(&plane.tables->binding.record(plane.tables->binding.own_slot(*record)), record);
    EXPECT_EQ(record->rules, first_rules(b));
    std::set<std::pair<bool, uint32_t>> hits;
    for (const CompiledRule& rule : rules) {
      const RuleHit hit = find(*record, rule.rule);
      EXPECT_TRUE(hit.is_one());
      hits.emplace(hit.is_inline(), hit.counter());
    }
    EXPECT_EQ(hits.size(), rules.size()) << "each rule has a counter of its own";
    EXPECT_FALSE(find(*record, {.remote = 0xffffffff, .protocol = 6, .local_ports = {1, 1}}).is_one());
  }

  // Where a packet's hit is counted that a rule lets in, if none before it does.
  RuleHit find(const BindingRecord& record, const PermitRule& rule) const {
    return stages::find_rule<ScalarGroup>(record, query_of(rule), *plane.tables).hit;
  }

  // Counts hits of compiled rule `i` of a binding, as a worker's commit would.
  void hit(uint32_t n, uint32_t i, uint64_t packets) {
    const BindingRecord& record = *plane.find(View::local, eip_at(n));
    const model::PermitList& list = published_.at(eip_at(n)).permit;
    const RuleHit rule = find(record, compile::compile_rules(list, IpFamily::ipv4).at(i).rule);
    ASSERT_TRUE(rule.is_one());
    if (rule.is_inline())
      plane.counters().slots[plane.tables->binding.own_slot(record)].rule_hits[rule.counter()].add(packets);
    else
      plane.counters().chunk_hits[rule.counter()].add(packets);
  }
  uint64_t hits(uint32_t n, const std::string& name) {
    for (const RuleHits& counted : publisher.statistics(eip_at(n)).rules)
      if (counted.rule == name) return counted.packets;
    ADD_FAILURE() << "no rule " << name;
    return 0;
  }

  struct Free {
    uint32_t slots, chunks;
    friend bool operator==(const Free&, const Free&) = default;
  };
  Free free_room() {
    EXPECT_EQ(publisher.totals().edge, in_edge_view());
    return {plane.tables->binding.free_slots(), plane.tables->permit.free_chunks()};
  }
  // As workers find them.
  uint64_t in_edge_view() const {
    uint64_t bound = 0;
    for (uint32_t n = 1; n <= eips; ++n)
      bound += plane.tables->binding.find(View::edge, eip_at(n)).is_bound() ? 1 : 0;
    return bound;
  }

  DataPlane plane{{.eips = eips,
                   .ipv6_eips = 4,
                   .spare_records = spare,
                   .spare = spare,
                   .spare_chunks = 8,
                   .index_pages = 2,
                   .permit_chunks = 2 * eips,
                   .tag_sets = eips}};
  Publisher publisher{*plane.tables, plane.rcu.get(), {{"a", port_a}, {"b", port_b}}, flow_quota};
  uint32_t generation_ = 0;
  std::map<IpAddr, CompiledBinding> published_;
};

class Ipv6PublisherTest : public PublisherTest {
 protected:
  static IpAddr six(uint32_t n) { return Ipv6Addr::of(0x20010db800000000, n); }
  Ipv6PublisherTest() {
    publish_pools(
        {{prefix("203.0.113.0/24"), PoolKind::local}, {*IpPrefix::parse("2001:db8::/112"), PoolKind::local}});
  }

  CompiledBinding binding6(uint32_t n, uint32_t rules = 0) {
    CompiledBinding made = binding(n);
    made.eip = six(n);
    made.dip = Ipv6Addr::of(0xfd00000000000000, n);
    std::vector<model::PermitRule> list;
    for (uint32_t i = 0; i < rules; ++i)
      list.push_back(
          {.name = "r" + std::to_string(i), .remote = std::vector<IpPrefix>{remote6(i)}, .protocol = 6});
    made.permit = std::move(list);
    return made;
  }
  // Of the nth rule, next to the last one's.
  static Ipv6Prefix remote6(uint32_t n) { return {Ipv6Addr::of(0x20010db900000000, n), 128}; }
  // Where a packet's hit is counted that comes to a binding from there.
  RuleHit find6(uint32_t n, const Ipv6Addr& remote) const {
    const IndexEntry entry = plane.tables->binding.find(View::local, six(n).v6());
    return stages::find_rule<ScalarGroup>(
               plane.tables->binding.record(entry.slot()),
               PermitQuery6::of(Direction::inbound, 6, 1, 1, remote, empty_tag_set), *plane.tables)
        .hit;
  }
  IndexEntry index(View view, const IpAddr& eip) { return plane.tables->binding.find(view, eip.v6()); }
  Slot at(PortId port, const IpAddr& dip) {
    const EndpointKey6 key{.dip = dip.v6(), .link = port};
    return plane.tables->endpoint6.find<ScalarGroup>(key, plane.tables->endpoint6.bucket_of(key));
  }
};

}  // namespace portcullis::publish
