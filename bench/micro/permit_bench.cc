// Permit lists: find_rule on each back end against a linear walk over the same rules and against librte_acl,
// in bursts of 64 as the pipeline asks them. Counter "tsc": TSC ticks a query. Lists: row 9 of the targets;
// the same with `any` after all prefixes, and without it, since an `any` hides all later rules of its shape;
// and with a port of its own for each rule. "ipv6": the same lists, their remotes widened. "each_its_own":
// the 64 queries of a burst ask 64 lists, as packets of as many EIPs do; else all ask one.

#include <rte_acl.h>
#include <rte_cycles.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "bench/micro/micro.h"
#include "dataplane/stages/permit_match.h"
#include "dataplane/tables/tables.h"

namespace portcullis::micro {
namespace {

constexpr uint32_t queries = 1 << 16;  // enough that no branch predictor learns them by heart

// Lists, and what is asked of them: one that all queries are for, or one for each query of a burst in its
// turn.
template <typename Rule, typename Query>
struct CaseOf {
  std::string name;
  std::vector<std::vector<Rule>> lists;
  std::vector<Query> queries;
  [[nodiscard]] uint32_t list_at(size_t query) const { return static_cast<uint32_t>(query % lists.size()); }
};
using Case = CaseOf<PermitRule, PermitQuery>;
using Case6 = CaseOf<PermitRule6, PermitQuery6>;

// Row 9: up to 16 shapes; of the remotes 30 % /32, 50 % /8 to /28, 20 % any. All lie below 128.0.0.0 (but
// any), so that there are remotes that miss.
enum class Any { shuffled, last, none };

std::vector<PermitRule> shapes() {
  std::vector<PermitRule> shapes;
  const auto add = [&](uint8_t flags, uint8_t protocol, PortRange local, PortRange remote) {
    shapes.push_back({.flags = flags, .protocol = protocol, .local_ports = local, .remote_ports = remote});
  };
  for (const uint16_t port : std::initializer_list<uint16_t>{22, 25, 80, 443, 3306, 5432, 6379, 8080})
    add(0, 6, {port, port}, {});
  for (const uint16_t port : std::initializer_list<uint16_t>{53, 123, 161, 4500})
    add(0, 17, {port, port}, {});
  add(0, 6, {30000, 32767}, {});
  for (const uint16_t port : std::initializer_list<uint16_t>{80, 443})
    add(PermitRule::outbound, 6, {}, {port, port});
  add(PermitRule::outbound, 17, {}, {53, 53});
  return shapes;
}

std::vector<PermitRule> list_of(uint32_t count, Any any, uint32_t nth = 0) {
  std::mt19937_64 random(count + uint64_t{nth} * 1'000'003);
  const std::vector<PermitRule> all_shapes = shapes();
  std::vector<PermitRule> rules;
  for (uint32_t n = 0; n < count; ++n) {
    PermitRule rule = all_shapes[random() % all_shapes.size()];
    const uint64_t kind = random() % 10;
    if (kind < 3)
      rule.prefix_length = 32;
    else if (kind < 8 || any == Any::none)
      rule.prefix_length = static_cast<uint8_t>(8 + random() % 21);
    rule.remote = static_cast<uint32_t>(random()) >> 1 & Ipv4Prefix::mask(rule.prefix_length);
    rules.push_back(rule);
  }
  if (any == Any::last)
    std::stable_partition(rules.begin(), rules.end(),
                          [](const PermitRule& rule) { return rule.prefix_length != 0; });
  return rules;
}

// As bench-pps has them for row 9: each rule has a port of its own, half of them mind the other end's port.
std::vector<PermitRule> own_ports(uint32_t count) {
  std::vector<PermitRule> rules = list_of(count, Any::shuffled);
  for (uint32_t n = 0; n < count; ++n) {
    const auto port = static_cast<uint16_t>(10000 + n % 50000);
    rules[n].flags = 0;
    rules[n].protocol = 6;
    rules[n].local_ports = {port, port};
    rules[n].remote_ports = {n / 10 % 2 == 0 ? uint16_t{0} : uint16_t{1024}, 65535};
  }
  return rules;
}

PermitQuery hit_of(const PermitRule& rule, std::mt19937_64& random) {
  const uint32_t host = static_cast<uint32_t>(random()) & ~Ipv4Prefix::mask(rule.prefix_length);
  const auto port_in = [&](PortRange range) {
    return static_cast<uint16_t>(range.first + random() % (uint32_t{range.last} - range.first + 1));
  };
  return {.direction = rule.direction(),
          .protocol = rule.protocol,
          .local_port = port_in(rule.local_ports),
          .remote_port = port_in(rule.remote_ports),
          .remote = Ipv4Addr::from_host(rule.remote | host),
          .remote_tags = empty_tag_set};
}

Case hits_of(std::string name, std::vector<PermitRule> rules) {
  std::mt19937_64 random(1);
  Case list{std::move(name), {std::move(rules)}, {}};
  for (uint32_t n = 0; n < queries; ++n)
    list.queries.push_back(hit_of(list.lists[0][random() % list.lists[0].size()], random));
  return list;
}

// Remotes that no prefix covers; with an `any` in each shape, ports that no shape names.
Case misses_of(std::string name, std::vector<PermitRule> rules) {
  Case list = hits_of(std::move(name), std::move(rules));
  const bool has_any =
      std::ranges::any_of(list.lists[0], [](const PermitRule& rule) { return rule.prefix_length == 0; });
  for (PermitQuery& query : list.queries) {
    query.remote = Ipv4Addr::from_host(query.remote.host() | 0x80000000);
    if (has_any) query.local_port = query.remote_port = 9;
  }
  return list;
}

// Half of each, at random.
Case mixed_of(std::string name, const std::vector<PermitRule>& rules) {
  Case list = hits_of(std::move(name), rules);
  const Case misses = misses_of("", rules);
  Known half(50);
  for (uint32_t n = 0; n < queries; ++n)
    if (!half.next()) list.queries[n] = misses.queries[n];
  return list;
}

// Query n of a burst asks list n of as many.
Case each_its_own(std::string name, uint32_t count, Case (*ask)(std::string, std::vector<PermitRule>)) {
  Case all{std::move(name), {}, std::vector<PermitQuery>(queries)};
  for (uint32_t nth = 0; nth < burst; ++nth) {
    Case one = ask("", list_of(count, Any::none, nth));
    for (uint32_t n = nth; n < queries; n += burst) all.queries[n] = one.queries[n];
    all.lists.push_back(std::move(one.lists[0]));
  }
  return all;
}

// Row 1a: four rules by port, the position of the one that matches uniform.
std::vector<PermitRule> inline_four() {
  std::vector<PermitRule> four;
  for (const uint16_t port : std::initializer_list<uint16_t>{80, 443, 22, 8080})
    four.push_back({.protocol = 6, .local_ports = {port, port}});
  return four;
}

// The 32 bits behind the first 16; behind them what follows from them, so that a host is one of 2^128.
Ipv6Addr widened(uint32_t remote) {
  constexpr uint64_t odd = 0x9e3779b97f4a7c15;
  return Ipv6Addr::of(0x2a00ull << 48 | uint64_t{remote} << 16 | (remote * odd >> 48), remote * odd);
}
PermitRule6 widened(const PermitRule& rule) {
  constexpr uint8_t before = 16, whole = 128;
  const uint8_t length = rule.prefix_length == 0    ? uint8_t{0}
                         : rule.prefix_length == 32 ? whole
                                                    : static_cast<uint8_t>(before + rule.prefix_length);
  return {rule, Ipv6Prefix(widened(rule.remote), length)};
}
PermitQuery6 widened(const PermitQuery& query) {
  return PermitQuery6::of(query.direction, query.protocol, query.local_port, query.remote_port,
                          widened(query.remote.host()), query.remote_tags);
}
Case6 widened(const Case& list) {
  Case6 wide{"ipv6_" + list.name, {}, {}};
  for (const std::vector<PermitRule>& rules : list.lists) {
    std::vector<PermitRule6>& widened_rules = wide.lists.emplace_back();
    for (const PermitRule& rule : rules) widened_rules.push_back(widened(rule));
  }
  for (const PermitQuery& query : list.queries) wide.queries.push_back(widened(query));
  return wide;
}

struct Bed {
  std::unique_ptr<Tables> tables;
  std::vector<const BindingRecord*> records;  // of each list
  uint32_t stride = 0;                        // from one query's to the next one's

