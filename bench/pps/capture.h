// A capture file of the generator's frames, removed again when nobody needs it any more.
#pragma once

#include <span>
#include <string>
#include <utility>

#include "bench/pps/packet.h"
#include "src/base/expected.h"

namespace portcullis::bench {

class CaptureFile {
 public:
  // `uplink`: to whom those go that come in.
  [[nodiscard]] static Expected<CaptureFile> write(std::span<const Packet> packets,
                                                   const Mac& uplink = macs.uplink);
  ~CaptureFile();
  CaptureFile(CaptureFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  CaptureFile& operator=(CaptureFile&&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit CaptureFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace portcullis::bench
