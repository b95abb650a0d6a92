// fixed-traffic: the same packets through the worker's loop in every run, for callgrind to count instructions
// (guard.py). No clock, no random number, no device: what is counted depends on the sources, the compiler and
// the back end alone. Each case ends the program if what came out is not what should have.

#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <rte_version.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/publish/publisher.h"
#include "dataplane/burst.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "tests/model/frames.h"
#include "tests/model/ring_port.h"
#include "tests/support/eal.h"
#include "tests/support/model_rule.h"

namespace portcullis::bench {

using testing::Bytes;
using testing::FramePool;
using testing::RingPort;

namespace {

constexpr uint32_t eips = 254;
constexpr uint32_t packets = 4096;  // of a case; so many flows, too
constexpr uint16_t first_service = 80;
constexpr uint16_t long_list_service = 1000;
constexpr uint16_t long_list_rules = 64;
constexpr uint64_t flow_secret = 1;  // of the flow table's hash
constexpr uint64_t start_ms = 1'000'000;
const Mac client_mac = *Mac::parse("02:00:00:00:00:01");
const Mac vm_mac = *Mac::parse("02:00:00:00:00:02");
const Mac uplink_mac = *Mac::parse("02:00:00:00:01:01");
const Mac endpoint_mac = *Mac::parse("02:00:00:00:01:02");

Ipv4Addr eip_of(uint32_t n) {
  return Ipv4Addr::from_host(Ipv4Addr::of(100, 64, 0, 1).host() + n);
}
Ipv4Addr dip_of(uint32_t n) {
  return Ipv4Addr::from_host(Ipv4Addr::of(10, 0, 0, 1).host() + n);
}
Ipv4Addr client_of(uint32_t flow) {
  return Ipv4Addr::from_host(Ipv4Addr::of(198, 18, 0, 0).host() + flow);
}

// Four rules an EIP; the last EIP has a long list. The vms may open flows to port 443, which take entries.
compile::Image image() {
  compile::Image image;
  const Ipv4Prefix pool{Ipv4Addr::of(100, 64, 0, 0), 16};
  image.pools[pool.first()] = {.prefix = pool};
  for (uint32_t n = 0; n < eips; ++n) {
    compile::CompiledBinding binding{.eip = eip_of(n),
                                     .dip = dip_of(n),
                                     .port = "endpoint",
                                     .mac = vm_mac,
                                     .edge = true,
                                     .incarnation = n + 1,
                                     .binding_generation = 1,
                                     .list_generation = 1,
                                     .kept_from = 1};
    std::vector<model::PermitRule> permit;
    const auto add = [&permit](const PermitRule& rule) {
      permit.push_back(model_rule("rule-" + std::to_string(permit.size()), rule));
    };
    const bool is_long = n + 1 == eips;
    const uint16_t services = is_long ? long_list_rules : 3;
    for (uint16_t r = 0; r < services; ++r) {
      PermitRule rule{.protocol = ip_protocol::tcp};
      const auto port = static_cast<uint16_t>((is_long ? long_list_service : first_service) + r);
      rule.local_ports = {port, port};
      add(rule);
    }
    PermitRule out{.protocol = ip_protocol::tcp};
    out.flags = PermitRule::outbound;
    out.remote_ports = {443, 443};
    add(out);
    binding.permit = std::move(permit);
    image.bindings[binding.eip] = std::move(binding);
  }
  return image;
}

struct Traffic {
  std::vector<Bytes> in, out;  // bursts of each in turn
  bool passes = true;
};

Bytes from_client(uint32_t flow, Ipv4Addr eip, uint16_t source_port, uint16_t service) {
  return testing::build(testing::Packet{.to = uplink_mac,
                                        .from = client_mac,
                                        .source = client_of(flow),
                                        .destination = eip,
                                        .protocol = testing::tcp,
                                        .source_port = source_port,
                                        .destination_port = service,
                                        .payload = Bytes(6)});
}

Bytes from_vm(uint32_t flow, uint32_t vm, uint16_t source_port, uint16_t destination_port, uint8_t flags) {
  return testing::build(testing::Packet{.to = endpoint_mac,
                                        .from = vm_mac,
                                        .source = dip_of(vm),
                                        .destination = client_of(flow),
                                        .protocol = testing::tcp,
                                        .source_port = source_port,
                                        .destination_port = destination_port,
                                        .flags = flags,
                                        .payload = Bytes(6)});
}

struct Case {
  const char* name;
  std::function<Traffic()> make;
};

// All but `new_flows` meet their traffic once before it is counted, so that `tracked` hits the flow table.
const std::vector<Case>& cases() {
  const auto each = [](auto&& add) {
    Traffic traffic;
    for (uint32_t flow = 0; flow < packets; ++flow) add(traffic, flow, flow % (eips - 1));
    return traffic;
  };
  const auto service_of = [](uint32_t flow) { return static_cast<uint16_t>(first_service + flow % 3); };
  static const std::vector<Case> all{
      {"permitted_in",
       [=] {
         return each([=](Traffic& t, uint32_t flow, uint32_t n) {
           t.in.push_back(from_client(flow, eip_of(n), 1024, service_of(flow)));
         });
       }},
      {"reply_out",
       [=] {
         return each([=](Traffic& t, uint32_t flow, uint32_t n) {
           t.out.push_back(from_vm(flow, n, service_of(flow), 1024, testing::ack));
         });
       }},
      {"tracked",
       [=] {
         return each([=](Traffic& t, uint32_t flow, uint32_t n) {
           t.out.push_back(from_vm(flow, n, 2048, 443, testing::ack));
           t.in.push_back(from_client(flow, eip_of(n), 443, 2048));
         });
       }},
      {"new_flows",
       [=] {
         return each([=](Traffic& t, uint32_t flow, uint32_t n) {
           t.out.push_back(from_vm(flow, n, 3072, 443, testing::syn));
         });
       }},
      {"long_list",
       [=] {
         return each([=](Traffic& t, uint32_t flow, uint32_t) {
           const auto service = static_cast<uint16_t>(long_list_service + flow % long_list_rules);
           t.in.push_back(from_client(flow, eip_of(eips - 1), 1024, service));
         });
       }},
      {"not_permitted",
       [=] {
         Traffic traffic = each([=](Traffic& t, uint32_t flow, uint32_t n) {
           t.in.push_back(from_client(flow, eip_of(n), 1024, 22));
         });
         traffic.passes = false;
         return traffic;
       }},
      {"unbound",
       [=] {
         Traffic traffic = each([=](Traffic& t, uint32_t flow, uint32_t) {
           t.in.push_back(from_client(flow, eip_of(1000 + flow), 1024, 80));
         });
         traffic.passes = false;
         return traffic;
       }},
  };
  return all;
}

}  // namespace

using Turn = void (*)(Worker& worker, uint64_t now_ms);

static void plain_turn(Worker& worker, uint64_t now_ms) {
  worker.poll(now_ms);
  worker.age(now_ms);
}

// What is counted, by these names (guard.py): callgrind switches on and off at the first, and writes what it
// has at the end of the second.
extern "C" [[gnu::noinline]] void fixed_traffic_turn(Worker& worker, uint64_t now_ms) {
  plain_turn(worker, now_ms);
  asm volatile("" ::: "memory");
}

class Bench;
extern "C" void fixed_traffic_case(Bench& bench, const Traffic& traffic);

class Bench {
 public:
  explicit Bench(Isa isa)
      : pool_("fixed-traffic", 1023), uplink_("uplink", pool_, 256), endpoint_("endpoint", pool_, 256) {
    tables_ = must(Tables::create({.eips = 256,
                                   .spare_records = 16,
                                   .spare = 16,
                                   .spare_chunks = 16,
                                   .index_pages = 4,
                                   .permit_chunks = 64,
                                   .tag_sets = 16},
                                  SOCKET_ID_ANY));
    tables_->ports.ports[uplink_.id()] = {.role = PortRole::uplink, .mac = uplink_mac};
    tables_->ports.ports[endpoint_.id()] = {.role = PortRole::endpoint, .mac = endpoint_mac};
    tables_->ports.uplink = uplink_.id();
    tables_->ports.in_use = {uplink_.id(), endpoint_.id()};
    tables_->next_hop.set(uplink_.id(), client_mac);
    rcu_ = static_cast<rte_rcu_qsbr*>(rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE));
    if (rcu_ == nullptr || rte_rcu_qsbr_init(rcu_, 1) != 0) throw std::runtime_error("no memory for RCU");
    publish::Publisher publisher(*tables_, rcu_, {{"endpoint", endpoint_.id()}}, UINT32_MAX);
    if (auto done = publisher.publish(compile::update_of(image())); !done)
      throw std::runtime_error(done.error().message);
    worker_ = must(
        Worker::create({.flow_capacity = 32768, .flow_secret = flow_secret, .isa = isa}, *tables_, rcu_));
    worker_->online();
  }

