// Change sets as bytes (record.proto), and the checksum that tells rot from what was written.
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

// FNV-1a, 64 bits: any one changed byte changes it. Against rot, not against malice.
[[nodiscard]] uint64_t checksum(std::string_view record);

}  // namespace portcullis::store