  template <typename Rule>
  BindingRecord& take() {
    constexpr IpFamily family = std::is_same_v<Rule, PermitRule> ? IpFamily::ipv4 : IpFamily::ipv6;
    Slot slot = 0;
    if (!tables->binding.take_slot(family, slot)) std::abort();
    records.push_back(&tables->binding.record(slot));
    return tables->binding.writable(slot);
  }
  static void put(const std::vector<PermitRule>& rules, BindingRecord& record) {
    record.rules = PermitQuad(std::span(rules).first(std::min<size_t>(rules.size(), inline_permit_rules)));
  }
  void put(const std::vector<PermitRule6>& rules, BindingRecord& record) const {
    put_rules(rules, record.rules, tables->binding.writable_rests(tables->binding.own_slot(record)));
  }
};

template <typename Rule, typename Query>
Bed bed_of(const CaseOf<Rule, Query>& list) {
  Bed bed;
  auto tables = Tables::create({.eips = burst, .ipv6_eips = burst, .permit_chunks = 32768, .tag_sets = 16},
                               SOCKET_ID_ANY);
  if (!tables) std::abort();
  bed.tables = std::move(*tables);
  bed.stride = list.lists.size() == 1 ? 0 : 1;
  bed.records.reserve(list.lists.size());
  for (const std::vector<Rule>& rules : list.lists) {
    auto place = bed.tables->permit.store(std::span<const Rule>(rules));
    if (!place) std::abort();
    BindingRecord& record = bed.take<Rule>();
    record.chunk = place->first;
    record.set_rule_count(rules.size());
    bed.put(rules, record);
  }
  return bed;
}

template <typename Group, typename Query>
uint64_t ask_all(const Bed& bed, const Query* asked) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < burst; ++i) {
    const stages::RuleMatch rule =
        stages::find_rule<Group>(*bed.records[size_t{i} * bed.stride], asked[i], *bed.tables);
    sum += rule.is_one() ? rule.hit.counter() : 7;
  }
  return sum;
}
template <typename Query>
[[gnu::flatten, gnu::noinline]] uint64_t ask_scalar(const Bed& bed, const Query* asked) {
  return ask_all<ScalarGroup>(bed, asked);
}
template <typename Query>
PORTCULLIS_AVX2 [[gnu::flatten, gnu::noinline]] uint64_t ask_avx2(const Bed& bed, const Query* asked) {
  return ask_all<Avx2Group>(bed, asked);
}
template <typename Query>
PORTCULLIS_AVX512 [[gnu::flatten, gnu::noinline]] uint64_t ask_avx512(const Bed& bed, const Query* asked) {
  return ask_all<Avx512Group>(bed, asked);
}

