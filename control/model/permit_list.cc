#include "control/model/permit_list.h"

namespace portcullis::model {

PermitList::PermitList(std::vector<PermitRule> rules) {
  size_t compiled = 0;
  for (const PermitRule& rule : rules) {
    compiled += std::max<size_t>(ranges_of(rule), 1);
    said_.has_any = said_.has_any || std::holds_alternative<AnyRemote>(rule.remote);
    said_.has_prefixes = said_.has_prefixes || std::holds_alternative<std::vector<IpPrefix>>(rule.remote);
  }
  said_.compiled = static_cast<uint32_t>(std::min<size_t>(compiled, UINT32_MAX));
  if (rules.empty()) return;
  said_.rules = static_cast<uint32_t>(rules.size());
  auto kept = std::make_shared<PermitRule[]>(rules.size());
  std::ranges::move(rules, kept.get());
  rules_ = std::move(kept);
}

}  // namespace portcullis::model
