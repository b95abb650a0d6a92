#include "control/service/flows.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "control/service/convert.h"
#include "control/service/page.h"
#include "control/service/quote.h"
#include "dataplane/flow_visit.h"
#include "src/net/protocol_name.h"

namespace portcullis::service {
namespace {

using View = Control::View;

constexpr std::string_view flows_list = "flows";

Expected<std::optional<uint16_t>> port_of(bool is_set, uint32_t port, const std::string& field) {
  if (!is_set) return std::nullopt;
  if (port > UINT16_MAX)
    return fail(ErrorCode::invalid_argument, std::to_string(port) + " is no port; give 0 to 65535", field);
  return static_cast<uint16_t>(port);
}

Expected<FlowFilter> to_filter(const v1::FlowFilter& asked) {
  FlowFilter filter;
  if (!asked.remote().empty()) {
    filter.remote = IpPrefix::parse(asked.remote());
    if (!filter.remote)
      return fail(ErrorCode::invalid_argument,
                  quoted(asked.remote()) + " is no prefix or address; give one as 198.51.100.0/24",
                  "filter.remote");
  }
  const auto protocol = decode_protocol(asked.protocol(), "filter.protocol");
  if (!protocol) return Unexpected(protocol.error());
  filter.protocol = *protocol;
  const auto local = port_of(asked.has_local_port(), asked.local_port(), "filter.local_port");
  if (!local) return Unexpected(local.error());
  filter.local_port = *local;
  const auto remote = port_of(asked.has_remote_port(), asked.remote_port(), "filter.remote_port");
  if (!remote) return Unexpected(remote.error());
  filter.remote_port = *remote;
  return filter;
}

// Of the EIP that is named, if one is.
template <typename Request>
Expected<FlowFilter> wanted(Control& control, const Request& request) {
  auto filter = to_filter(request.filter());
  if (!filter || request.eip().empty()) return filter;
  const auto key = eip_key(request.eip(), "eip");
  if (!key) return Unexpected(key.error());
  const auto found = control.run([&](View view) {
    return view.model.find_eip(key->tenant, key->address).map([](const model::Eip*) {});
  });
  if (!found) return Unexpected(found.error());
  filter->eip = key->address;
  return filter;
}

std::string protocol_text(uint8_t number) {
  const auto known = std::ranges::find(protocol_names, number, &ProtocolName::number);
  return known == protocol_names.end() ? std::to_string(number) : std::string(known->name);
}

v1::Flow::State to_proto(FlowState state) {
  switch (state) {
    case FlowState::opening:
      return v1::Flow::OPENING;
    case FlowState::established:
      return v1::Flow::ESTABLISHED;
    case FlowState::closing:
      return v1::Flow::CLOSING;
    case FlowState::none:
      break;
  }
  return v1::Flow::STATE_UNSPECIFIED;
}

void add(v1::ListFlowsResponse& reply, const FlowInfo& info, uint32_t worker) {
  v1::Flow& flow = *reply.add_flows();
  flow.set_eip(info.eip.to_string());
  flow.set_remote(info.remote.to_string());
  flow.set_protocol(protocol_text(info.protocol));
  flow.set_local_port(info.local_port);
  flow.set_remote_port(info.remote_port);
  flow.set_opened(info.opened == Direction::inbound ? v1::Flow::INBOUND : v1::Flow::OUTBOUND);
  if (info.protocol == ip_protocol::tcp) flow.set_state(to_proto(info.state));
  constexpr double ms = 1e-3;
  flow.set_expires_in_seconds(static_cast<double>(info.expires_in_ms) * ms);
  flow.set_worker(worker);
}

// Where a page begins: which worker, and where in its tables.
struct Place {
  size_t worker = 0;
  FlowCursor cursor;
};

std::string key_of(const Place& place) {
  return std::to_string(place.worker) + (place.cursor.ipv6 ? " 6 " : " 4 ") +
         std::to_string(place.cursor.index);
}

Expected<Place> place_of(const std::string& key) {
  Place place;
  if (key.empty()) return place;
  uint32_t family = 0;
  const char* at = key.data();
  const char* const end = at + key.size();
  const auto number = [&](auto& value) {
    const auto [stop, error] = std::from_chars(at, end, value);
    const bool good = error == std::errc() && stop != at;
    at = stop == end ? end : stop + 1;
    return good;
  };
  if (!number(place.worker) || !number(family) || !number(place.cursor.index) || at != end)
    return fail(
        ErrorCode::invalid_argument,
        "page_token is not of this list; repeat the next_page_token of the page before, or leave it empty",
        "page_token");
  place.cursor.ipv6 = family == 6;
  return place;
}

}  // namespace

Expected<v1::ListFlowsResponse> list_flows(Control& control, const Sources& sources,
                                           const v1::ListFlowsRequest& request) {
  const auto page = page_of(request.page_size(), request.page_token(), flows_list);
  if (!page) return Unexpected(page.error());
  auto place = place_of(page->after);
  if (!place) return Unexpected(place.error());
  const auto filter = wanted(control, request);
  if (!filter) return Unexpected(filter.error());
  v1::ListFlowsResponse reply;
  while (place->worker < sources.workers.size()) {
    const size_t room = page->size - static_cast<size_t>(reply.flows_size());
    FlowVisit visit(FlowVisit::What::list, *filter, place->cursor, room);
    const Worker& worker = *sources.workers[place->worker];
    if (auto asked = sources.ask(worker, visit); !asked) return Unexpected(asked.error());
    for (const FlowInfo& info : visit.flows()) add(reply, info, worker.config().id);
    if (const auto next = visit.next()) {
      place->cursor = *next;
      reply.set_next_page_token(page_token(flows_list, key_of(*place)));
      return reply;
    }
    place = Place{.worker = place->worker + 1, .cursor = {}};
  }
  return reply;
}

Expected<v1::ClearFlowsResponse> clear_flows(Control& control, const Sources& sources,
                                             const v1::ClearFlowsRequest& request) {
  const auto filter = wanted(control, request);
  if (!filter) return Unexpected(filter.error());
  v1::ClearFlowsResponse reply;
  for (const Worker* worker : sources.workers) {
    FlowVisit visit(FlowVisit::What::clear, *filter);
    if (auto asked = sources.ask(*worker, visit); !asked) {
      Error error = std::move(asked.error());
      error.message += "; " + std::to_string(reply.cleared() + visit.cleared()) +
                       " entries are cleared by now, and a repeat clears the others";
      return Unexpected(std::move(error));
    }
    reply.set_cleared(reply.cleared() + visit.cleared());
  }
  return reply;
}

}  // namespace portcullis::service