template <typename Query, typename Ask>
void measure(benchmark::State& state, const std::vector<Query>& asked, Ask&& ask) {
  uint64_t ticks = 0;
  uint64_t from = 0;
  while (state.KeepRunningBatch(queries)) {
    const uint64_t before = rte_rdtsc();
    for (uint32_t first = 0; first < queries; first += burst) benchmark::DoNotOptimize(ask(&asked[first]));
    ticks += rte_rdtsc() - before;
    ++from;
  }
  state.counters["tsc"] = static_cast<double>(ticks) / (static_cast<double>(from) * queries);
}

// The same rules in librte_acl: the direction is the top bit of the protocol's byte. A remote is as many
// fields as it has words.
template <size_t words>
using AclKey = std::array<uint8_t, 1 + 4 * words + 4>;  // protocol, remote, both ports
template <size_t words>
inline constexpr size_t acl_fields = 3 + words;
template <size_t words>
struct AclRule {
  rte_acl_rule_data data;
  rte_acl_field field[acl_fields<words>];
};
uint8_t acl_protocol(Direction direction, uint8_t protocol) {
  return static_cast<uint8_t>(protocol | (direction == Direction::outbound ? 0x80 : 0));
}
std::array<uint32_t, 1> words_of(Ipv4Addr remote) {
  return {remote.host()};
}
std::array<uint32_t, 4> words_of(const Ipv6Addr& remote) {
  return {static_cast<uint32_t>(remote.high() >> 32), static_cast<uint32_t>(remote.high()),
          static_cast<uint32_t>(remote.low() >> 32), static_cast<uint32_t>(remote.low())};
}
auto words_of(const PermitRule& rule) {
  return words_of(Ipv4Addr::from_host(rule.remote));
}
auto words_of(const PermitRule6& rule) {
  return words_of(rule.remote.address());
}
const Ipv4Addr& remote_of(const PermitQuery& query) {
  return query.remote;
}
const Ipv6Addr& remote_of(const PermitQuery6& query) {
  return query.whole;
}
uint32_t length_of(const PermitRule& rule) {
  return rule.prefix_length;
}
uint32_t length_of(const PermitRule6& rule) {
  return rule.remote.length();
}

