#include "control/model/permit_list.h"

namespace portcullis::model {

size_t ranges_of(const PermitRule& rule) {
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) return prefixes->size();
  if (const auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) return tags->size();
  return 0;
}

PermitList::PermitList(std::vector<PermitRule> rules) {
  size_t compiled = 0;
  for (const PermitRule& rule : rules) {
    compiled += std::max<size_t>(ranges_of(rule), 1);
    has_any_ = has_any_ || std::holds_alternative<AnyRemote>(rule.remote);
    has_prefixes_ = has_prefixes_ || std::holds_alternative<std::vector<IpPrefix>>(rule.remote);
  }
  compiled_ = static_cast<uint32_t>(std::min<size_t>(compiled, UINT32_MAX));
  if (!rules.empty()) rules_ = std::make_shared<const std::vector<PermitRule>>(std::move(rules));
}

}  // namespace portcullis::model
