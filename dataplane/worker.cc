#include "dataplane/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_random.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <time.h>

#include <algorithm>

#include "dataplane/entry_life.h"
#include "dataplane/handover.h"
#include "dataplane/rehearse.h"
#include "dataplane/worker_loop.h"
#include "dataplane/worker_state.h"

namespace portcullis {
namespace {

// The whole flow table is aged once in this time.
constexpr uint64_t age_sweep_ms = 10'000;
// Most buckets aged in one turn: what bounds the longest gap between two bursts.
constexpr uint64_t age_step_buckets = 256;

// The same of a fragment table, and most places of a turn.
constexpr uint64_t fragment_sweep_ms = 5'000;
constexpr uint64_t fragment_step = 256;

// ARP replies of an uplink's next hop, a second. The punt thread asks once a second at the most.
constexpr uint32_t next_hop_replies_a_second = 64;

// At least one burst: a ping at a low rate should not be lost to its own meter.
Expected<void> configure(PuntMeter& meter, uint32_t packets_per_second) {
  rte_meter_srtcm_params params{};
  params.cir = packets_per_second;
  params.cbs = std::max<uint64_t>(packets_per_second / 10, burst_size);
  if (rte_meter_srtcm_profile_config(&meter.profile, &params) != 0 ||
      rte_meter_srtcm_config(&meter.meter, &meter.profile) != 0)
    return fail(ErrorCode::invalid_argument, "punt rate " + std::to_string(packets_per_second) +
                                                 " packets a second cannot be metered; it must be above 0");
  meter.meter.time = 0;  // its clock is the one that poll() is given
  return {};
}

// Ages as many buckets as are due at `now_ms`.
template <typename Family>
void age_flows(WorkerState& worker, AgeSweep& sweep, uint64_t now_ms) {
  if (now_ms <= sweep.aged_until_ms) return;
  auto& flows = Family::flows(worker);
  const uint64_t buckets = flows.bucket_count();
  const uint64_t due = (now_ms - sweep.aged_until_ms) * buckets / age_sweep_ms;
  if (due == 0) return;
  sweep.aged_until_ms = now_ms;
  auto step = static_cast<uint32_t>(std::min({due, buckets, age_step_buckets}));
  while (step != 0) {
    if (sweep.left == 0) {
      // Entries end by a change only when there was one: a sweep that begins without one since the last looks
      // at nothing but expiry.
      const uint64_t changes = worker.tables.changes.load(std::memory_order_relaxed);
      sweep.judges = changes != sweep.swept_changes;
      sweep.swept_changes = changes;
      sweep.left = flows.bucket_count();
    }
    const uint32_t some = std::min(step, sweep.left);
    using Visit = typename std::remove_reference_t<decltype(flows)>::Visit;
    flows.age(some, sweep.judges ? Visit::all : Visit::expired, now_ms, [&](const auto& entry) {
      return entry.expires_ms <= now_ms || (sweep.judges && is_dead<Family>(entry, worker.tables, now_ms));
    });
    sweep.left -= some;
    step -= some;
  }
}

// The same of places in the fragment table, as long as there is something in it.
template <typename Family>
void age_fragments(WorkerState& worker, uint64_t& swept, uint64_t now_ms) {
  auto& fragments = Family::fragments(worker);
  if (fragments.size() == 0) return;
  const uint64_t until = now_ms * fragments.capacity() / fragment_sweep_ms;
  if (until <= swept) return;
  fragments.age(static_cast<uint32_t>(std::min(until - swept, fragment_step)), now_ms);
  swept = until;
}

template <typename Family>
void age_all_flows(WorkerState& worker, uint64_t now_ms) {
  auto& flows = Family::flows(worker);
  using Visit = typename std::remove_reference_t<decltype(flows)>::Visit;
  flows.age(flows.bucket_count(), Visit::all, now_ms,
            [&](const auto& entry) { return is_dead<Family>(entry, worker.tables, now_ms); });
}

template <typename Family>
void age_all_fragments(WorkerState& worker, uint64_t now_ms) {
  auto& fragments = Family::fragments(worker);
  fragments.age(fragments.capacity(), now_ms);
}

}  // namespace

Expected<std::unique_ptr<Worker>> Worker::create(const WorkerConfig& config, const Tables& tables,
                                                 rte_rcu_qsbr* rcu) {
  if (!is_supported(config.isa))
    return fail(ErrorCode::invalid_argument,
                "this CPU has no " + std::string(name_of(config.isa)) + ": choose a narrower back end");
  auto counters = WorkerCounters::create(tables.binding, tables.permit, config.numa_node);
  if (!counters) return tl::unexpected(counters.error());
  const uint64_t secret = config.flow_secret != 0 ? config.flow_secret : rte_rand();
  auto flow_counts =
      FlowCounts::create(tables.binding.capacity(), tables.tenants.capacity(), config.numa_node);
  if (!flow_counts) return tl::unexpected(flow_counts.error());
  auto counts = std::make_unique<FlowCounts>(std::move(*flow_counts));
  auto flows = FlowTable::create(config.flow_capacity, config.numa_node, secret, *counts);
  if (!flows) return tl::unexpected(flows.error());
  auto flows6 = FlowTable6::create(config.ipv6_flow_capacity, config.numa_node, secret, *counts);
  if (!flows6) return tl::unexpected(flows6.error());
  std::optional<ErrorRate> own_error_rate;
  if (config.error_rate == nullptr) {
    auto rate =
        ErrorRate::create(tables.gateway.icmp_error_rate, tables.binding.capacity(), config.numa_node);
    if (!rate) return tl::unexpected(rate.error());
    own_error_rate = std::move(*rate);
  }
  auto fragments = FragmentTable::create(config.fragment_capacity, config.numa_node, secret);
  if (!fragments) return tl::unexpected(fragments.error());
  auto fragments6 = FragmentTable6::create(config.fragment_capacity, config.numa_node, secret);
  if (!fragments6) return tl::unexpected(fragments6.error());
  auto state = std::unique_ptr<WorkerState>(new WorkerState{.config = config,
                                                            .tables = tables,
                                                            .rcu = rcu,
                                                            .counters = std::move(*counters),
                                                            .flow_counts = std::move(counts),
                                                            .flows = std::move(*flows),
                                                            .flows6 = std::move(*flows6),
                                                            .own_error_rate = std::move(own_error_rate),
                                                            .error_rate = config.error_rate,
                                                            .fragments = std::move(*fragments),
                                                            .fragments6 = std::move(*fragments6),
                                                            .tsc_hz = rte_get_tsc_hz()});
  if (state->own_error_rate) state->error_rate = &*state->own_error_rate;
  for (const PortId port : tables.ports.in_use) {
    const PortQueues& queues = config.queues[port];
    state->transmit[port].number = queues.transmit;
    if (queues.transmit == PortQueues::none)
      state->transmit[port].to_transmitter = config.handover->to_transmitter(config.id, queues.transmitter);
    const uint32_t punt_rate = std::max(1u, tables.ports.ports[port].punt_rate / queues.receivers);
    if (auto done = configure(state->punt_meters[port], punt_rate); !done)
      return tl::unexpected(done.error());
    if (auto done = configure(state->next_hop_meters[port], next_hop_replies_a_second); !done)
      return tl::unexpected(done.error());
  }
  return std::unique_ptr<Worker>(new Worker(std::move(state)));
}

Worker::~Worker() {
  for (TransmitQueue& queue : state_->transmit)
    for (uint32_t n = 0; n < queue.count; ++n) rte_pktmbuf_free(queue.packets[n]);
}

void Worker::set_peers(const std::vector<const Worker*>& peers) {
  for (const Worker* peer : peers) state_->peers_flow_counts.push_back(peer->state_->flow_counts.get());
}

void Worker::online() {
  rte_rcu_qsbr_thread_register(state_->rcu, state_->config.id);
  rte_rcu_qsbr_thread_online(state_->rcu, state_->config.id);
}

void Worker::offline() {
  rte_rcu_qsbr_thread_offline(state_->rcu, state_->config.id);
  rte_rcu_qsbr_thread_unregister(state_->rcu, state_->config.id);
}

namespace {

template <typename Group>
uint32_t poll_without_probe(WorkerState& worker, uint64_t now_ms) noexcept {
  return poll_worker<Group>(worker, now_ms, [](std::string_view) {});
}

auto* poll_of(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return poll_without_probe<Avx2Group>;
  if (isa == Isa::avx512) return poll_without_probe<Avx512Group>;
#endif
  return poll_without_probe<ScalarGroup>;
}

}  // namespace

bool Rehearsal::run(WorkerState& worker, uint64_t now_ms) noexcept {
  const Isa isa = worker.config.isa;
#if defined(__x86_64__)
  if (isa == Isa::avx2) return rehearse<Avx2Group>(*this, worker, now_ms), true;
  if (isa == Isa::avx512) return rehearse<Avx512Group>(*this, worker, now_ms), true;
#endif
  return rehearse<ScalarGroup>(*this, worker, now_ms), true;
}

Worker::Worker(std::unique_ptr<WorkerState> state)
    : state_(std::move(state)), poll_(poll_of(state_->config.isa)) {}

uint32_t Worker::poll(uint64_t now_ms) noexcept {
  return poll_(*state_, now_ms);
}

void Worker::age(uint64_t now_ms) noexcept {
  age_flows<stages::Ipv4>(*state_, state_->sweep, now_ms);
  age_flows<stages::Ipv6>(*state_, state_->sweep6, now_ms);
  age_fragments<stages::Ipv4>(*state_, state_->fragments_swept, now_ms);
  age_fragments<stages::Ipv6>(*state_, state_->fragments6_swept, now_ms);
}

void Worker::age_all(uint64_t now_ms) noexcept {
  age_all_flows<stages::Ipv4>(*state_, now_ms);
  age_all_flows<stages::Ipv6>(*state_, now_ms);
  age_all_fragments<stages::Ipv4>(*state_, now_ms);
  age_all_fragments<stages::Ipv6>(*state_, now_ms);
}

void Worker::carry_out(Errand& errand, uint64_t now_ms) noexcept {
  while (!errand.run(*state_, now_ms)) {
  }
}

Expected<void> Worker::ask(Errand& errand) const {
  if (state_->mailbox.ask(errand, errand_patience)) return {};
  return fail(ErrorCode::unavailable,
              "worker " + std::to_string(state_->config.id) + " on core " +
                  std::to_string(state_->config.core) + " has not answered within " +
                  std::to_string(errand_patience.count()) +
                  " ms: it is stopping, something else holds its core, or many ask it; try again");
}

void Worker::run(const std::atomic<bool>& stop) noexcept {
  const uint64_t tsc_per_ms = std::max<uint64_t>(state_->tsc_hz / 1000, 1);
  const timespec idle_sleep{.tv_sec = 0, .tv_nsec = static_cast<long>(state_->config.idle_sleep_us) * 1000};
  uint32_t empty_polls = 0;
  state_->poll_gap.begin(rte_rdtsc());
  while (!stop.load(std::memory_order_relaxed)) {
    const uint64_t tsc = rte_rdtsc();
    state_->poll_gap.turn(tsc);
    const uint64_t now_ms = tsc / tsc_per_ms;
    const uint32_t received = poll(now_ms);
    age(now_ms);
    const bool is_idle = received == 0 && state_->counters.held.get() == 0 && !state_->mailbox.has_mail();
    empty_polls = is_idle ? empty_polls + 1 : 0;
    if (state_->config.idle_polls == 0 || empty_polls < state_->config.idle_polls) continue;
    empty_polls = state_->config.idle_polls;
    // No reader while it sleeps: publication need not wait for it.
    rte_rcu_qsbr_thread_offline(state_->rcu, state_->config.id);
    nanosleep(&idle_sleep, nullptr);
    rte_rcu_qsbr_thread_online(state_->rcu, state_->config.id);
  }
}

const WorkerCounters& Worker::counters() const {
  return state_->counters;
}
const FlowTable& Worker::flows() const {
  return state_->flows;
}
const FlowTable6& Worker::flows6() const {
  return state_->flows6;
}
const FragmentTable& Worker::fragments() const {
  return state_->fragments;
}
const FragmentTable6& Worker::fragments6() const {
  return state_->fragments6;
}
uint64_t Worker::flows_of(BindingId binding) const {
  return state_->flow_counts->of_binding(binding);
}
uint64_t Worker::flows_of_tenant(TenantNumber tenant) const {
  return state_->flow_counts->of_tenant(tenant);
}
PollGap::Longest Worker::longest_gap() const {
  return state_->poll_gap.longest(rte_rdtsc());
}
const WorkerConfig& Worker::config() const {
  return state_->config;
}

size_t Worker::bytes() const {
  return state_->flows.bytes() + state_->flows6.bytes() + state_->flow_counts->bytes() +
         (state_->own_error_rate ? state_->own_error_rate->bytes() : 0) + state_->fragments.bytes() +
         state_->fragments6.bytes() + state_->counters.slots.bytes() + state_->counters.chunk_hits.bytes();
}

}  // namespace portcullis
