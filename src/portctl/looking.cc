#include "src/portctl/looking.h"

#include <signal.h>

namespace portcullis::portctl {
namespace {

volatile sig_atomic_t has_signal = 0;

}  // namespace

void end_by_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { has_signal = 1; };
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool is_ended() {
  return has_signal != 0;
}

std::string packet_totals(uint64_t packets, uint64_t lost) {
  return std::to_string(packets) + (packets == 1 ? " packet" : " packets") + ", " + std::to_string(lost) +
         " lost";
}

}  // namespace portcullis::portctl
