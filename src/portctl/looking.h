// What capture and trace share: both go on until Ctrl-C, and say then how much there was.
#pragma once

#include <cstdint>
#include <string>

namespace portcullis::portctl {

// The next SIGINT or SIGTERM ends nothing by itself; is_ended() says that it has come. One more kills, if
// nobody asks: the gateway may be gone.
void end_by_signals();
[[nodiscard]] bool is_ended();

// "2 packets, 0 lost".
[[nodiscard]] std::string packet_totals(uint64_t packets, uint64_t lost);

}  // namespace portcullis::portctl
