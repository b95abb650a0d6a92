// Permit lists: what each EIP allows. Every rule is checked by itself; a list has no order and no priority.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <span>
#include <string_view>
#include <tuple>
#include <unordered_set>

#include "control/model/model.h"
#include "control/model/names.h"
#include "src/net/headers.h"

namespace portcullis::model {

namespace {

template <typename T>
void sort_unique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

void make_canonical(PermitRule& rule) {
  if (auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) sort_unique(*prefixes);
  if (auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) sort_unique(*tags);
}

template <typename T>
bool is_ascending(const std::vector<T>& values) {
  return std::ranges::adjacent_find(values, std::greater_equal<>()) == values.end();
}

bool is_canonical(const PermitRule& rule) {
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) return is_ascending(*prefixes);
  if (const auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) return is_ascending(*tags);
  return true;
}

bool is_canonical(const PermitList& rules) {
  return std::ranges::is_sorted(rules, {}, &PermitRule::name) &&
         std::ranges::all_of(rules, [](const PermitRule& rule) { return is_canonical(rule); });
}

// Of a list in canonical form; null if it has none of that name.
const PermitRule* rule_named(const PermitList& rules, const std::string& name) {
  const auto found = std::ranges::lower_bound(rules, name, {}, &PermitRule::name);
  return found == rules.end() || found->name != name ? nullptr : &*found;
}

// `field`: of a rule or of the request.
Unexpected refuse(std::string field, std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message), std::move(field));
}

// `family`: that packets under the rule are of; absent: of either.
Expected<void> check_remote(const PermitRule& rule, std::optional<IpFamily> family, bool is_of_eip) {
  const Remote& remote = rule.remote;
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&remote)) {
    if (prefixes->empty()) {
      return refuse("remote.prefixes", "the remote names no prefix; give one, or say any");
    }
    for (size_t i = 0; family && i < prefixes->size(); ++i) {
      const IpPrefix& prefix = (*prefixes)[i];
      if (prefix.family() == *family) continue;
      const std::string why = is_of_eip ? "the EIP is of " : "the protocol is of ";
      return refuse("remote.prefixes[" + std::to_string(i) + "]",
                    "rule '" + rule.name + "' names " + prefix.to_string() + ", and " + why +
                        std::string(family_name(*family)) + "; name prefixes of that family");
    }
  }
  const auto* tags = std::get_if<std::vector<std::string>>(&remote);
  if (tags == nullptr) return {};
  if (tags->empty()) return refuse("remote.tags", "the remote names no tag; give one, or say any");
  for (size_t i = 0; i < tags->size(); ++i) {
    if (is_valid_id((*tags)[i])) continue;
    return refuse("remote.tags[" + std::to_string(i) + "]", describe_invalid_id("tag", (*tags)[i]));
  }
  return {};
}

Expected<void> check_ports(const PermitRule& rule, const PortRange& range, const char* field) {
  if (range.first > range.last) {
    return refuse(field, "ports " + std::to_string(range.first) + "-" + std::to_string(range.last) +
                             " are the wrong way round; the first may not exceed the last");
  }
  const bool has_ports = rule.protocol && ip_protocol::has_ports(*rule.protocol);
  if (!has_ports && !range.is_any()) {
    return refuse(
        field, "only TCP, UDP and SCTP have ports; name one of them as the protocol, or leave the ports out");
  }
  return {};
}

// Types that rules may name: the queries that pass, whose replies they cover, and these replies.
Expected<void> check_icmp_type(uint8_t type, uint8_t protocol) {
  if (protocol == ip_protocol::icmpv6) {
    if (type == icmpv6_type::echo_request || type == icmpv6_type::echo_reply) return {};
    return refuse("icmp_type",
                  "ICMPv6 type " + std::to_string(type) +
                      " is not carried by rule; name 128 (echo), which covers its reply, or 129");
  }
  constexpr std::array carried{icmp_type::echo_reply, icmp_type::echo_request, icmp_type::timestamp,
                               icmp_type::timestamp_reply};
  if (std::find(carried.begin(), carried.end(), type) != carried.end()) return {};
  return refuse("icmp_type",
                "ICMP type " + std::to_string(type) +
                    " is not carried by rule; name 8 (echo) or 13 (timestamp), which cover their "
                    "replies, or 0 or 14");
}

Expected<void> check_icmp(const PermitRule& rule) {
  if (rule.icmp_code && !rule.icmp_type) {
    return refuse("icmp_code", "an ICMP code needs its ICMP type; give the type, too");
  }
  if (!rule.icmp_type) return {};
  if (!rule.protocol || !ip_protocol::is_icmp(*rule.protocol)) {
    return refuse("icmp_type",
                  "only ICMP has types; name icmp or icmpv6 as the protocol, or leave the type out");
  }
  return check_icmp_type(*rule.icmp_type, *rule.protocol);
}

