#include "src/portcullisd/denied_lines.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

namespace portcullis {
namespace {

constexpr std::chrono::milliseconds turn{20};

}  // namespace

DeniedLines::DeniedLines(std::vector<DeniedLog*> logs, std::map<PortId, std::string> ports)
    : logs_(std::move(logs)), ports_(std::move(ports)), thread_([this] { run(); }) {}

DeniedLines::~DeniedLines() {
  stop_ = true;
  thread_.join();
}

void DeniedLines::run() {
  while (!stop_) {
    write_all();
    std::this_thread::sleep_for(turn);
  }
  write_all();
}

void DeniedLines::write_all() {
  for (DeniedLog* log : logs_)
    while (const Copy copy = log->take())
      spdlog::info("denied: {}", line_of(*copy, ports_.at(note_of(*copy).port)));
}

}  // namespace portcullis