  // Packets that came out.
  uint64_t meet(const Traffic& traffic, Turn turn) {
    uint64_t passed = 0;
    for (size_t at = 0; at < packets; at += burst_size) {
      if (!traffic.out.empty()) passed += burst(endpoint_, uplink_, traffic.out, at, turn);
      if (!traffic.in.empty()) passed += burst(uplink_, endpoint_, traffic.in, at, turn);
    }
    return passed;
  }

  void run(const Case& what) {
    const Traffic traffic = what.make();
    if (std::string(what.name) != "new_flows") meet(traffic, plain_turn);
    fixed_traffic_case(*this, traffic);
    const uint64_t sent = traffic.in.size() + traffic.out.size();
    if (came_out != (traffic.passes ? sent : 0))
      throw std::runtime_error(std::string(what.name) + ": " + std::to_string(came_out) + " of " +
                               std::to_string(sent) + " packets came out");
  }

  uint64_t came_out = 0;  // in the last fixed_traffic_case

 private:
  template <typename T>
  static T must(Expected<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
  }

  uint64_t burst(RingPort& from, RingPort& to, const std::vector<Bytes>& frames, size_t at, Turn turn) {
    for (size_t n = at; n < at + burst_size; ++n)
      if (!from.feed(frames[n])) throw std::runtime_error("a ring is full");
    turn(*worker_, now_ms_++);
    return to.collect().size();
  }