Expected<void> check_protocol(uint8_t protocol, std::optional<IpFamily> family) {
  if (family == IpFamily::ipv6 && protocol == ip_protocol::icmp) {
    return refuse("protocol", "ICMP is of IPv4, and the EIP is of IPv6; name icmpv6");
  }
  if (family == IpFamily::ipv4 && protocol == ip_protocol::icmpv6) {
    return refuse("protocol", "ICMPv6 is of IPv6, and the EIP is of IPv4; name icmp");
  }
  const bool means_nothing =
      ip_protocol::has_no_meaning_in_ipv4(protocol) || ip_protocol::has_no_meaning_in_ipv6(protocol);
  const bool is_refused = family == IpFamily::ipv4   ? ip_protocol::has_no_meaning_in_ipv4(protocol)
                          : family == IpFamily::ipv6 ? ip_protocol::has_no_meaning_in_ipv6(protocol)
                                                     : means_nothing && !ip_protocol::is_icmp(protocol);
  if (!is_refused) return {};
  return refuse("protocol",
                "protocol " + std::to_string(protocol) +
                    " is reserved, or an extension header of IPv6, which comes before what a packet "
                    "carries; name another, or any");
}

// Of the gateway's list a rule for ICMP is about packets of that ICMP's family.
std::optional<IpFamily> family_of_rule(const PermitRule& rule, std::optional<IpFamily> family) {
  if (family || !rule.protocol) return family;
  if (*rule.protocol == ip_protocol::icmp) return IpFamily::ipv4;
  if (*rule.protocol == ip_protocol::icmpv6) return IpFamily::ipv6;
  return std::nullopt;
}

// The field of an error is the rule's: "remote.prefixes[0]".
Expected<void> check_rule(const PermitRule& rule, std::optional<IpFamily> family) {
  if (!is_valid_id(rule.name)) return refuse("name", describe_invalid_id("rule name", rule.name));
  if (rule.protocol) {
    if (auto check = check_protocol(*rule.protocol, family); !check) return check;
  }
  if (auto check = check_remote(rule, family_of_rule(rule, family), family.has_value()); !check) return check;
  if (auto check = check_ports(rule, rule.local_ports, "local_ports"); !check) return check;
  if (auto check = check_ports(rule, rule.remote_ports, "remote_ports"); !check) return check;
  if (auto check = check_icmp(rule); !check) return check;
  if (rule.tracked && rule.direction != Direction::inbound) {
    return refuse(
        "tracked",
        "only an INBOUND rule may be tracked; leave it out, what leaves under an OUTBOUND rule always is");
  }
  return {};
}

auto match_of(const PermitRule& rule) {
  return std::tie(rule.direction, rule.protocol, rule.local_ports, rule.remote_ports, rule.icmp_type,
                  rule.icmp_code, rule.tracked, rule.remote);
}

// The first inbound rule of `before` that is not tracked and whose match is in no rule of `after`: its flows
// have no entry that could be kept. Null if there is none. Both lists are sorted by name.
const PermitRule* narrowed_stateless_rule(const PermitList& before, const PermitList& after) {
  const auto by_match = [](const PermitRule* a, const PermitRule* b) { return match_of(*a) < match_of(*b); };
  std::vector<const PermitRule*> matches;  // of `after`, sorted once a rule is not found by its name
  for (const PermitRule& rule : before) {
    if (rule.direction != Direction::inbound || rule.tracked) continue;
    const PermitRule* namesake = rule_named(after, rule.name);
    if (namesake != nullptr && match_of(rule) == match_of(*namesake)) continue;
    if (matches.empty()) {
      for (const PermitRule& r : after) matches.push_back(&r);
      std::sort(matches.begin(), matches.end(), by_match);
    }
    if (!std::binary_search(matches.begin(), matches.end(), &rule, by_match)) return &rule;
  }
  return nullptr;
}

Unexpected refused_list(const Eip& eip, Error error) {
  error.object = eip_name(eip.tenant, eip.address);
  return Unexpected(std::move(error));
}

// As compile makes it: the data plane takes the types and codes of ICMP for ports.
PermitShape shape_of(const PermitRule& rule) {
  const auto exactly = [](std::optional<uint8_t> value) {
    return value ? PortRange{*value, *value} : PortRange{};
  };
  const bool is_icmp = rule.protocol && ip_protocol::is_icmp(*rule.protocol);
  PermitShape shape{.key = rule.protocol.value_or(0),
                    .local_ports = is_icmp ? exactly(rule.icmp_type) : rule.local_ports,
                    .remote_ports = is_icmp ? exactly(rule.icmp_code) : rule.remote_ports};
  if (!rule.protocol) shape.key |= PermitShape::any_protocol;
  if (rule.direction == Direction::outbound) shape.key |= PermitShape::outbound;
  if (std::holds_alternative<std::vector<std::string>>(rule.remote)) shape.key |= PermitShape::tag;
  return shape;
}

}  // namespace

