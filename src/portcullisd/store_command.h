// portcullisd --check-store and --repair-store: a store while no gateway runs with it.
#pragma once

#include <string>

namespace portcullis {

// Says on standard output how the store is. False: it is damaged, or cannot be read.
[[nodiscard]] bool check_store(const std::string& path);
// Makes a store of what is left of it, and says what that is. False: it is as it was, standard error says
// why.
[[nodiscard]] bool repair_store(const std::string& path, bool accept_loss);

}  // namespace portcullis
