#include "bench/pps/rows.h"

#include <algorithm>

namespace portcullis::bench {
namespace {

constexpr uint32_t k64 = 65536;
constexpr uint32_t million = 1u << 20;
constexpr uint32_t csit_sessions = 16515072;  // CSIT's largest scale: 63 x 262,144
const std::vector<Way> both{Way::out, Way::in};

// A list of row 9. One in eight EIPs' worth of rules is enough where the lists are long: each EIP has its
// own.
Workload listed(uint32_t rules, uint32_t eips, bool miss) {
  return {.eips = eips, .flows = std::max(k64, rules * 2), .rules = rules, .shapes = 16, .miss = miss};
}

}  // namespace

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"1a", "254 EIPs, 4-rule lists, 4096 flows in", {}},
      {"1b", "64 k EIPs and flows, both ways", {.eips = k64, .flows = k64, .ways = both}},
      {"2", "1 M EIPs and flows, both ways", {.eips = million, .flows = million, .ways = both}},
      {"3",
       "flow-table hits, 64 k EIPs, 1 M flows",
       {.work = Work::tracked, .eips = k64, .flows = million, .ways = both}},
      {"3b",
       "flow-table hits, 1 M EIPs, 1 M flows",
       {.work = Work::tracked, .eips = million, .flows = million, .ways = both}},
      {"4",
       "flow-table hits, 64 k EIPs, 16.5 M flows",
       {.work = Work::tracked, .eips = k64, .flows = csit_sessions, .ways = both}},
      {"4b",
       "flow-table hits, 1 M EIPs, 16.5 M flows",
       {.work = Work::tracked, .eips = million, .flows = csit_sessions, .ways = both}},
      {"8",
       "new flows, 2 packets each, 2 s idle time, 8 M slots",
       {.work = Work::storm, .eips = k64, .ways = both, .flow_slots = 1u << 23, .idle_ms = 2000}},
      {"9a", "lists of 64 rules, 16 shapes, hits spread", listed(64, 254, false)},
      {"9b", "lists of 1,000 rules", listed(1000, 254, false)},
      {"9c", "lists of 100,000 rules", listed(100000, 8, false)},
      {"9a-miss", "lists of 64 rules, no rule matches", listed(64, 254, true)},
      {"9b-miss", "lists of 1,000 rules, no rule matches", listed(1000, 254, true)},
      {"9c-miss", "lists of 100,000 rules, no rule matches", listed(100000, 8, true)},
      {"10-1a", "row 1a by IPv6", {.ipv6 = true}},
      {"10-1b", "row 1b by IPv6", {.eips = k64, .flows = k64, .ways = both, .ipv6 = true}},
      {"10-2", "row 2 by IPv6", {.eips = million, .flows = million, .ways = both, .ipv6 = true}},
      {"10-3",
       "row 3 by IPv6",
       {.work = Work::tracked, .eips = k64, .flows = million, .ways = both, .ipv6 = true}},
      {"10-3b",
       "row 3b by IPv6",
       {.work = Work::tracked, .eips = million, .flows = million, .ways = both, .ipv6 = true}},
      {"11a",
       "half SYNs from random sources at a `tracked` rule",
       {.work = Work::flood, .flows = k64, .flow_slots = million, .flood = Flood::tracked}},
      {"11a-listed",
       "half SYNs from random sources at a rule that tracks nothing",
       {.work = Work::flood, .flows = k64, .flow_slots = million, .flood = Flood::listed}},
      {"11a-full",
       "the same as 11a with the flow table full before",
       {.work = Work::flood, .flows = k64, .flow_slots = million, .flood = Flood::full}},
      {"12a", "2 workers, row 1a's work, each packet arrives at its owner", {.workers = 2}},
      {"12a-1b", "the same with row 1b's", {.eips = k64, .flows = k64, .ways = both, .workers = 2}},
      {"12a-3",
       "the same with row 3's",
       {.work = Work::tracked, .eips = k64, .flows = million, .ways = both, .workers = 2}},
      {"12b", "2 workers, row 1a's work, half is handed over", {.workers = 2, .unspread = true}},
      {"12b-1b",
       "the same with row 1b's",
       {.eips = k64, .flows = k64, .ways = both, .workers = 2, .unspread = true}},
      {"12b-3",
       "the same with row 3's",
       {.work = Work::tracked, .eips = k64, .flows = million, .ways = both, .workers = 2, .unspread = true}},
      {"16a", "drop: bound to nobody, random sources", {.work = Work::unbound, .flows = k64}},
      {"16b", "drop: not permitted, random sources", {.work = Work::not_permitted, .flows = k64}},
  };
  return all;
}

const Row* find_row(std::string_view name) {
  const auto found = std::ranges::find(rows(), name, &Row::name);
  return found == rows().end() ? nullptr : &*found;
}

std::string describe(const Workload& workload) {
  std::string text = std::to_string(workload.eips) + " EIPs, ";
  switch (workload.work) {
    case Work::listed:
      text += std::to_string(workload.flows) + " flows by a list of " + std::to_string(workload.rules);
      if (workload.miss) text += " that matches none";
      break;
    case Work::tracked:
      text += std::to_string(workload.flows) + " flows that endpoints opened";
      break;
    case Work::storm:
      text += "new flows of two packets, " + std::to_string(workload.idle_ms) + " ms idle time";
      break;
    case Work::flood:
      text += std::to_string(workload.flows) + " open flows and as many SYNs from random sources";
      break;
    case Work::unbound:
      text += "packets to unbound addresses from random sources";
      break;
    case Work::not_permitted:
      text += "packets that no list permits, from random sources";
      break;
  }
  if (workload.ways.size() == 2) text += ", both ways";
  if (workload.ways.size() == 1) text += workload.ways[0] == Way::in ? ", in" : ", out";
  if (workload.zipf) text += ", Zipf";
  if (workload.sizes) text += ", frames of " + std::to_string(workload.smallest()) + " to 1514";
  if (workload.ipv6) text += ", IPv6";
  if (workload.workers > 1) text += ", " + std::to_string(workload.workers) + " workers";
  if (workload.unspread) text += ", packets at any of them";
  return text;
}

}  // namespace portcullis::bench