  FramePool pool_;
  RingPort uplink_, endpoint_;
  std::unique_ptr<Tables> tables_;
  rte_rcu_qsbr* rcu_ = nullptr;  // lives as long as the process
  std::unique_ptr<Worker> worker_;
  uint64_t now_ms_ = start_ms;
};

extern "C" [[gnu::noinline]] void fixed_traffic_case(Bench& bench, const Traffic& traffic) {
  bench.came_out = bench.meet(traffic, fixed_traffic_turn);
}

namespace {

nlohmann::ordered_json description() {
  nlohmann::ordered_json names = nlohmann::ordered_json::array();
  nlohmann::ordered_json sizes = nlohmann::ordered_json::array();
  for (const Case& one : cases()) {
    const Traffic traffic = one.make();
    names.push_back(one.name);
    sizes.push_back(traffic.in.size() + traffic.out.size());
  }
  nlohmann::ordered_json isas = nlohmann::ordered_json::array();
  for (const Isa isa : all_isas)
    if (is_supported(isa)) isas.push_back(name_of(isa));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
  constexpr bool release = false;
#else
  constexpr bool release = true;
#endif
  return {{"compiler", __VERSION__}, {"dpdk", rte_version()}, {"release", release}, {"isas", isas},
          {"cases", names},          {"packets", sizes}};
}

int run(int argc, char** argv) {
  CLI::App app{"The same packets in every run, for callgrind to count instructions; see guard.py."};
  std::string isa = "scalar";
  bool describe = false;
  app.add_option("--isa", isa, "back end: scalar, avx2, avx512")->capture_default_str();
  app.add_flag("--describe", describe, "print what would run, as JSON");
  CLI11_PARSE(app, argc, argv);
  if (describe) {
    std::printf("%s\n", description().dump(2).c_str());
    return 0;
  }
  const auto chosen = isa_of(isa);
  if (!chosen) throw std::runtime_error("--isa: there is no back end '" + isa + "'");
  testing::start_eal();
  Bench bench(*chosen);
  for (const Case& one : cases()) bench.run(one);
  return 0;
}

}  // namespace
}  // namespace portcullis::bench

int main(int argc, char** argv) {
  try {
    return portcullis::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fixed-traffic: %s\n", error.what());
    return 1;
  }
}
