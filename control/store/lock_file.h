// One process per store: a lock on a file beside it, which the kernel lets go when the process ends, however.
#pragma once

#include <string>

#include "src/base/expected.h"

namespace portcullis::store {

class LockFile {
 public:
  // failed_precondition, naming the process that holds it, when the lock is taken.
  [[nodiscard]] static Expected<LockFile> acquire(const std::string& path);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();

 private:
  explicit LockFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// Creates the directory and its missing parents (mode 0750), durably.
[[nodiscard]] Expected<void> create_directory(const std::string& path);
// Makes the names in a directory durable.
[[nodiscard]] Expected<void> sync_directory(const std::string& path);

}  // namespace portcullis::store
