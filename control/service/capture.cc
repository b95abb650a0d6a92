// The Capture call: what is asked for as a filter that workers understand, and their copies as a file in
// pieces.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "control/service/convert.h"
#include "control/service/looking.h"
#include "control/service/observe_service.h"
#include "control/service/quote.h"
#include "control/service/status.h"
#include "dataplane/capture/pcapng.h"

namespace portcullis::service {
namespace {

// A chunk is sent when it holds so many bytes.
constexpr size_t chunk_bytes = 256 << 10;

std::string element(const char* field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

std::optional<Fate> fate_of(int fate) {
  switch (fate) {
    case v1::CaptureRequest::RECEIVED:
      return Fate::received;
    case v1::CaptureRequest::TRANSMITTED:
      return Fate::transmitted;
    case v1::CaptureRequest::PUNTED:
      return Fate::punted;
    case v1::CaptureRequest::DROPPED:
      return Fate::dropped;
    default:
      return std::nullopt;
  }
}

Expected<void> take_fates(const v1::CaptureRequest& request, CaptureFilter& filter) {
  for (int i = 0; i < request.fates_size(); ++i) {
    const auto fate = fate_of(request.fates(i));
    if (!fate)
      return refuse(std::to_string(request.fates(i)) +
                        " is no fate of packets; give RECEIVED, TRANSMITTED, PUNTED or DROPPED",
                    element("fates", i));
    filter.fates[static_cast<size_t>(*fate)] = true;
  }
  if (request.fates().empty()) {
    filter.fates.fill(request.reasons().empty());
    filter.fates[static_cast<size_t>(Fate::dropped)] = true;
  }
  if (!request.reasons().empty() && !filter.fates[static_cast<size_t>(Fate::dropped)])
    return refuse(
        "reasons are of dropped packets, and fates leave those out; add DROPPED, or give no reasons",
        "reasons");
  filter.reasons.fill(request.reasons().empty());
  for (int i = 0; i < request.reasons_size(); ++i) {
    const auto known = std::ranges::find(drop_registry, request.reasons(i), &DropInfo::name);
    if (known == drop_registry.end())
      return refuse(quoted(request.reasons(i)) +
                        " is no drop reason; ListDrops has them all (portctl show drops --all)",
                    element("reasons", i));
    filter.reasons[static_cast<size_t>(known - drop_registry.begin())] = true;
  }
  return {};
}

Expected<void> take_ports(const v1::CaptureRequest& request, const std::vector<PortFacts>& ports,
                          CaptureFilter& filter) {
  filter.ports.fill(request.ports().empty());
  for (int i = 0; i < request.ports_size(); ++i) {
    const auto known = std::ranges::find_if(
        ports, [&](const PortFacts& port) { return "ports/" + port.name == request.ports(i); });
    if (known == ports.end())
      return fail(ErrorCode::not_found,
                  "there is no port " + quoted(request.ports(i)) + "; ListPorts has them all",
                  element("ports", i));
    filter.ports[known->id] = true;
  }
  return {};
}

}  // namespace

std::string ObserveService::description_of(const v1::CaptureRequest& request) {
  constexpr size_t longest = 1000;
  const std::string text = request.ShortDebugString();
  return text.empty() ? "all packets" : text.substr(0, longest);
}

Expected<CaptureFilter> ObserveService::filter_of(const v1::CaptureRequest& request) {
  CaptureFilter filter;
  if (auto done = take_fates(request, filter); !done) return Unexpected(std::move(done.error()));
  if (auto done = take_ports(request, sources_.ports, filter); !done)
    return Unexpected(std::move(done.error()));
  if (!request.address().empty()) {
    filter.address = IpAddr::parse(request.address());
    if (!filter.address)
      return refuse(quoted(request.address()) + " is no address; give one as 198.51.100.7", "address");
  }
  if (!request.eip().empty()) {
    const auto key = eip_key(request.eip(), "eip");
    if (!key) return Unexpected(key.error());
    auto endpoint = control_.run([&](Control::View view) -> Expected<CaptureFilter::Endpoint> {
      const auto eip = view.model.find_eip(key->tenant, key->address);
      if (!eip) return Unexpected(eip.error());
      const auto vm = view.model.find_vm({key->tenant, (*eip)->vm});
      if (!vm) return Unexpected(vm.error());
      const model::Location& location = (*vm)->location;
      const auto port = std::ranges::find(sources_.ports, location.port, &PortFacts::name);
      CaptureFilter::Endpoint place{.eip = key->address,
                                    .dip = (*vm)->dip_of(key->address.family()).value_or(key->address),
                                    .mac = location.mac,
                                    .port = port == sources_.ports.end() ? PortId{max_ports} : port->id,
                                    .encapsulation = location.encapsulation};
      if (!std::holds_alternative<std::monostate>(location.encapsulation))
        place.link = sources_.tables->links.find(LinkKey::of(place.port, location.encapsulation));
      return place;
    });
    if (!endpoint) return Unexpected(std::move(endpoint.error()));
    filter.endpoint = *endpoint;
  }
  if (request.seconds() > most_look_seconds)
    return refuse(std::to_string(request.seconds()) + " seconds are too many; it lasts for at most " +
                      std::to_string(most_look_seconds),
                  "seconds");
  if (request.snap_length() != 0) filter.snap_length = request.snap_length();
  if (request.one_in() != 0) filter.one_in = request.one_in();
  return filter;
}

grpc::Status ObserveService::Capture(grpc::ServerContext* context, const v1::CaptureRequest* request,
                                     grpc::ServerWriter<v1::CaptureChunk>* writer) {
  const Expected<Identity> caller = identity_of(*context);
  if (!caller) return to_status(caller.error());
  return capture(*caller, *request, sender(*context, *caller, *writer),
                 [&] { return context->IsCancelled(); });
}

grpc::Status ObserveService::capture(const Identity& caller, const v1::CaptureRequest& request,
                                     const Send<v1::CaptureChunk>& send,
                                     const std::function<bool()>& is_over) {
  const auto filter = filter_of(request);
  if (!filter) return to_status(filter.error());
  const auto seat = watches_.take(caller.name());
  if (!seat) return to_status(seat.error());
  auto session = sources_.captures->begin(*filter);
  if (!session) return to_status(session.error());
  spdlog::info("capture by {} begins: {}", caller.name(), description_of(request));

  std::vector<Pcapng::Interface> interfaces;
  for (const PortFacts& port : sources_.ports)
    interfaces.push_back({port.id, port.name, sources_.tables->ports.ports[port.id].mac});
  const Pcapng file(std::move(interfaces));
  std::string bytes = file.header(description_of(request));
  uint64_t packets = 0;
  const auto is_full = [&] { return request.packets() != 0 && packets == request.packets(); };
  const auto take = [&](bool) {
    while (!is_full() && bytes.size() < chunk_bytes) {
      const Copy copy = session->take();
      if (copy == nullptr) return;
      file.append(bytes, *copy);
      ++packets;
    }
  };
  const auto send_bytes = [&] {
    v1::CaptureChunk chunk;
    chunk.set_pcapng(std::exchange(bytes, {}));
    chunk.set_packets(packets);
    chunk.set_lost(session->lost());
    return send(chunk, [&] { session->leave(); });
  };

  look(*session, request.seconds(), {take, [&] { return !bytes.empty(); }, send_bytes, is_full},
       [&] { return is_stopping_ || is_over(); });
  spdlog::info("capture by {} has ended: {} packets, {} lost", caller.name(), packets, session->lost());
  if (is_stopping_)
    return to_status(Error{ErrorCode::unavailable, "the gateway is stopping; try again", {}, {}});
  return grpc::Status::OK;
}

}  // namespace portcullis::service
