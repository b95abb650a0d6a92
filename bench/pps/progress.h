// One line on the terminal for what takes long.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace portcullis::bench {

class Progress {
 public:
  explicit Progress(std::string what) : what_(std::move(what)) {}
  ~Progress() {
    if (shown_) std::fprintf(stderr, "\r%79s\r", "");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // At most twice a second, and on a terminal only.
  void at(uint64_t done, uint64_t of) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(500) || isatty(STDERR_FILENO) == 0) return;
    last_ = now;
    shown_ = true;
    std::fprintf(stderr, "\r%s: %3.0f %%", what_.c_str(),
                 100.0 * static_cast<double>(done) / static_cast<double>(of));
  }

 private:
  std::string what_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  bool shown_ = false;
};

}  // namespace portcullis::bench
