#include "control/service/explain.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/model/names.h"
#include "control/service/convert.h"
#include "control/service/explain_frame.h"
#include "control/service/quote.h"
#include "control/service/tell_passage.h"
#include "dataplane/rehearsal.h"

namespace portcullis::service {
namespace {

using View = Control::View;

constexpr std::string_view vm_prefix = "tenants/";
constexpr Mac some_mac{{0x02, 0, 0, 0, 0, 1}};  // of a router that nobody has asked for yet

// A frame and the port that it comes by.
struct Received {
  PortId port = 0;
  FrameBytes frame;
};

Expected<PortId> port_called(const Sources& sources, const std::string& name, const std::string& field) {
  const auto found = std::ranges::find(sources.ports, name, &PortFacts::name);
  if (found != sources.ports.end()) return found->id;
  std::string known;
  for (const PortFacts& port : sources.ports) known += (known.empty() ? "" : ", ") + port.name;
  return fail(ErrorCode::not_found, "there is no port " + quoted(name) + "; there are " + known, field);
}

Expected<Received> of_frame(const Sources& sources, const v1::Frame& frame) {
  const std::string& name = frame.port();
  const bool has_prefix = name.starts_with(port_prefix);
  const auto port = port_called(sources, has_prefix ? name.substr(port_prefix.size()) : name, "frame.port");
  if (!port) return Unexpected(port.error());
  if (frame.data().empty() || frame.data().size() > Rehearsal::longest_frame)
    return fail(ErrorCode::invalid_argument,
                "a frame has from 1 to " + std::to_string(Rehearsal::longest_frame) + " bytes, not " +
                    std::to_string(frame.data().size()),
                "frame.data");
  return Received{*port, {frame.data().begin(), frame.data().end()}};
}

// From a vm, as it would send it.
Expected<Received> from_vm(const Sources& sources, const model::Vm& vm, AskedPacket packet) {
  const auto dip = vm.dip_of(packet.destination.family());
  if (!dip)
    return fail(ErrorCode::invalid_argument,
                quoted(vm.id) + " has no private address of the destination's family: it cannot send there",
                "fields.source", model::vm_name({vm.tenant, vm.id}));
  const auto port = port_called(sources, vm.location.port, "fields.source");
  if (!port) return Unexpected(port.error());
  const PortInfo& info = sources.tables->ports.ports[*port];
  packet.source = *dip;
  packet.source_mac = vm.location.mac;
  packet.destination_mac = info.mac;
  return Received{*port, behind_link(make_frame(packet), *port, info, vm.location.encapsulation)};
}

// From outside, by the router of the uplink.
Expected<Received> from_outside(const Sources& sources, const IpAddr& source, AskedPacket packet) {
  if (source.family() != packet.destination.family())
    return fail(ErrorCode::invalid_argument,
                "source and destination are of two address families; give two of one", "fields.source");
  const Tables& tables = *sources.tables;
  const PortId uplink = tables.ports.uplink;
  packet.source = source;
  packet.destination_mac = tables.ports.ports[uplink].mac;
  if (!(source.is_v4() ? tables.next_hop : tables.next_hop6).find(uplink, packet.source_mac))
    packet.source_mac = some_mac;
  return Received{uplink, make_frame(packet)};
}

Expected<Received> of_fields(const View& view, const Sources& sources, const v1::PacketFields& fields) {
  const auto packet = asked_packet(fields);
  if (!packet) return Unexpected(packet.error());
  if (fields.source().starts_with(vm_prefix)) {
    const auto key = vm_key(fields.source(), "fields.source");
    if (!key) return Unexpected(key.error());
    const auto vm = view.model.find_vm(*key);
    if (!vm) {
      Error error = vm.error();
      error.field = "fields.source";
      return Unexpected(std::move(error));
    }
    return from_vm(sources, **vm, *packet);
  }
  const auto source = IpAddr::parse(fields.source());
  if (!source)
    return fail(
        ErrorCode::invalid_argument,
        quoted(fields.source()) + " is neither an address nor tenants/T/vms/ID; give the one or the other",
        "fields.source");
  const auto& eips = view.model.state().eips;
  if (const auto eip = eips.find(*source); eip != eips.end())
    return from_vm(sources, view.model.state().vms.at({eip->second.tenant, eip->second.vm}), *packet);
  return from_outside(sources, *source, *packet);
}

// By whoever receives from the port, then by the flow's owner.
Expected<void> carry_out(const Sources& sources, Rehearsal& rehearsal, PortId port) {
  const auto receives = [&](const Worker* worker) {
    return worker->config().queues[port].receive != PortQueues::none;
  };
  const auto first = std::ranges::find_if(sources.workers, receives);
  if (first == sources.workers.end())
    return fail(ErrorCode::unavailable, "no worker receives from port " + port_name(sources, port));
  if (auto done = sources.ask(**first, rehearsal); !done) return done;
  if (rehearsal.fate() != Verdict::handed_over) return {};
  return sources.ask(*sources.workers.at(rehearsal.owner()), rehearsal);
}

// How often workers are asked while the state changes meanwhile.
constexpr int most_tries = 5;

}  // namespace

Expected<v1::Explanation> explain(Control& control, const Sources& sources,
                                  const v1::ExplainRequest& request) {
  if (request.packet_case() == v1::ExplainRequest::PACKET_NOT_SET)
    return fail(ErrorCode::invalid_argument,
                "no packet is asked about; give fields.source and fields.destination, or frame", "fields");
  Expected<v1::Explanation> answer;
  for (int n = 0; n < most_tries; ++n) {
    model::Generation made_at = 0;
    Expected<Received> received;
    const auto made = control.run([&](View view) {
      made_at = view.model.state().generation;
      received = request.has_frame() ? of_frame(sources, request.frame())
                                     : of_fields(view, sources, request.fields());
    });
    if (!made) return Unexpected(made.error());
    if (!received) return Unexpected(received.error());
    Rehearsal rehearsal(received->port, received->frame);
    if (auto done = carry_out(sources, rehearsal, received->port); !done) return Unexpected(done.error());
    v1::Explanation explanation;
    const auto told = control.run(
        [&](View view) { tell_passage(view, sources, rehearsal, rehearsal.frame(), explanation); });
    if (!told) return Unexpected(told.error());
    tell_frame(sources, received->port, received->frame, *explanation.mutable_received());
    if (rehearsal.fate() == Verdict::transmitted || rehearsal.fate() == Verdict::answered)
      tell_frame(sources, rehearsal.out_port(), rehearsal.frame(), *explanation.mutable_sent());
    answer = std::move(explanation);
    if (answer->generation() == made_at) break;
  }
  return answer;
}

}  // namespace portcullis::service
