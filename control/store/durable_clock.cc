#include "control/store/durable_clock.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "control/store/lock_file.h"
#include "src/base/wall_clock.h"

namespace portcullis::store {

namespace {

int64_t boot_clock_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Whole or not at all: written beside it first.
bool write_durably(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  const int descriptor = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (descriptor < 0) return false;
  bool done = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
              ::fsync(descriptor) == 0;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return done && ::rename(draft.c_str(), path.c_str()) == 0;
}

}  // namespace

MachineClocks machine_clocks() {
  std::string boot_id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot_id;
  return {std::move(boot_id), boot_clock_ms, wall_clock_ms};
}

DurableClock::DurableClock(MachineClocks clocks, std::string path)
    : clocks_(std::move(clocks)), path_(std::move(path)) {
  std::string boot_id;
  int64_t booted_ms = 0;
  std::ifstream file(path_);
  is_saved_ = file >> boot_id >> booted_ms && !boot_id.empty() && boot_id == clocks_.boot_id;
  booted_ms_ = is_saved_ ? booted_ms : clocks_.wall_ms() - clocks_.boot_ms();
}

Expected<void> DurableClock::save() {
  if (is_saved_ || clocks_.boot_id.empty()) return {};
  if (!write_durably(path_, clocks_.boot_id + " " + std::to_string(booted_ms_) + "\n"))
    return fail(ErrorCode::unavailable, "cannot write " + path_ + ": " + std::strerror(errno));
  if (auto synced = sync_directory(std::filesystem::path(path_).parent_path()); !synced) return synced;
  is_saved_ = true;
  return {};
}

}  // namespace portcullis::store
