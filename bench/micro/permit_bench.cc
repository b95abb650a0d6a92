// Permit lists: find_rule on each back end against a linear walk over the same rules and against librte_acl,
// in bursts of 64 as the pipeline asks them. Counter "tsc": TSC ticks a query. Lists: row 9 of the targets;
// the same with `any` after all prefixes, and without it, since an `any` hides all later rules of its shape;
// and with a port of its own for each rule.

#include <rte_acl.h>
#include <rte_byteorder.h>
#include <rte_cycles.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bench/micro/micro.h"
#include "dataplane/stages/permit_match.h"
#include "dataplane/tables/tables.h"

namespace portcullis::micro {
namespace {

constexpr uint32_t queries = 1 << 16;  // enough that no branch predictor learns them by heart

// A list and what is asked of it.
struct Case {
  std::string name;
  std::vector<PermitRule> rules;
  std::vector<PermitQuery> queries;
};

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

std::vector<PermitRule> list_of(uint32_t count, Any any) {
  std::mt19937_64 random(count);
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
  Case list{std::move(name), std::move(rules), {}};
  for (uint32_t n = 0; n < queries; ++n)
    list.queries.push_back(hit_of(list.rules[random() % list.rules.size()], random));
  return list;
}

// Remotes that no prefix covers; with an `any` in each shape, ports that no shape names.
Case misses_of(std::string name, std::vector<PermitRule> rules) {
  Case list = hits_of(std::move(name), std::move(rules));
  const bool has_any =
      std::ranges::any_of(list.rules, [](const PermitRule& rule) { return rule.prefix_length == 0; });
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

// Row 1a: four rules by port, the position of the one that matches uniform.
std::vector<PermitRule> inline_four() {
  std::vector<PermitRule> four;
  for (const uint16_t port : std::initializer_list<uint16_t>{80, 443, 22, 8080})
    four.push_back({.protocol = 6, .local_ports = {port, port}});
  return four;
}

struct Bed {
  std::unique_ptr<Tables> tables;
  BindingRecord record;
};

Bed bed_of(const Case& list) {
  Bed bed;
  auto tables = Tables::create({.eips = 16, .permit_chunks = 16384, .tag_sets = 16}, SOCKET_ID_ANY);
  if (!tables) std::abort();
  bed.tables = std::move(*tables);
  auto place = bed.tables->permit.store(list.rules);
  if (!place) std::abort();
  bed.record.chunk = place->first;
  bed.record.rules =
      PermitQuad(std::span(list.rules).first(std::min<size_t>(list.rules.size(), inline_permit_rules)));
  bed.record.rule_count = static_cast<uint32_t>(list.rules.size());
  return bed;
}

template <typename Group>
uint64_t ask_all(const Bed& bed, const PermitQuery* asked) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < burst; ++i) {
    const stages::RuleMatch rule = stages::find_rule<Group>(bed.record, asked[i], *bed.tables);
    sum += rule.is_one() ? rule.hit.counter() : 7;
  }
  return sum;
}
[[gnu::flatten, gnu::noinline]] uint64_t ask_scalar(const Bed& bed, const PermitQuery* asked) {
  return ask_all<ScalarGroup>(bed, asked);
}
PORTCULLIS_AVX2 [[gnu::flatten, gnu::noinline]] uint64_t ask_avx2(const Bed& bed, const PermitQuery* asked) {
  return ask_all<Avx2Group>(bed, asked);
}
PORTCULLIS_AVX512 [[gnu::flatten, gnu::noinline]] uint64_t ask_avx512(const Bed& bed,
                                                                      const PermitQuery* asked) {
  return ask_all<Avx512Group>(bed, asked);
}

template <typename Ask>
void measure(benchmark::State& state, const std::vector<PermitQuery>& asked, Ask&& ask) {
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

// The same rules in librte_acl: the direction is the top bit of the protocol's byte.
struct AclKey {
  uint8_t protocol;
  uint32_t remote;
  uint16_t local_port, remote_port;
} __attribute__((packed));
constexpr uint32_t acl_fields = 4;
RTE_ACL_RULE_DEF(AclRule, acl_fields);

struct FreeAcl {
  void operator()(rte_acl_ctx* acl) const { rte_acl_free(acl); }
};
using Acl = std::unique_ptr<rte_acl_ctx, FreeAcl>;

Acl acl_of(const Case& list) {
  rte_acl_param param{};
  param.name = "permit";
  param.socket_id = SOCKET_ID_ANY;
  param.rule_size = RTE_ACL_RULE_SZ(acl_fields);
  param.max_rule_num = static_cast<uint32_t>(list.rules.size());
  Acl acl(rte_acl_create(&param));
  if (!acl) return acl;
  for (uint32_t n = 0; n < list.rules.size(); ++n) {
    const PermitRule& rule = list.rules[n];
    AclRule added{};
    added.data = {
        .category_mask = 1, .priority = static_cast<int32_t>(RTE_ACL_MAX_PRIORITY - n), .userdata = n + 1};
    added.field[0].value.u8 =
        static_cast<uint8_t>(rule.protocol | (rule.direction() == Direction::outbound ? 0x80 : 0));
    added.field[0].mask_range.u8 = 0xff;
    added.field[1].value.u32 = rule.remote;
    added.field[1].mask_range.u32 = rule.prefix_length;
    added.field[2].value.u16 = rule.local_ports.first;
    added.field[2].mask_range.u16 = rule.local_ports.last;
    added.field[3].value.u16 = rule.remote_ports.first;
    added.field[3].mask_range.u16 = rule.remote_ports.last;
    if (rte_acl_add_rules(acl.get(), reinterpret_cast<rte_acl_rule*>(&added), 1) != 0) return nullptr;
  }
  rte_acl_config config{};
  config.num_categories = 1;
  config.num_fields = acl_fields;
  config.defs[0] = {
      .type = RTE_ACL_FIELD_TYPE_BITMASK, .size = 1, .field_index = 0, .input_index = 0, .offset = 0};
  config.defs[1] = {.type = RTE_ACL_FIELD_TYPE_MASK,
                    .size = 4,
                    .field_index = 1,
                    .input_index = 1,
                    .offset = offsetof(AclKey, remote)};
  config.defs[2] = {.type = RTE_ACL_FIELD_TYPE_RANGE,
                    .size = 2,
                    .field_index = 2,
                    .input_index = 2,
                    .offset = offsetof(AclKey, local_port)};
  config.defs[3] = {.type = RTE_ACL_FIELD_TYPE_RANGE,
                    .size = 2,
                    .field_index = 3,
                    .input_index = 2,
                    .offset = offsetof(AclKey, remote_port)};
  if (rte_acl_build(acl.get(), &config) != 0) return nullptr;
  return acl;
}

void run_acl(benchmark::State& state, const Case& list, enum rte_acl_classify_alg how) {
  const Acl acl = acl_of(list);
  if (!acl || rte_acl_set_ctx_classify(acl.get(), how) != 0) return state.SkipWithError("rte_acl cannot");
  std::vector<AclKey> keys;
  std::vector<const uint8_t*> pointers;
  keys.reserve(list.queries.size());
  pointers.reserve(list.queries.size());
  for (const PermitQuery& query : list.queries)
    keys.push_back({.protocol = static_cast<uint8_t>(query.protocol |
                                                     (query.direction == Direction::outbound ? 0x80 : 0)),
                    .remote = query.remote.wire(),
                    .local_port = rte_cpu_to_be_16(query.local_port),
                    .remote_port = rte_cpu_to_be_16(query.remote_port)});
  for (const AclKey& key : keys) pointers.push_back(reinterpret_cast<const uint8_t*>(&key));
  // It must give the same answers.
  for (uint32_t n = 0; n < queries; n += queries / 256) {
    uint32_t result = 0;
    if (rte_acl_classify(acl.get(), &pointers[n], &result, 1, 1) != 0)
      return state.SkipWithError("rte_acl refuses");
    TagSetTable no_tags;
    const auto rule = std::ranges::find_if(
        list.rules, [&](const PermitRule& r) { return matches(r, list.queries[n], no_tags); });
    const auto expected = rule == list.rules.end() ? 0 : static_cast<uint32_t>(rule - list.rules.begin()) + 1;
    if (result != expected) return state.SkipWithError("rte_acl answers otherwise");
  }
  uint32_t results[burst];
  measure(state, list.queries, [&](const PermitQuery* asked) {
    const auto first = static_cast<size_t>(asked - list.queries.data());
    rte_acl_classify(acl.get(), &pointers[first], results, burst, 1);
    return results[0];
  });
}

void register_case(const Case& list) {
  const auto add = [&](const std::string& how, auto ask) {
    benchmark::RegisterBenchmark((list.name + "/" + how).c_str(), [&list, ask](benchmark::State& state) {
      const Bed bed = bed_of(list);
      measure(state, list.queries, [&](const PermitQuery* asked) { return ask(bed, asked); });
    });
  };
  if (list.rules.size() <= 1000)
    add("linear", [&list](const Bed& bed, const PermitQuery* asked) {
      uint64_t sum = 0;
      for (uint32_t i = 0; i < burst; ++i) {
        const auto found = std::ranges::find_if(
            list.rules, [&](const PermitRule& rule) { return matches(rule, asked[i], bed.tables->tags); });
        sum += static_cast<uint64_t>(found - list.rules.begin());
      }
      return sum;
    });
  add("scalar", ask_scalar);
  if (is_supported(Isa::avx2)) add("avx2", ask_avx2);
  if (is_supported(Isa::avx512)) add("avx512", ask_avx512);
  const auto add_acl = [&](const char* name, enum rte_acl_classify_alg how) {
    benchmark::RegisterBenchmark((list.name + "/" + name).c_str(),
                                 [&list, how](benchmark::State& state) { run_acl(state, list, how); });
  };
  add_acl("rte_acl_avx2", RTE_ACL_CLASSIFY_AVX2);
  add_acl("rte_acl_avx512", RTE_ACL_CLASSIFY_AVX512X32);
}

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
  return all;
}

// From the rules to what is searched.
void store(benchmark::State& state) {
  const std::vector<PermitRule> rules = list_of(static_cast<uint32_t>(state.range(0)), Any::none);
  PermitTable table =
      *PermitTable::create(static_cast<uint32_t>(most_permit_chunks(rules.size())), SOCKET_ID_ANY);
  size_t chunks = 0;
  while (state.KeepRunning()) {
    const auto place = table.store(rules);
    chunks = place->chunks.size();
    table.free(*place);  // NOLINT(clang-analyzer-unix.Malloc): it is no C library's
  }
  state.counters["bytes_a_rule"] =
      static_cast<double>(chunks * sizeof(PermitChunk)) / static_cast<double>(rules.size());
}
BENCHMARK(store)->Arg(64)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace portcullis::micro

int main(int argc, char** argv) {
  using namespace portcullis::micro;
  start_eal(512, {"--force-max-simd-bitwidth=512"});
  const std::vector<Case> all = lists();
  for (const Case& list : all) register_case(list);
  return run(argc, argv);
}
