#include "src/portcullisd/memory.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "dataplane/burst.h"
#include "dataplane/capture/capture.h"
#include "dataplane/capture/denied_log.h"
#include "dataplane/counters.h"
#include "dataplane/handover.h"
#include "dataplane/ports/ethdev.h"
#include "dataplane/tables/flow.h"
#include "dataplane/worker_state.h"

namespace portcullis {
namespace {

constexpr uint64_t index_page_bytes = 65536 * sizeof(uint32_t);
constexpr uint64_t views = 2;
constexpr uint64_t flow_bucket_bytes = 64 + FlowTable::ways * sizeof(FlowEntry);
// Lists that may be replaced in one step while their old chunks are still read.
constexpr uint32_t lists_in_flight = 2;
constexpr uint32_t default_mtu = 1500;
// From one worker to another: to owners and to transmitters.
constexpr uint32_t rings_of_pair = 2;

}  // namespace

TableSizes table_sizes(const config::Settings& settings) {
  const auto& capacity = settings.capacity;
  TableSizes sizes;
  sizes.eips = capacity.eips;
  sizes.ipv6_eips = capacity.ipv6_eips;
  sizes.index_pages = capacity.index_pages;
  sizes.permit_chunks = capacity.permit_chunks;
  sizes.spare_chunks =
      std::max(sizes.spare_chunks,
               lists_in_flight * static_cast<uint32_t>(most_permit_chunks(capacity.rules_per_eip)));
  sizes.tenants = capacity.tenants;
  sizes.tag_sets = capacity.tag_sets;
  sizes.links = capacity.links;
  sizes.tunnel_remotes = capacity.tunnel_remotes;
  return sizes;
}

uint32_t packet_buffers(const config::Settings& settings) {
  if (settings.capacity.packet_buffers != 0) return settings.capacity.packet_buffers;
  uint32_t buffers = 2 * punt_ring_size;
  for (const auto& port : settings.ports)
    buffers += port.queues *
               (uint32_t{port.rx_descriptors} + port.tx_descriptors + TransmitQueue::capacity + burst_size);
  const auto workers = static_cast<uint32_t>(settings.workers.cores.size());
  // A cache is emptied when it holds half as many again.
  return buffers + workers * packet_pool_cache * 3 / 2 +
         workers * (workers - 1) * rings_of_pair * Handover::ring_size;
}

uint16_t largest_mtu(const config::Settings& settings) {
  uint16_t largest = default_mtu;
  for (const auto& port : settings.ports) largest = std::max(largest, port.mtu);
  return largest;
}

uint64_t MemoryPlan::bytes() const {
  return std::accumulate(rows.begin(), rows.end(), uint64_t{0},
                         [](uint64_t sum, const MemoryRow& row) { return sum + row.bytes; });
}

uint32_t MemoryPlan::eal_megabytes() const {
  constexpr uint64_t mebibyte = 1 << 20;
  constexpr uint64_t own = 64 * mebibyte;
  return static_cast<uint32_t>((bytes() + bytes() / 8 + own + mebibyte - 1) / mebibyte);
}

MemoryPlan plan_memory(const config::Settings& settings) {
  const TableSizes sizes = table_sizes(settings);
  const uint64_t workers = settings.workers.cores.size();
  const uint64_t ipv4_records = uint64_t{sizes.eips} + sizes.spare_records;
  const uint64_t ipv6_records = uint64_t{sizes.ipv6_eips} + sizes.spare_records;
  const uint64_t records = ipv4_records + ipv6_records;
  const uint32_t endpoints = sizes.eips + sizes.spare;
  const uint32_t ipv6_endpoints = sizes.ipv6_eips + sizes.spare;
  const uint64_t chunks = uint64_t{sizes.permit_chunks} + sizes.spare_chunks;
  const uint64_t tenants = uint64_t{sizes.tenants} + sizes.spare;
  const uint64_t tag_sets = uint64_t{sizes.tag_sets} + sizes.spare;
  const uint64_t links = uint64_t{sizes.links} + sizes.spare;
  const uint64_t neighbors = uint64_t{sizes.tunnel_remotes} + sizes.spare;
  const uint64_t flows = settings.capacity.flows * workers;
  const uint64_t ipv6_flows = settings.capacity.ipv6_flows * workers;
  const uint64_t fragments = settings.capacity.fragments * workers;
  const uint64_t buffers = packet_buffers(settings);
  const uint64_t counter_bytes = workers * (records * (sizeof(SlotCounters) + sizeof(Level)) +
                                            chunks * permit_chunk_rules * sizeof(Counter)) +
                                 records * ErrorRate::bytes_each;
  const uint64_t copies = workers * Captures::copies_of_worker;
  const uint64_t denied = settings.denied_packets_a_second == 0 ? 0 : workers * DeniedLog::copies;
  const uint64_t copy_bytes =
      workers * CopyRing::bytes_for(Captures::copies_of_worker, Captures::frame_bytes(largest_mtu(settings)));
  const uint64_t denied_bytes =
      denied == 0 ? 0 : workers * CopyRing::bytes_for(DeniedLog::copies, DeniedLog::frame_bytes);
  return {{
      {"binding records", ipv4_records, ipv4_records * sizeof(BindingRecord)},
      {"IPv6 binding records", ipv6_records,
       ipv6_records * (sizeof(BindingRecord) + sizeof(FlowTerms) + sizeof(PermitRests))},
      {"binding ids", records, records * (sizeof(Slot) + sizeof(TenantNumber))},
      {"tenants", tenants, tenants * (sizeof(uint32_t) + workers * sizeof(Level))},
      {"binding index pages", sizes.index_pages, (1 + views * sizes.index_pages) * index_page_bytes},
      {"endpoints", endpoints, EndpointTable::bytes_for(endpoints)},
      {"IPv6 endpoints", ipv6_endpoints, EndpointTable6::bytes_for(ipv6_endpoints)},
      {"permit chunks", chunks, chunks * sizeof(PermitChunk)},
      {"tag sets", tag_sets, tag_sets * sizeof(TagSet)},
      {"links", links, links * LinkTable::bytes_each},
      {"next hops of tunnels", neighbors, neighbors * NeighborTable::bytes_each},
      {"flow entries", flows, flows / FlowTable::ways * flow_bucket_bytes},
      {"IPv6 flow entries", ipv6_flows, ipv6_flows / FlowTable::ways * flow_bucket_bytes},
      {"fragmented datagrams", fragments, fragments * (sizeof(FragmentEntry) + sizeof(FragmentEntry6))},
      {"EIP and rule counters", records, counter_bytes},
      {"rings between workers", workers * (workers - 1) * rings_of_pair,
       Handover::bytes_for(static_cast<uint32_t>(workers))},
      {"copies of captures", copies, copy_bytes},
      {"copies of denied packets", denied, denied_bytes},
      {"packet buffers", buffers, packet_pool_bytes(static_cast<uint32_t>(buffers), largest_mtu(settings))},
  }};
}

}  // namespace portcullis
