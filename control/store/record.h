// Change sets as bytes (record.proto).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/model/objects.h"
#include "src/base/expected.h"

namespace portcullis::store {

[[nodiscard]] std::string encode(const model::ChangeSet& changes);
// Refuses bytes that encode() of this release does not write: the message says what is wrong with them.
[[nodiscard]] Expected<model::ChangeSet> decode(std::string_view record);

}  // namespace portcullis::store
