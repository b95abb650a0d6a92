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
#include "dataplane/rehearsal.h"

namespace portcullis::service {
namespace {

using View = Control::View;

constexpr std::string_view port_prefix = "ports/";
constexpr std::string_view vm_prefix = "tenants/";
constexpr Mac some_mac{{0x02, 0, 0, 0, 0, 1}};  // of a router that nobody has asked for yet

// A frame and the port that it comes by.
struct Received {
  PortId port = 0;
  FrameBytes frame;
};

std::string port_name(const Sources& sources, PortId port) {
  const auto found = std::ranges::find(sources.ports, port, &PortFacts::id);
  return found == sources.ports.end() ? std::to_string(port) : found->name;
}

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
    return fail(ErrorCode::invalid_argument,
                quoted(fields.source()) + " is neither an address nor tenants/T/vms/ID", "fields.source");
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

// --- telling ---

v1::Explanation::Fate to_proto(Verdict fate) {
  switch (fate) {
    case Verdict::transmitted:
      return v1::Explanation::TRANSMITTED;
    case Verdict::answered:
      return v1::Explanation::ANSWERED;
    case Verdict::dropped:
      return v1::Explanation::DROPPED;
    case Verdict::punted:
      return v1::Explanation::PUNTED;
    case Verdict::passed:
    case Verdict::handed_over:
      break;
  }
  return v1::Explanation::FATE_UNSPECIFIED;
}

v1::ExplainedStage::Verdict stage_verdict(Verdict verdict) {
  switch (verdict) {
    case Verdict::passed:
      return v1::ExplainedStage::PASSED;
    case Verdict::answered:
      return v1::ExplainedStage::ANSWERED;
    case Verdict::transmitted:
      return v1::ExplainedStage::TRANSMITTED;
    case Verdict::dropped:
      return v1::ExplainedStage::DROPPED;
    case Verdict::punted:
      return v1::ExplainedStage::PUNTED;
    case Verdict::handed_over:
      return v1::ExplainedStage::HANDED_OVER;
  }
  return v1::ExplainedStage::VERDICT_UNSPECIFIED;
}

std::string state_name(FlowState state) {
  constexpr const char* names[flow_state_count] = {"", "opening", "established", "closing"};
  return names[static_cast<size_t>(state)];
}

void tell_side(const View& view, const Sources& sources, const RehearsedSide& said, Direction direction,
               v1::ExplainedSide& side) {
  const IpAddr eip = sources.tables->binding.eip(said.slot);
  const auto& eips = view.model.state().eips;
  const auto object = eips.find(eip);
  if (object == eips.end()) return;
  side.set_eip(model::eip_name(object->second.tenant, eip));
  side.set_vm(model::vm_name({object->second.tenant, object->second.vm}));
  const model::Vm& vm = view.model.state().vms.at({object->second.tenant, object->second.vm});
  if (const auto dip = vm.dip_of(eip.family())) side.set_dip(dip->to_string());
  if (!said.is_asked) return;
  side.set_way(said.permits ? v1::ExplainedSide::FLOW_ENTRY : v1::ExplainedSide::REFUSED);
  if (said.permits && said.hit.is_one()) {
    const auto& permit = object->second.permit;
    const auto rule =
        std::ranges::find(permit, view.publisher.rule_at(eip, said.hit), &model::PermitRule::name);
    if (rule != permit.end()) side.set_rule(rule->name);
    const bool is_reply = rule != permit.end() && direction == Direction::outbound &&
                          rule->direction == model::Direction::inbound;
    side.set_way(is_reply ? v1::ExplainedSide::REPLY : v1::ExplainedSide::RULE);
  }
  if (said.has_entry) {
    v1::FlowEntryFacts& entry = *side.mutable_flow_entry();
    entry.set_opened_by_endpoint(said.opened == Direction::outbound);
    entry.set_state(state_name(said.state));
    entry.set_idle_ms_left(said.expires_in_ms);
  }
  if (said.use == EntryUse::refresh) side.set_entry_use(v1::ExplainedSide::REFRESHES);
  if (said.use == EntryUse::open) side.set_entry_use(v1::ExplainedSide::OPENS);
}

std::string short_name(const std::string& name) {
  return name.substr(name.rfind('/') + 1);
}

std::string side_identified(const char* role, const v1::ExplainedSide& side) {
  return std::string(role) + " " + short_name(side.vm()) + " (" + short_name(side.eip()) + ")";
}

std::string side_admitted(const char* direction, const v1::ExplainedSide& side) {
  const std::string eip = short_name(side.eip()) + " " + direction + ": ";
  switch (side.way()) {
    case v1::ExplainedSide::REFUSED:
      return eip + "no rule and no flow entry permits it";
    case v1::ExplainedSide::RULE:
      return eip + "rule " + side.rule();
    case v1::ExplainedSide::REPLY:
      return eip + "reply to what rule " + side.rule() + " lets in";
    case v1::ExplainedSide::FLOW_ENTRY:
      return eip + "flow entry" +
             (side.has_flow_entry() ? std::string(" that ") + (side.flow_entry().opened_by_endpoint()
                                                                   ? "it has opened itself"
                                                                   : "a packet in has opened")
                                    : "");
    default:
      return {};
  }
}

// Both sides, the source first.
template <typename Tell>
std::string of_sides(const v1::Explanation& explanation, Tell&& tell) {
  std::string text;
  if (explanation.has_source()) text = tell(true, explanation.source());
  if (!explanation.has_destination()) return text;
  const std::string second = tell(false, explanation.destination());
  return text.empty() || second.empty() ? text + second : text + "; " + second;
}

std::string entry_used(const v1::ExplainedSide& side) {
  const std::string of = " the flow entry of " + short_name(side.eip());
  if (side.entry_use() == v1::ExplainedSide::OPENS) return "opens" + of;
  if (side.entry_use() == v1::ExplainedSide::REFRESHES) return "refreshes" + of;
  return {};
}

std::string translated(const std::string& from, const std::string& to) {
  return from == to ? std::string() : from + " -> " + to;
}

// Whose MAC the frame is for.
std::string next_hop(std::span<const uint8_t> frame) {
  Mac mac;
  std::ranges::copy(frame.first(sizeof mac.bytes), mac.bytes.begin());
  return mac.to_string();
}

// What a stage was decided by, as far as there is more to say than its verdict.
std::string detail_of(const RehearsedStage& stage, const Rehearsal& rehearsal, const Sources& sources,
                      const v1::Explanation& explanation) {
  if (stage.stage == "admit")
    return of_sides(explanation, [](bool is_source, const auto& side) {
      return side_admitted(is_source ? "out" : "in", side);
    });
  if (stage.reason) return std::string(describe(*stage.reason).text);
  if (stage.verdict == Verdict::handed_over) return "to worker " + std::to_string(rehearsal.owner());
  if (stage.verdict == Verdict::transmitted)
    return "by port " + port_name(sources, rehearsal.out_port()) + " to " + next_hop(rehearsal.frame());
  if (stage.stage == "identify")
    return of_sides(explanation, [](bool is_source, const auto& side) {
      return side_identified(is_source ? "from" : "to", side);
    });
  if (stage.stage == "to_public" && explanation.has_source())
    return translated(explanation.source().dip(), short_name(explanation.source().eip()));
  if (stage.stage == "to_private" && explanation.has_destination())
    return translated(short_name(explanation.destination().eip()), explanation.destination().dip());
  if (stage.stage == "commit")
    return of_sides(explanation, [](bool, const auto& side) { return entry_used(side); });
  return {};
}

void tell_frame(const Sources& sources, PortId port, std::span<const uint8_t> bytes, v1::Frame& frame) {
  frame.set_port(std::string(port_prefix) + port_name(sources, port));
  frame.set_data(bytes.data(), bytes.size());
}

}  // namespace

Expected<v1::Explanation> explain(const View& view, const Sources& sources,
                                  const v1::ExplainRequest& request) {
  if (request.packet_case() == v1::ExplainRequest::PACKET_NOT_SET)
    return fail(ErrorCode::invalid_argument, "no packet is asked about; give its fields, or a frame",
                "fields");
  const auto received =
      request.has_frame() ? of_frame(sources, request.frame()) : of_fields(view, sources, request.fields());
  if (!received) return Unexpected(received.error());
  Rehearsal rehearsal(received->port, received->frame);
  if (auto done = carry_out(sources, rehearsal, received->port); !done) return Unexpected(done.error());

  v1::Explanation explanation;
  explanation.set_generation(view.model.state().generation);
  explanation.set_fate(to_proto(rehearsal.fate()));
  if (const auto reason = rehearsal.reason()) {
    explanation.set_reason(std::string(describe(*reason).name));
    explanation.set_description(std::string(describe(*reason).text));
  }
  if (rehearsal.source().slot != 0)
    tell_side(view, sources, rehearsal.source(), Direction::outbound, *explanation.mutable_source());
  if (rehearsal.destination().slot != 0)
    tell_side(view, sources, rehearsal.destination(), Direction::inbound, *explanation.mutable_destination());
  for (const RehearsedStage& stage : rehearsal.stages()) {
    v1::ExplainedStage& told = *explanation.add_stages();
    told.set_stage(std::string(stage.stage));
    told.set_worker(stage.worker);
    told.set_verdict(stage_verdict(stage.verdict));
    if (stage.reason) told.set_reason(std::string(describe(*stage.reason).name));
    told.set_detail(detail_of(stage, rehearsal, sources, explanation));
  }
  tell_frame(sources, received->port, received->frame, *explanation.mutable_received());
  if (rehearsal.fate() == Verdict::transmitted || rehearsal.fate() == Verdict::answered)
    tell_frame(sources, rehearsal.out_port(), rehearsal.frame(), *explanation.mutable_sent());
  return explanation;
}

}  // namespace portcullis::service
