// The punt thread: what workers must not do themselves, because it needs system calls. It gives the kernel,
// over a TAP, the packets for the gateway's own addresses, sends what the kernel answers, and resolves next
// hops, those of the uplink and of tunnels, by ARP and Neighbor Discovery. Packets come from the workers and
// go to the first of them by rings; workers own all ports.
//
// `turn` is one turn of its loop and takes its time from the caller, so tests drive it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "dataplane/counter.h"
#include "dataplane/ports/next_hop_resolver.h"
#include "dataplane/ports/tap.h"
#include "dataplane/tables/tables.h"
#include "src/base/expected.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_rcu_qsbr;
struct rte_ring;

namespace portcullis {

enum class PuntOutcome : uint8_t {
#define PUNT(name, text) name,
#include "dataplane/ports/punt.def"
#undef PUNT
};

struct PuntOutcomeInfo {
  const char* name;
  const char* text;
};

inline constexpr std::array punt_outcomes = {
#define PUNT(name, text) PuntOutcomeInfo{#name, text},
#include "dataplane/ports/punt.def"
#undef PUNT
};

// Written by the punt thread, read by any.
using PuntCounters = std::array<Counter, punt_outcomes.size()>;

struct PuntConfig {
  uint32_t rcu_id = 0;              // its rte_rcu_qsbr thread id
  rte_ring* from_worker = nullptr;  // this thread is the one consumer
  rte_ring* to_worker = nullptr;    // and here the one producer
  rte_mempool* buffers = nullptr;   // for frames that it originates
  // The source of ARP requests; must be given if the uplink's next hop is to be resolved.
  Ipv4Addr arp_source;
  // The same of Neighbor Solicitations.
  Ipv6Addr neighbor_source;
  // No TAP: the gateway has no addresses.
  std::optional<TapConfig> tap;
};

class PuntThread {
 public:
  // `tables` and `rcu` outlive it. Writes nothing but the uplink's entries of `next_hop` and `next_hop6`, and
  // MACs of `neighbors`.
  [[nodiscard]] static Expected<std::unique_ptr<PuntThread>> create(PuntConfig config, Tables& tables,
                                                                    rte_rcu_qsbr* rcu);
  ~PuntThread();  // stops

  void start();
  void stop();  // idempotent; what the rings still hold stays there
  // True if there may be more to do at once. Not while the thread runs.
  bool turn(uint64_t now_ms);

  [[nodiscard]] const PuntCounters& counters() const { return counters_; }

 private:
  PuntThread(PuntConfig config, Tables& tables, rte_rcu_qsbr* rcu);
  void run(const std::stop_token& stop);
  [[nodiscard]] bool take_punted(uint64_t now_ms);
  void learn(std::span<const uint8_t> frame, PortId port, uint64_t now_ms);
  // Of an ICMPv6 message behind its IPv6 header; false if it is no advertisement of the next hop.
  [[nodiscard]] bool learn_neighbor(std::span<const uint8_t> packet, PortId port, uint64_t now_ms);
  void give_kernel(rte_mbuf* packet);
  [[nodiscard]] bool take_from_kernel();
  void send_to_uplink(std::span<uint8_t> frame);
  void resolve(uint64_t now_ms);
  void resolve_neighbors(uint64_t now_ms);
  // One step of a resolver; what it believed in is forgotten by `forget`, `ask` sends a question.
  template <typename Forget, typename Ask>
  void step(NextHopResolver& resolver, uint64_t now_ms, Forget&& forget, Ask&& ask);
  [[nodiscard]] bool learn_next_hop(const NeighborKey& sender, Mac mac, uint64_t now_ms);
  void ask(PortId port, Ipv4Addr source, Ipv4Addr target);
  void ask(PortId port, const Ipv6Addr& source, const Ipv6Addr& target);
  [[nodiscard]] bool originate(std::span<const uint8_t> frame, PortId port);
  [[nodiscard]] bool is_in_pool(const IpAddr& address) const;
  void count(PuntOutcome outcome) { counters_[static_cast<size_t>(outcome)].add(1); }

  PuntConfig config_;
  Tables& tables_;
  rte_rcu_qsbr* rcu_;
  std::optional<Tap> tap_;
  std::optional<NextHopResolver> resolver_;  // none: the next hop's MAC is fixed
  std::optional<NextHopResolver> resolver6_;
  // Of the next hop of tunnels that has the id, as long as control keeps it.
  struct NeighborResolver {
    uint32_t incarnation = 0;
    NextHopResolver resolver;
  };
  std::vector<NeighborResolver> neighbors_;
  PuntCounters counters_{};
  uint64_t last_punted_ms_ = 0;  // when a worker had something
  int wake_ = -1;                // eventfd that ends a sleep
  std::jthread thread_;
};

}  // namespace portcullis
