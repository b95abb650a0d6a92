#include "bench/pps/report.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace portcullis::bench {
namespace {

[[gnu::format(printf, 1, 2)]] std::string line(const char* format, ...) {
  char buffer[256];
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return std::string(buffer, std::min<size_t>(static_cast<size_t>(std::max(0, length)), sizeof buffer - 1)) +
         "\n";
}

// Enough digits to compare, and no more than mean something.
double rounded(double value, double unit) {
  const double scale = std::round(1 / unit);
  return std::round(value * scale) / scale;
}

std::string text_of(const Scaling& scaling, const Report& r) {
  std::string text = line("  %u workers    %7.2f Mpps together: %.2f times one worker  (IQR %.2f)",
                          r.workload.workers, r.mpps(), scaling.gain.median, scaling.gain.iqr);
  if (scaling.gain_alone) text += line("    cores alone %6.2f times one worker", *scaling.gain_alone);
  const auto step = [&](const char* what, const Scaling::Case& of, double floor,
                        std::optional<double> floor_alone) {
    std::string said = line("    G %-46s %7.1f  (IQR %.1f)", what, of.total.median - floor, of.total.iqr);
    said.pop_back();
    if (of.alone && floor_alone) {
      said += line(", cores alone %.1f", *of.alone - *floor_alone);
      said.pop_back();
    }
    return said + "\n";
  };
  text += step("one worker", scaling.one, scaling.one_floor, scaling.one_floor_alone);
  text += step("one, the flows that are the first's of several", scaling.share, scaling.one_floor,
               scaling.one_floor_alone);
  text += step("the first of several, the others not polling", scaling.of_several, scaling.one_floor,
               scaling.one_floor_alone);
  text += step("each of several", scaling.each, r.floor.median,
               r.alone ? std::optional(r.alone->floor) : std::nullopt);
  return text + line("    handed over %4.1f %% of the packets; polls side by side for %.0f %% of their time",
                     scaling.handed_over * 100, scaling.overlap * 100);
}

nlohmann::ordered_json json_of(const Scaling::Case& of, double floor, std::optional<double> floor_alone) {
  nlohmann::ordered_json json = {{"median", rounded(of.total.median, 0.01)},
                                 {"iqr", rounded(of.total.iqr, 0.01)},
                                 {"floor", rounded(floor, 0.01)},
                                 {"g", rounded(of.total.median - floor, 0.01)},
                                 {"g_alone", nullptr}};
  if (of.alone && floor_alone) json["g_alone"] = rounded(*of.alone - *floor_alone, 0.01);
  return json;
}

void add_to(nlohmann::ordered_json& json, const Scaling& scaling) {
  const auto told = [&](const Scaling::Case& of) {
    return json_of(of, scaling.one_floor, scaling.one_floor_alone);
  };
  json["scaling"] = rounded(scaling.gain.median, 0.001);
  json["scaling_iqr"] = rounded(scaling.gain.iqr, 0.001);
  if (scaling.gain_alone) json["scaling_alone"] = rounded(*scaling.gain_alone, 0.001);
  json["one"] = told(scaling.one);
  json["one_share"] = told(scaling.share);
  json["one_of_several"] = told(scaling.of_several);
  json["handed_over"] = rounded(scaling.handed_over, 0.0001);
  json["overlap"] = rounded(scaling.overlap, 0.001);
}

std::string ways_of(const Workload& workload) {
  if (workload.ways.size() == 2) return "both";
  return workload.ways.front() == Way::in ? "in" : "out";
}

}  // namespace

std::string text_of(const Report& r) {
  std::string text =
      line("%srig %s, %s; %s; output verified", r.row.empty() ? "" : ("row " + r.row + ", ").c_str(),
           r.rig.c_str(), r.work.c_str(), name_of(r.isa).data());
  text += line("  worker loop  %7.1f clocks/packet  (min %.1f, IQR %.1f, %u trials)", r.total.median,
               r.total.min, r.total.iqr, r.trials);
  text += line("  I/O floor    %7.1f", r.floor.median);
  text += line("  G            %7.1f clocks/packet", r.g());
  if (r.alone)
    text += line("  G, core alone %6.1f  (%lu of %lu windows)", r.alone->g(), r.windows.alone, r.windows.all);
  text += line("  all in       %7.2f Mpps, %.1f ns at a TSC of %.2f GHz%s", r.mpps(), r.ns(), r.tsc_hz / 1e9,
               r.hugepages ? "" : ", without hugepages");
  if (r.new_flows_per_second)
    text += line("  new flows    %7.2f M/s  (%.1f %% of attempts refused; %.2f M entries of %.2f M)",
                 *r.new_flows_per_second / 1e6, r.refused_share * 100,
                 static_cast<double>(r.flows_open) / 1e6, static_cast<double>(r.flow_capacity) / 1e6);
  if (r.established_pps && r.established_pps_unmatched)
    text += line("  established  %7.2f Mpps in the flood, %.2f beside unmatched traffic: %.0f %%",
                 *r.established_pps / 1e6, *r.established_pps_unmatched / 1e6,
                 100 * *r.established_pps / *r.established_pps_unmatched);
  if (r.scaling) text += text_of(*r.scaling, r);
  if (!r.stages.empty()) {
    text += "  by stage    ";
    double sum = 0;
    for (const auto& [name, clocks] : r.stages) {
      text += " " + std::string(name) + " " + line("%.1f", clocks);
      text.pop_back();
      sum += clocks;
    }
    text += line("  (sum %.1f)", sum);
  }
  if (r.residence)
    text += line(
        "  residence    p50 %.2f, p99 %.2f, p99.9 %.2f, max %.1f us at %.0f %% load, %.0f packets a burst; "
        "%lu host stalls, longest %.0f us",
        r.residence->p50_us, r.residence->p99_us, r.residence->p999_us, r.residence->max_us,
        r.residence->load * 100, r.residence->mean_burst, r.residence->stalls, r.residence->longest_stall_us);
  if (r.neighbour) text += line("  neighbour    %7.2f  (times as long beside a busy CPU)", *r.neighbour);
  text += line("  windows      %lu, of them %lu discarded, %lu with the core alone%s", r.windows.all,
               r.windows.discarded, r.windows.alone,
               r.windows.disturbed() ? ": DISTURBED, no figure to quote" : "");
  if (r.memory)
    text += line("  memory       %7.0f ns for a line in no cache (IQR %.0f, min %.0f)",
                 r.memory->median / r.tsc_hz * 1e9, r.memory->iqr / r.tsc_hz * 1e9,
                 r.memory->min / r.tsc_hz * 1e9);
  if (r.flows_refused != 0)
    text += line("  not sent     %lu flows that found no room in their bucket of the flow table",
                 r.flows_refused);
  text += line("  tables       %.1f MB, filled in %.1f s", static_cast<double>(r.table_bytes) / 1e6,
               r.fill_seconds);
  text += line("  grown by     %.2f MB of DPDK's heap, %.2f MB resident, while it was measured",
               static_cast<double>(r.grown.heap) / 1e6, static_cast<double>(r.grown.resident) / 1e6);
  return text;
}

