#include "control/service/tell_passage.h"

#include <algorithm>

#include "control/model/names.h"
#include "dataplane/drop.h"

namespace portcullis::service {
namespace {

using View = Control::View;

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

// Whether the record that judged the packet is the EIP's now.
struct Standing {
  bool is_same_eip = false;   // and not another one at the same address
  bool is_same_list = false;  // so that a hit still has its name
};

Standing standing_of(const Tables& tables, const PassageSide& said) {
  const BindingTable& bindings = tables.binding;
  const IndexEntry entry = said.eip.is_v4() ? bindings.find(portcullis::View::local, said.eip.v4())
                                            : bindings.find(portcullis::View::local, said.eip.v6());
  if (!entry.is_bound()) return {};
  const bool is_same_eip = FlowTerms::is_since(said.stamp, bindings.terms(entry.slot()).incarnation);
  return {is_same_eip, entry.slot() == said.slot && bindings.record(entry.slot()).stamp == said.stamp};
}

void tell_way(const View& view, const PassageSide& said, const model::Eip& eip, bool is_same_list,
              Direction direction, v1::ExplainedSide& side) {
  side.set_way(said.permits ? v1::ExplainedSide::FLOW_ENTRY : v1::ExplainedSide::REFUSED);
  if (!said.permits || !said.hit.is_one()) return;
  side.set_way(v1::ExplainedSide::RULE);
  if (!is_same_list) return;
  const auto rule =
      std::ranges::find(eip.permit, view.publisher.rule_at(said.eip, said.hit), &model::PermitRule::name);
  if (rule == eip.permit.end()) return;
  side.set_rule(rule->name);
  if (direction == Direction::outbound && rule->direction == model::Direction::inbound)
    side.set_way(v1::ExplainedSide::REPLY);
}

// False: there is no such side, or its EIP is no more.
bool tell_side(const View& view, const Sources& sources, const PassageSide& said, Direction direction,
               v1::ExplainedSide& side) {
  if (said.slot == 0) return false;
  const Standing standing = standing_of(*sources.tables, said);
  const auto& eips = view.model.state().eips;
  const auto object = eips.find(said.eip);
  if (!standing.is_same_eip || object == eips.end()) return false;
  const model::Eip& eip = object->second;
  side.set_eip(model::eip_name(eip.tenant, said.eip));
  side.set_vm(model::vm_name({eip.tenant, eip.vm}));
  const model::Vm& vm = view.model.state().vms.at({eip.tenant, eip.vm});
  if (const auto dip = vm.dip_of(said.eip.family())) side.set_dip(dip->to_string());
  if (!said.is_asked) return true;
  tell_way(view, said, eip, standing.is_same_list, direction, side);
  if (said.has_entry) {
    v1::FlowEntryFacts& entry = *side.mutable_flow_entry();
    entry.set_opened_by_endpoint(said.opened == Direction::outbound);
    entry.set_state(state_name(said.state));
    entry.set_idle_ms_left(said.expires_in_ms);
  }
  if (said.use == EntryUse::refresh) side.set_entry_use(v1::ExplainedSide::REFRESHES);
  if (said.use == EntryUse::open) side.set_entry_use(v1::ExplainedSide::OPENS);
  return true;
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
      return eip +
             (side.rule().empty() ? "a rule of its list before the last change" : "rule " + side.rule());
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

// The worker of the next stage, if there is one.
uint32_t owner_after(const Passage& passage, size_t n) {
  return n + 1 < passage.stages().size() ? passage.stages()[n + 1].worker : passage.owner();
}

// What a stage was decided by, as far as there is more to say than its verdict.
std::string detail_of(const Passage& passage, size_t n, std::span<const uint8_t> sent, const Sources& sources,
                      const v1::Explanation& explanation) {
  const PassedStage& stage = passage.stages()[n];
  if (stage.stage == "admit")
    return of_sides(explanation, [](bool is_source, const auto& side) {
      return side_admitted(is_source ? "out" : "in", side);
    });
  if (stage.reason) return std::string(describe(*stage.reason).text);
  if (stage.verdict == Verdict::handed_over) return "to worker " + std::to_string(owner_after(passage, n));
  if (stage.verdict == Verdict::transmitted)
    return "by port " + port_name(sources, passage.out_port()) + " to " + next_hop(sent);
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

}  // namespace

std::string port_name(const Sources& sources, PortId port) {
  const auto found = std::ranges::find(sources.ports, port, &PortFacts::id);
  return found == sources.ports.end() ? std::to_string(port) : found->name;
}

void tell_frame(const Sources& sources, PortId port, std::span<const uint8_t> bytes, v1::Frame& frame) {
  frame.set_port(std::string(port_prefix) + port_name(sources, port));
  frame.set_data(bytes.data(), bytes.size());
}

void tell_passage(const View& view, const Sources& sources, const Passage& passage,
                  std::span<const uint8_t> sent, v1::Explanation& explanation) {
  explanation.set_generation(view.model.state().generation);
  explanation.set_fate(to_proto(passage.fate()));
  if (const auto reason = passage.reason()) {
    explanation.set_reason(std::string(describe(*reason).name));
    explanation.set_description(std::string(describe(*reason).text));
  }
  if (v1::ExplainedSide side; tell_side(view, sources, passage.source(), Direction::outbound, side))
    *explanation.mutable_source() = std::move(side);
  if (v1::ExplainedSide side; tell_side(view, sources, passage.destination(), Direction::inbound, side))
    *explanation.mutable_destination() = std::move(side);
  for (size_t n = 0; n < passage.stages().size(); ++n) {
    const PassedStage& stage = passage.stages()[n];
    v1::ExplainedStage& told = *explanation.add_stages();
    told.set_stage(std::string(stage.stage));
    told.set_worker(stage.worker);
    told.set_verdict(stage_verdict(stage.verdict));
    if (stage.reason) told.set_reason(std::string(describe(*stage.reason).name));
    told.set_detail(detail_of(passage, n, sent, sources, explanation));
  }
}

}  // namespace portcullis::service
