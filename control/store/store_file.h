// The files of a store as files: what may be there before SQLite is let near them, and how a repaired store
// takes the place of a damaged one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/base/expected.h"

namespace portcullis::store {

// SQLite takes an empty file for a new database and deletes a write-ahead log that lies beside it, so where a
// store has been it would silently forget it. Refused as well: what is no SQLite file, and a store whose
// repair was interrupted. No file at all is fine.
[[nodiscard]] Expected<void> check_file(const std::string& path);

// A file beside the store, in its name's stead or with it.
[[nodiscard]] std::string wal_of(const std::string& path);

// Whether the store's repair was interrupted when the repaired store was complete.
[[nodiscard]] bool is_replacement_pending(const std::string& path);
// Puts `path`.repaired, a closed store, in the place of the store at `path`, and keeps that, as it is, at the
// name given back ("state.db.damaged-1", its write-ahead log beside it). Whenever this is interrupted, the
// store is the old one or refused.
[[nodiscard]] Expected<std::string> keep_and_replace(const std::string& path);
// The second half of it, after an interruption.
[[nodiscard]] Expected<void> finish_replacement(const std::string& path);
[[nodiscard]] std::string repaired_name(const std::string& path);

// The first 100 bytes of a store's file mended, if they are damaged, or the file is shorter than they say,
// and the rest of the page says that it is a store's; none otherwise. They hold, besides what all stores have
// alike, nothing that reading needs (https://sqlite.org/fileformat.html, "The Database Header").
[[nodiscard]] std::optional<std::string> mended_header(const std::string& path);

}  // namespace portcullis::store