std::string json_of(const Report& r) {
  nlohmann::ordered_json stages = nlohmann::ordered_json::object();
  for (const auto& [name, clocks] : r.stages) stages[std::string(name)] = rounded(clocks, 0.01);
  nlohmann::ordered_json residence = nlohmann::ordered_json::object();
  if (r.residence)
    residence = {{"load", r.residence->load},
                 {"mean_burst", rounded(r.residence->mean_burst, 0.1)},
                 {"p50_us", rounded(r.residence->p50_us, 0.001)},
                 {"p99_us", rounded(r.residence->p99_us, 0.001)},
                 {"p999_us", rounded(r.residence->p999_us, 0.001)},
                 {"max_us", rounded(r.residence->max_us, 0.001)},
                 {"stalls", r.residence->stalls},
                 {"longest_stall_us", rounded(r.residence->longest_stall_us, 0.1)}};
  nlohmann::ordered_json by_trial = nlohmann::ordered_json::array();
  for (const double clocks : r.by_trial) by_trial.push_back(rounded(clocks, 0.01));
  nlohmann::ordered_json json = {{"row", r.row},
                                 {"rig", r.rig},
                                 {"work", r.work},
                                 {"g", rounded(r.g(), 0.01)},
                                 {"mpps", rounded(r.mpps(), 0.001)},
                                 {"ns", rounded(r.ns(), 0.01)},
                                 {"floor", rounded(r.floor.median, 0.01)},
                                 {"neighbour", nullptr},
                                 {"trials", r.trials},
                                 {"median", rounded(r.total.median, 0.01)},
                                 {"iqr", rounded(r.total.iqr, 0.01)},
                                 {"min", rounded(r.total.min, 0.01)},
                                 {"by_trial", by_trial},
                                 {"verified", r.verified},
                                 {"disturbed", r.windows.disturbed()},
                                 {"windows", r.windows.all},
                                 {"discarded", r.windows.discarded},
                                 {"alone", r.windows.alone},
                                 {"g_alone", nullptr},
                                 {"memory_ns", nullptr},
                                 {"isa", std::string(name_of(r.isa))},
                                 {"stages", stages},
                                 {"residence", residence},
                                 {"tsc_hz", r.tsc_hz},
                                 {"hugepages", r.hugepages},
                                 {"cold", r.cold},
                                 {"eips", r.workload.eips},
                                 {"flows", r.workload.flows},
                                 {"rules", r.workload.rules},
                                 {"way", ways_of(r.workload)},
                                 {"workers", r.workload.workers},
                                 {"unspread", r.workload.unspread},
                                 {"flow_capacity", r.flow_capacity},
                                 {"flow_entries", r.flows_open},
                                 {"flows_refused", r.flows_refused},
                                 {"table_bytes", r.table_bytes},
                                 {"heap_grown_bytes", r.grown.heap},
                                 {"resident_grown_bytes", r.grown.resident},
                                 {"fill_seconds", rounded(r.fill_seconds, 0.01)}};
  if (r.memory) json["memory_ns"] = rounded(r.memory->median / r.tsc_hz * 1e9, 0.1);
  if (r.alone) {
    json["g_alone"] = rounded(r.alone->g(), 0.01);
    if (r.alone->new_flows_per_second)
      json["new_flows_mps_alone"] = rounded(*r.alone->new_flows_per_second / 1e6, 0.001);
    if (r.alone->established_ratio)
      json["established_ratio_alone"] = rounded(*r.alone->established_ratio, 0.001);
  }
  if (r.neighbour) json["neighbour"] = rounded(*r.neighbour, 0.001);
  if (r.new_flows_per_second) {
    json["new_flows_mps"] = rounded(*r.new_flows_per_second / 1e6, 0.001);
    json["refused_share"] = rounded(r.refused_share, 0.0001);
  }
  if (r.established_pps && r.established_pps_unmatched) {
    json["established_mpps"] = rounded(*r.established_pps / 1e6, 0.001);
    json["established_mpps_unmatched"] = rounded(*r.established_pps_unmatched / 1e6, 0.001);
    json["established_ratio"] = rounded(*r.established_pps / *r.established_pps_unmatched, 0.001);
  }
  if (r.scaling) add_to(json, *r.scaling);
  return json.dump(2) + "\n";
}

}  // namespace portcullis::bench
