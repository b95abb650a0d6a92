#include "bench/pps/capture.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace portcullis::bench {
namespace {

// libpcap's classic format, in the byte order of the machine.
struct FileHeader {
  uint32_t magic = 0xa1b2c3d4;
  uint16_t major = 2, minor = 4;
  int32_t zone = 0;
  uint32_t accuracy = 0;
  uint32_t snap_length = 65535;
  uint32_t link_type = 1;  // Ethernet
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
  uint32_t seconds = 0, microseconds = 0;
  uint32_t captured = 0, length = 0;
};
static_assert(sizeof(RecordHeader) == 16);

}  // namespace

Expected<CaptureFile> CaptureFile::write(std::span<const Packet> packets, const Mac& uplink) {
  const char* directory = std::getenv("TMPDIR");
  std::string path = std::string(directory == nullptr ? "/tmp" : directory) + "/bench-pps-XXXXXX";
  const int fd = mkstemp(path.data());
  const auto failed = [&] { return fail(ErrorCode::unavailable, "cannot write the capture file " + path); };
  if (fd < 0) return failed();
  CaptureFile file(path);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(fdopen(fd, "wb"), std::fclose);
  if (!stream) return failed();
  const FileHeader header;
  bool good = std::fwrite(&header, sizeof header, 1, stream.get()) == 1;
  std::array<uint8_t, largest_frame> frame{};
  for (const Packet& packet : packets) {
    const RecordHeader record{.captured = packet.length, .length = packet.length};
    write_frame(packet, frame.data());
    if (packet.way == Way::in) std::memcpy(frame.data(), &uplink, sizeof uplink);
    good = good && std::fwrite(&record, sizeof record, 1, stream.get()) == 1 &&
           std::fwrite(frame.data(), packet.length, 1, stream.get()) == 1;
  }
  if (!good || std::fflush(stream.get()) != 0) return failed();
  return file;
}

CaptureFile::~CaptureFile() {
  if (!path_.empty()) unlink(path_.c_str());
}

}  // namespace portcullis::bench
