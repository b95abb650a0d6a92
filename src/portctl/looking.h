// What capture and trace share: both go on until Ctrl-C, and say then how much there was.
#pragma once

#include <cstdint>
#include <string>

namespace portcullis::portctl {

// From now on SIGINT and SIGTERM end nothing by themselves; is_ended() says that one has come.
void end_by_signals();
[[nodiscard]] bool is_ended();

// "2 packets, 0 lost".
[[nodiscard]] std::string packet_totals(uint64_t packets, uint64_t lost);

}  // namespace portcullis::portctl
