// Tags: names that a tenant puts on its EIPs, for rules to name instead of prefixes.
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

Expected<void> Model::check_tags(const std::set<std::string>& tags, bool has_tags_now) const {
  for (const std::string& tag : tags) {
    if (!is_valid_id(tag)) return fail(ErrorCode::invalid_argument, describe_invalid_id("tag", tag), "tags");
  }
  if (tags.size() > limits_.tags_per_eip) {
    return fail(ErrorCode::resource_exhausted,
                std::to_string(tags.size()) + " tags are given; an EIP bears at most " +
                    std::to_string(limits_.tags_per_eip) + ", so leave some out",
                "tags");
  }
  if (!tags.empty() && !has_tags_now && usage_.tag_sets() >= limits_.tag_sets) {
    return fail(ErrorCode::resource_exhausted,
                "all " + std::to_string(limits_.tag_sets) +
                    " tag sets are in use; take the tags of another EIP away or raise capacity.tag_sets",
                "tags");
  }
  return {};
}

Expected<Plan<Eip>> Model::plan_set_tag(const TenantId& tenant, const IpAddr& eip,
                                        std::set<std::string> tags) const {
  const auto found = find_eip(tenant, eip);
  if (!found) return Unexpected(found.error());
  const Eip& current = **found;
  if (auto check = check_tags(tags, !current.tags.empty()); !check) {
    check.error().object = eip_name(tenant, eip);
    return Unexpected(std::move(check.error()));
  }
  if (tags == current.tags) return unchanged(current);
  Eip next = current;
  next.tags = std::move(tags);
  next.binding_generation = state_.generation + 1;
  return changed(PutEip{next}, next);
}

}  // namespace portcullis::model