struct FreeAcl {
  void operator()(rte_acl_ctx* acl) const { rte_acl_free(acl); }
};
using Acl = std::unique_ptr<rte_acl_ctx, FreeAcl>;

template <typename Rule>
Acl acl_of(const std::vector<Rule>& rules) {
  constexpr size_t words = std::tuple_size_v<decltype(words_of(Rule()))>;
  constexpr auto fields = static_cast<uint32_t>(acl_fields<words>);
  rte_acl_param param{};
  static uint32_t serial = 0;  // those of one name are one
  const std::string name = "permit" + std::to_string(serial++);
  param.name = name.c_str();
  param.socket_id = SOCKET_ID_ANY;
  param.rule_size = RTE_ACL_RULE_SZ(fields);
  param.max_rule_num = static_cast<uint32_t>(rules.size());
  Acl acl(rte_acl_create(&param));
  if (!acl) return acl;
  for (uint32_t n = 0; n < rules.size(); ++n) {
    const PermitRule& rule = match_of(rules[n]);
    AclRule<words> added{};
    added.data = {
        .category_mask = 1, .priority = static_cast<int32_t>(RTE_ACL_MAX_PRIORITY - n), .userdata = n + 1};
    added.field[0].value.u8 = acl_protocol(rule.direction(), rule.protocol);
    added.field[0].mask_range.u8 = 0xff;
    for (uint32_t w = 0; w < words; ++w) {
      const uint32_t length = length_of(rules[n]), before = w * 32;
      added.field[1 + w].value.u32 = words_of(rules[n])[w];
      added.field[1 + w].mask_range.u32 = std::clamp(length, before, before + 32) - before;
    }
    added.field[1 + words].value.u16 = rule.local_ports.first;
    added.field[1 + words].mask_range.u16 = rule.local_ports.last;
    added.field[2 + words].value.u16 = rule.remote_ports.first;
    added.field[2 + words].mask_range.u16 = rule.remote_ports.last;
    if (rte_acl_add_rules(acl.get(), reinterpret_cast<rte_acl_rule*>(&added), 1) != 0) return nullptr;
  }
  rte_acl_config config{};
  config.num_categories = 1;
  config.num_fields = fields;
  // Fields of four bytes, those of one input together.
  const auto field = [&](uint32_t n, uint8_t type, uint8_t size, uint32_t input, size_t offset) {
    config.defs[n] = {.type = type,
                      .size = size,
                      .field_index = static_cast<uint8_t>(n),
                      .input_index = static_cast<uint8_t>(input),
                      .offset = static_cast<uint32_t>(offset)};
  };
  constexpr size_t remote = 1, ports = remote + 4 * words;
  static_assert(sizeof(AclKey<words>) == ports + 4);
  field(0, RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0);
  for (uint32_t w = 0; w < words; ++w) field(1 + w, RTE_ACL_FIELD_TYPE_MASK, 4, 1 + w, remote + 4 * w);
  field(1 + words, RTE_ACL_FIELD_TYPE_RANGE, 2, 1 + words, ports);
  field(2 + words, RTE_ACL_FIELD_TYPE_RANGE, 2, 1 + words, ports + 2);
  if (rte_acl_build(acl.get(), &config) != 0) return nullptr;
  return acl;
}