PermitList canonical(PermitList list) {
  if (is_canonical(list)) return list;
  std::vector<PermitRule> rules = list.rules();
  for (PermitRule& rule : rules) make_canonical(rule);
  std::ranges::sort(rules, {}, &PermitRule::name);
  return rules;
}

PermitRoom permit_room_of(const PermitList& rules, IpFamily family) {
  const uint32_t compiled = rules.compiled_rules();
  if (compiled <= inline_permit_rules) return {};
  if (family == IpFamily::ipv6 && compiled <= plain_ipv6_permit_rules)
    return {.families = 0, .chunks = plain_ipv6_permit_chunks(compiled)};
  // Two boundaries for each prefix or tag, one for `any`.
  std::map<PermitShape, std::pair<uint64_t, bool>> by_shape;
  uint64_t prefixes = 0;
  if (compiled > plain_permit_rules)
    for (const PermitRule& rule : rules) {
      const size_t of_rule = ranges_of(rule);
      auto& [ranges, any] = by_shape[shape_of(rule)];
      ranges += of_rule;
      any = any || of_rule == 0;
      if (std::holds_alternative<std::vector<IpPrefix>>(rule.remote)) prefixes += of_rule;
    }
  std::vector<PermitShape> shapes;
  std::vector<uint64_t> boundaries;
  for (const auto& [shape, remotes] : by_shape) {
    shapes.push_back(shape);
    boundaries.push_back(2 * remotes.first + (remotes.second ? 1 : 0));
  }
  const std::vector<PermitFamily> families = permit_families_of(shapes);
  return {.families = families.size(),
          .chunks = permit_chunks_for(compiled, families, shapes, boundaries,
                                      family == IpFamily::ipv6 ? 2 * prefixes : 0)};
}

Expected<void> check_rules(std::span<const PermitRule> rules, std::optional<IpFamily> family) {
  const auto in_rule = [](size_t i, Error error) {
    error.field = "rules[" + std::to_string(i) + "]." + error.field;
    return Unexpected(std::move(error));
  };
  for (size_t i = 0; i < rules.size(); ++i)
    if (auto check = check_rule(rules[i], family); !check) return in_rule(i, std::move(check.error()));
  const auto name_of = [](const PermitRule& rule) -> std::string_view { return rule.name; };
  // As most lists come.
  if (std::ranges::adjacent_find(rules, std::greater_equal<>(), name_of) == rules.end()) return {};
  std::vector<std::string_view> names(rules.size());
  std::ranges::transform(rules, names.begin(), name_of);
  std::ranges::sort(names);
  if (std::ranges::adjacent_find(names) == names.end()) return {};
  std::unordered_set<std::string_view> known;
  size_t i = 0;
  while (known.insert(rules[i].name).second) ++i;
  return in_rule(
      i, refuse("name", "the list has two rules '" + rules[i].name + "'; names must be unique").value());
}

Expected<void> Model::check_permit_room(IpFamily family, const PermitList& rules,
                                        const PermitList& current) const {
  const uint32_t compiled = rules.compiled_rules();
  if (compiled > limits_.rules_per_eip) {
    return fail(
        ErrorCode::resource_exhausted,
        "the list has " + std::to_string(compiled) + " rules, one for each prefix or tag; an EIP may have " +
            std::to_string(limits_.rules_per_eip) + " (capacity.rules_per_eip): merge some, or raise it",
        "rules");
  }
  const PermitRoom room = permit_room_of(rules, family);
  if (room.families > max_permit_families) {
    return fail(ErrorCode::resource_exhausted,
                "the rules' ports overlap in " + std::to_string(room.families) +
                    " ways that are searched apart; a list may have " + std::to_string(max_permit_families) +
                    "; give rules the same ports, or ports that do not overlap",
                "rules");
  }
  const uint64_t needed = room.chunks;
  const uint64_t free =
      limits_.permit_chunks - usage_.permit_chunks() + permit_room_of(current, family).chunks;
  if (needed > free) {
    return fail(ErrorCode::resource_exhausted,
                "the list needs " + std::to_string(needed) + " permit chunks, and " + std::to_string(free) +
                    " of " + std::to_string(limits_.permit_chunks) +
                    " are free; shorten this list or another one, or raise capacity.permit_chunks",
                "rules");
  }
  return {};
}

