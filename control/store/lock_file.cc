#include "control/store/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace portcullis::store {

namespace {

std::string reason() {
  return std::strerror(errno);
}

}  // namespace

Expected<LockFile> LockFile::acquire(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (descriptor < 0) {
    return fail(ErrorCode::failed_precondition, "cannot open the store's lock " + path + ": " + reason());
  }
  LockFile lock(descriptor);
  char holder[32] = {};
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(ErrorCode::internal, "cannot lock " + path + ": " + reason());
    const bool is_known = ::pread(descriptor, holder, sizeof holder - 1, 0) > 0;
    return fail(ErrorCode::failed_precondition,
                path + " is locked: process " + (is_known ? holder : "(unknown)") +
                    " has this store open; stop it, or give another store path");
  }
  // The number only helps the message above; the lock itself is the kernel's, so a full disk does no harm.
  const std::string self = std::to_string(::getpid());
  static_cast<void>(::ftruncate(descriptor, 0) == 0 && ::pwrite(descriptor, self.data(), self.size(), 0) > 0);
  return lock;
}

LockFile::LockFile(LockFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

LockFile::~LockFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Expected<void> create_directory(const std::string& path) {
  if (path.empty() || std::filesystem::is_directory(path)) return {};
  const std::string parent = std::filesystem::path(path).parent_path();
  if (auto created = create_directory(parent); !created) return created;
  if (::mkdir(path.c_str(), 0750) != 0) {
    return fail(ErrorCode::failed_precondition,
                "cannot create the store's directory " + path + ": " + reason());
  }
  return sync_directory(parent);
}

Expected<void> sync_directory(const std::string& path) {
  const std::string directory = path.empty() ? "." : path;
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const std::string why = is_synced ? std::string() : reason();
  if (descriptor >= 0) ::close(descriptor);
  if (!is_synced) return fail(ErrorCode::unavailable, "cannot sync the directory " + directory + ": " + why);
  return {};
}

}  // namespace portcullis::store