template <typename Rule, typename Query>
void run_acl(benchmark::State& state, const CaseOf<Rule, Query>& list, enum rte_acl_classify_alg how) {
  constexpr size_t words = std::tuple_size_v<decltype(words_of(Rule()))>;
  std::vector<Acl> acls;
  const uint64_t began = rte_rdtsc();
  for (const std::vector<Rule>& rules : list.lists) {
    acls.push_back(acl_of(rules));
    if (!acls.back() || rte_acl_set_ctx_classify(acls.back().get(), how) != 0)
      return state.SkipWithError("rte_acl cannot");
  }
  state.counters["build_us"] = static_cast<double>(rte_rdtsc() - began) * 1e6 /
                               static_cast<double>(rte_get_tsc_hz() * list.lists.size());
  std::vector<AclKey<words>> keys;
  std::vector<const uint8_t*> pointers;
  keys.reserve(list.queries.size());
  pointers.reserve(list.queries.size());
  for (const Query& query : list.queries) {
    AclKey<words>& key = keys.emplace_back();
    const auto put = [&](size_t at, const auto& value) { std::memcpy(&key[at], &value, sizeof(value)); };
    key[0] = acl_protocol(query.direction, query.protocol);
    put(1, remote_of(query));
    put(1 + 4 * words, Port::from_host(query.local_port));
    put(1 + 4 * words + 2, Port::from_host(query.remote_port));
  }
  for (const AclKey<words>& key : keys) pointers.push_back(key.data());
  // It must give the same answers.
  for (uint32_t n = 0; n < queries; n += queries / 256 + 1) {
    const std::vector<Rule>& rules = list.lists[list.list_at(n)];
    uint32_t result = 0;
    if (rte_acl_classify(acls[list.list_at(n)].get(), &pointers[n], &result, 1, 1) != 0)
      return state.SkipWithError("rte_acl refuses");
    TagSetTable no_tags;
    const auto rule =
        std::ranges::find_if(rules, [&](const Rule& r) { return matches(r, list.queries[n], no_tags); });
    const auto expected = rule == rules.end() ? 0 : static_cast<uint32_t>(rule - rules.begin()) + 1;
    if (result != expected) return state.SkipWithError("rte_acl answers otherwise");
  }
  uint32_t results[burst];
  measure(state, list.queries, [&](const Query* asked) {
    const auto first = static_cast<size_t>(asked - list.queries.data());
    if (acls.size() == 1)
      rte_acl_classify(acls[0].get(), &pointers[first], results, burst, 1);
    else
      for (uint32_t i = 0; i < burst; ++i)
        rte_acl_classify(acls[i].get(), &pointers[first + i], &results[i], 1, 1);
    return results[0];
  });
}

template <typename Rule, typename Query>
void register_case(const CaseOf<Rule, Query>& list) {
  const auto add = [&](const std::string& how, auto ask) {
    benchmark::RegisterBenchmark((list.name + "/" + how).c_str(), [&list, ask](benchmark::State& state) {
      const Bed bed = bed_of(list);
      measure(state, list.queries, [&](const Query* asked) { return ask(bed, asked); });
    });
  };
  if (list.lists.size() == 1 && list.lists[0].size() <= 1000)
    add("linear", [&list](const Bed& bed, const Query* asked) {
      uint64_t sum = 0;
      for (uint32_t i = 0; i < burst; ++i) {
        const auto found = std::ranges::find_if(
            list.lists[0], [&](const Rule& rule) { return matches(rule, asked[i], bed.tables->tags); });
        sum += static_cast<uint64_t>(found - list.lists[0].begin());
      }
      return sum;
    });
  add("scalar", ask_scalar<Query>);
  if (is_supported(Isa::avx2)) add("avx2", ask_avx2<Query>);
  if (is_supported(Isa::avx512)) add("avx512", ask_avx512<Query>);
  const auto add_acl = [&](const char* name, enum rte_acl_classify_alg how) {
    benchmark::RegisterBenchmark((list.name + "/" + name).c_str(),
                                 [&list, how](benchmark::State& state) { run_acl(state, list, how); });
  };
  add_acl("rte_acl_avx2", RTE_ACL_CLASSIFY_AVX2);
  add_acl("rte_acl_avx512", RTE_ACL_CLASSIFY_AVX512X32);
}