Expected<Plan<Eip>> Model::plan_list(const Eip& current, PermitList rules, bool keep_established) const {
  // The same list again without keep_established cuts what an earlier call kept.
  const bool cuts_kept = current.keep_established && !keep_established;
  if (rules == current.permit && !cuts_kept) return unchanged(current);
  if (auto check = check_permit_room(current.address.family(), rules, current.permit); !check)
    return refused_list(current, std::move(check.error()));
  if (keep_established) {
    if (const PermitRule* rule = narrowed_stateless_rule(current.permit, rules)) {
      return refused_list(
          current,
          Error{ErrorCode::failed_precondition,
                "rule '" + rule->name +
                    "' is INBOUND and not tracked, so its flows have no entry to keep; leave it in the "
                    "list, or set the list without keep_established",
                "keep_established",
                {}});
    }
  }
  Eip next = current;
  next.permit = std::move(rules);
  next.list_generation = state_.generation + 1;
  next.keep_established = keep_established;
  if (!keep_established) next.kept_from = next.list_generation;
  Eip reply = next;
  return changed(PutEip{std::move(next)}, std::move(reply));
}

Expected<Plan<Eip>> Model::plan_set_permit_list(const TenantId& tenant, const IpAddr& eip, PermitList rules,
                                                bool keep_established) const {
  const auto found = find_eip(tenant, eip);
  if (!found) return Unexpected(found.error());
  if (auto check = check_rules(rules, eip.family()); !check)
    return refused_list(**found, std::move(check.error()));
  rules = canonical(std::move(rules));
  if (auto quota = check_rule_quota(**found, rules); !quota)
    return refused_list(**found, std::move(quota.error()));
  return plan_list(**found, std::move(rules), keep_established);
}

Expected<Plan<Eip>> Model::plan_put_permit_list(const TenantId& tenant, const IpAddr& eip,
                                                PermitList rules) const {
  const auto found = find_eip(tenant, eip);
  if (!found) return Unexpected(found.error());
  if (auto check = check_rules(rules, eip.family()); !check)
    return refused_list(**found, std::move(check.error()));
  return plan_list(**found, canonical(std::move(rules)), false);
}

Expected<Plan<Eip>> Model::plan_add_permit_rules(const TenantId& tenant, const IpAddr& eip,
                                                 std::vector<PermitRule> rules) const {
  const auto found = find_eip(tenant, eip);
  if (!found) return Unexpected(found.error());
  const Eip& current = **found;
  if (rules.empty())
    return refused_list(current, refuse("rules", "no rule is given; give at least one").value());
  if (auto check = check_rules(rules, eip.family()); !check)
    return refused_list(current, std::move(check.error()));
  std::vector<PermitRule> all = current.permit.rules();
  for (size_t i = 0; i < rules.size(); ++i) {
    make_canonical(rules[i]);
    const PermitRule* namesake = rule_named(current.permit, rules[i].name);
    if (namesake == nullptr) {
      all.push_back(std::move(rules[i]));
    } else if (*namesake != rules[i]) {
      return refused_list(current, Error{ErrorCode::already_exists,
                                         "the list has another rule '" + rules[i].name +
                                             "'; remove that first, or choose another name",
                                         "rules[" + std::to_string(i) + "].name",
                                         {}});
    }
  }
  std::ranges::sort(all, {}, &PermitRule::name);
  PermitList next = std::move(all);
  if (auto quota = check_rule_quota(current, next); !quota)
    return refused_list(current, std::move(quota.error()));
  return plan_list(current, std::move(next), current.keep_established);
}

Expected<Plan<Eip>> Model::plan_remove_permit_rules(const TenantId& tenant, const IpAddr& eip,
                                                    const std::vector<std::string>& names,
                                                    bool keep_established) const {
  const auto found = find_eip(tenant, eip);
  if (!found) return Unexpected(found.error());
  const Eip& current = **found;
  if (names.empty())
    return refused_list(current, refuse("names", "no rule is named; name at least one").value());
  for (size_t i = 0; i < names.size(); ++i) {
    if (!is_valid_id(names[i]))
      return refused_list(
          current,
          refuse("names[" + std::to_string(i) + "]", describe_invalid_id("rule name", names[i])).value());
  }
  const std::unordered_set<std::string_view> gone(names.begin(), names.end());
  std::vector<PermitRule> rest = current.permit.rules();
  std::erase_if(rest, [&](const PermitRule& rule) { return gone.contains(rule.name); });
  return plan_list(current, std::move(rest), keep_established);
}

Plan<Nothing> Model::plan_end_keep(const IpAddr& eip) const {
  const auto found = state_.eips.find(eip);
  if (found == state_.eips.end() || !found->second.keep_established) return unchanged(Nothing{});
  Eip next = found->second;
  next.keep_established = false;
  next.kept_from = next.list_generation;
  return changed(PutEip{std::move(next)}, Nothing{});
}

}  // namespace portcullis::model
