#include "control/service/next_hops.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control/service/page.h"
#include "control/service/tell_passage.h"

namespace portcullis::service {
namespace {

constexpr std::string_view next_hops_list = "next-hops";

// By the clock of the punt thread, which hears the answers.
uint64_t steady_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

void set_answered(v1::NextHop& next_hop, uint64_t answered_ms, uint64_t now_ms) {
  if (answered_ms == 0) return;
  constexpr double ms = 1e-3;
  next_hop.set_answered_seconds_ago(static_cast<double>(now_ms > answered_ms ? now_ms - answered_ms : 0) *
                                    ms);
}

v1::NextHop new_next_hop(const Sources& sources, const NeighborKey& key) {
  v1::NextHop next_hop;
  next_hop.set_port("ports/" + port_name(sources, key.port));
  next_hop.set_family(key.address.is_v4() ? v1::NextHop::IPV4 : v1::NextHop::IPV6);
  return next_hop;
}

v1::NextHop to_proto(const Sources& sources, const publish::TunnelNextHop& tunnel, uint64_t now_ms) {
  v1::NextHop next_hop = new_next_hop(sources, tunnel.key);
  next_hop.set_address(tunnel.key.address.to_string());
  next_hop.set_state(tunnel.mac ? v1::NextHop::RESOLVED : v1::NextHop::UNRESOLVED);
  if (tunnel.mac) next_hop.set_mac(tunnel.mac->to_string());
  set_answered(next_hop, tunnel.answered_ms, now_ms);
  next_hop.set_tunnels(tunnel.tunnels);
  for (const IpAddr& remote : tunnel.remotes) next_hop.add_remotes(remote.to_string());
  return next_hop;
}

using NextHops = std::map<NeighborKey, v1::NextHop>;

// The uplink's of one family, if it has one. `asked`: whom the punt thread asks, the address of nobody if the
// MAC is fixed.
template <typename Address>
void add_uplink(NextHops& next_hops, const Sources& sources, const PortFacts& facts,
                const std::optional<Address>& configured, const Address& asked, const NextHopTable& table,
                uint64_t now_ms) {
  Mac mac;
  const bool is_known = table.find(facts.id, mac);
  const bool is_asked = asked != Address();
  if (!is_known && !is_asked) return;
  const NeighborKey key{facts.id, configured.value_or(asked)};
  v1::NextHop next_hop = new_next_hop(sources, key);
  if (configured || is_asked) next_hop.set_address(key.address.to_string());
  next_hop.set_state(!is_asked  ? v1::NextHop::FIXED
                     : is_known ? v1::NextHop::RESOLVED
                                : v1::NextHop::UNRESOLVED);
  if (is_known) next_hop.set_mac(mac.to_string());
  set_answered(next_hop, table.answered_ms(facts.id), now_ms);
  next_hops.emplace(key, std::move(next_hop));
}

std::string text_of(const NeighborKey& key) {
  return std::to_string(key.port) + " " + key.address.to_string();
}

// Nothing: from the first one on.
Expected<std::optional<NeighborKey>> key_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  NeighborKey key;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, key.port);
  const auto address = stop == end ? std::nullopt : IpAddr::parse(std::string_view(stop + 1, end));
  if (error != std::errc() || !address)
    return fail(
        ErrorCode::invalid_argument,
        "page_token is not of this list; repeat the next_page_token of the page before, or leave it empty",
        "page_token");
  key.address = *address;
  return key;
}

}  // namespace

void await_next_hops(Control& control, std::vector<model::VmKey> vms, std::chrono::milliseconds patience) {
  constexpr size_t vms_a_job = 1000;  // others wait for the control thread, too
  constexpr std::chrono::milliseconds longest_pause{16};
  for (std::chrono::milliseconds pause{1}; !vms.empty();) {
    const auto is_awaited = control.run([&](Control::View view) {
      for (size_t n = 0; n < vms_a_job && !vms.empty(); ++n) {
        const auto vm = view.model.find_vm(vms.back());
        if (vm && view.publisher.awaits_next_hop((*vm)->location, patience)) return true;
        vms.pop_back();
      }
      return false;
    });
    if (!is_awaited) return;
    if (!*is_awaited) continue;
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, longest_pause);
  }
}

Expected<v1::ListNextHopsResponse> list_next_hops(Control& control, const Sources& sources,
                                                  const v1::ListNextHopsRequest& request) {
  const auto page = page_of(request.page_size(), request.page_token(), next_hops_list);
  if (!page) return Unexpected(page.error());
  const auto after = key_of(page->after);
  if (!after) return Unexpected(after.error());
  // One more than the page holds tells that there is another page.
  const auto tunnels = control.run(
      [&](Control::View view) { return view.publisher.tunnel_next_hops(*after, page->size + 1); });
  if (!tunnels) return Unexpected(tunnels.error());

  const uint64_t now_ms = steady_ms();
  NextHops next_hops;
  for (const publish::TunnelNextHop& tunnel : *tunnels)
    next_hops.emplace(tunnel.key, to_proto(sources, tunnel, now_ms));
  for (const PortFacts& facts : sources.ports) {
    const PortInfo& info = sources.tables->ports.ports[facts.id];
    if (info.role != PortRole::uplink) continue;
    add_uplink(next_hops, sources, facts, facts.next_hop, info.next_hop, sources.tables->next_hop, now_ms);
    add_uplink(next_hops, sources, facts, facts.next_hop6, info.next_hop6, sources.tables->next_hop6, now_ms);
  }

  v1::ListNextHopsResponse reply;
  const auto begin = *after ? next_hops.upper_bound(**after) : next_hops.begin();
  const auto show = [&](auto& entry) {
    *reply.add_next_hops() = std::move(entry.second);
    return text_of(entry.first);
  };
  reply.set_next_page_token(fill_page(*page, next_hops_list, begin, next_hops.end(), show));
  return reply;
}

}  // namespace portcullis::service
