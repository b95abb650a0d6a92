// Which object a change is about: of two changes with one key the later one says all.
#pragma once

#include <cstddef>
#include <string>
#include <variant>

#include "control/model/objects.h"

namespace portcullis::model {

// A vm's key, a pool's id, an EIP's address, which may also rest, the tenant of a quota.
using ChangeKey = std::variant<VmKey, std::string, IpAddr, QuotaKey>;

struct ChangeKeyHash {
  size_t operator()(const ChangeKey& key) const;
};

[[nodiscard]] ChangeKey key_of(const Change& change);

}  // namespace portcullis::model