// Of each of 64 lists.
constexpr std::array<uint32_t, 4> several_rules{16, 64, 250, 1000};

std::vector<Case> lists() {
  std::vector<Case> all;
  all.push_back(hits_of("inline_4", inline_four()));
  all.push_back(misses_of("inline_4_miss", inline_four()));
  all.push_back(mixed_of("inline_4_mixed", inline_four()));
  for (const uint32_t count : {20, 64, 1000, 100'000}) {
    const std::string number = std::to_string(count);
    all.push_back(hits_of(number + "_row9_hit", list_of(count, Any::shuffled)));
    all.push_back(misses_of(number + "_row9_miss", list_of(count, Any::shuffled)));
    all.push_back(mixed_of(number + "_row9_mixed", list_of(count, Any::shuffled)));
    all.push_back(hits_of(number + "_any_last_hit", list_of(count, Any::last)));
    all.push_back(hits_of(number + "_no_any_hit", list_of(count, Any::none)));
    all.push_back(misses_of(number + "_no_any_miss", list_of(count, Any::none)));
    all.push_back(hits_of(number + "_own_ports_hit", own_ports(count)));
    all.push_back(misses_of(number + "_own_ports_miss", own_ports(count)));
  }
  for (const uint32_t count : several_rules) {
    const std::string number = std::to_string(count);
    all.push_back(each_its_own(number + "_no_any_hit_each_its_own", count, hits_of));
    all.push_back(each_its_own(number + "_no_any_miss_each_its_own", count, misses_of));
  }
  return all;
}

std::vector<Case6> lists_of_ipv6() {
  std::vector<Case6> all;
  for (const uint32_t count : {16, 36, 37, 64, 1000, 100'000}) {
    const std::string number = std::to_string(count);
    all.push_back(widened(hits_of(number + "_row9_hit", list_of(count, Any::shuffled))));
    all.push_back(widened(hits_of(number + "_no_any_hit", list_of(count, Any::none))));
    all.push_back(widened(misses_of(number + "_no_any_miss", list_of(count, Any::none))));
    all.push_back(widened(hits_of(number + "_own_ports_hit", own_ports(count))));
  }
  for (const uint32_t count : several_rules) {
    const std::string number = std::to_string(count);
    all.push_back(widened(each_its_own(number + "_no_any_hit_each_its_own", count, hits_of)));
    all.push_back(widened(each_its_own(number + "_no_any_miss_each_its_own", count, misses_of)));
  }
  return all;
}

// From the rules to what is searched.
template <typename Rule>
void store(benchmark::State& state, const std::vector<Rule>& rules) {
  PermitTable table =
      *PermitTable::create(static_cast<uint32_t>(most_permit_chunks(rules.size())), SOCKET_ID_ANY);
  size_t chunks = 0;
  while (state.KeepRunning()) {
    const auto place = table.store(std::span<const Rule>(rules));
    chunks = place->chunks.size();
    table.free(*place);  // NOLINT(clang-analyzer-unix.Malloc): it is no C library's
  }
  state.counters["bytes_a_rule"] =
      static_cast<double>(chunks * sizeof(PermitChunk)) / static_cast<double>(rules.size());
}
void store(benchmark::State& state) {
  store(state, list_of(static_cast<uint32_t>(state.range(0)), Any::none));
}
void ipv6_store(benchmark::State& state) {
  std::vector<PermitRule6> rules;
  for (const PermitRule& rule : list_of(static_cast<uint32_t>(state.range(0)), Any::none))
    rules.push_back(widened(rule));
  store(state, rules);
}
BENCHMARK(store)->Arg(64)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(ipv6_store)->Arg(64)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace portcullis::micro

int main(int argc, char** argv) {
  using namespace portcullis::micro;
  start_eal(512, {"--force-max-simd-bitwidth=512"});
  const std::vector<Case> all = lists();
  for (const Case& list : all) register_case(list);
  const std::vector<Case6> all_of_ipv6 = lists_of_ipv6();
  for (const Case6& list : all_of_ipv6) register_case(list);
  return run(argc, argv);
}
