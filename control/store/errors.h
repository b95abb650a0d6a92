// What goes wrong with a store's file, in words for whoever runs the gateway.
#pragma once

#include <string>

#include "src/base/expected.h"

namespace portcullis::store {

// Something in the file is not as it was written: `internal`, with a clause that says what. explained() makes
// a sentence of it.
[[nodiscard]] Unexpected damage(std::string what);
// What a failed read or write means, by SQLite's code: damage, or a whole sentence of another code. `what` as
// in "cannot WHAT in the store".
[[nodiscard]] Unexpected failure(const std::string& path, const std::string& what, int result);
// The error of a store that is refused: of damage, what it is and what to do about it.
[[nodiscard]] Unexpected explained(const std::string& path, const Error& error);

}  // namespace portcullis::store
