// The whole desired state as a document says it: what is there, without how it came to be (no generations).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "control/model/draft.h"

namespace portcullis::model {

struct DocumentEip {
  TenantId tenant;
  IpAddr address;
  std::string vm;  // id within the tenant
  std::set<std::string> tags;
  std::vector<PermitRule> permit;
  EipQuota quota = {};
};

// In any order.
struct Document {
  std::vector<Pool> pools;
  std::vector<Vm> vms;
  std::vector<DocumentEip> eips;
  std::vector<Quarantine> resting;
  std::vector<TenantQuota> quotas = {};
};

// Drafts what makes the state be what the document says, no more and no less; what is so already is not
// touched. Of addresses that rest those stay that the document does not name, and so do fixed pools. No quota
// is asked: the document says both what there is and what may be, and may be of a state that was above one.
// `field` of an error is "document.eips[2].rules[0].protocol".
[[nodiscard]] Expected<void> replace_state(Draft& draft, const Document& document);

}  // namespace portcullis::model
