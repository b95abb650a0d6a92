// How a capture and a trace go on until their end: both take what workers have for them and send it, and say
// from time to time that they are still there.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include "dataplane/capture/capture.h"

namespace portcullis::service {

// What workers have may wait so long for a caller that is quick.
inline constexpr std::chrono::milliseconds look_turn{2};
// How late a caller learns that nothing has come, and the gateway that nobody listens.
inline constexpr std::chrono::milliseconds look_silence{400};
inline constexpr uint32_t most_look_seconds = 86'400;

// `seconds`: 0 is for ever. take(): from the session, as much as there is room to send, and no longer than a
// moment, whatever comes meanwhile; `ends`: nothing comes any more. has_some(): there is something to send,
// or more to take. send(): that, or a sign of life; false if nobody listens. is_full(): no more is wanted.
struct Looker {
  std::function<void(bool ends)> take;
  std::function<bool()> has_some;
  std::function<bool()> send;
  std::function<bool()> is_full;
};

inline void look(Captures::Session& session, uint32_t seconds, const Looker& looker,
                 const std::function<bool()>& is_over) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  auto sent = began;
  bool is_heard = looker.send();
  while (is_heard && !looker.is_full() && !is_over() &&
         (seconds == 0 || Clock::now() - began < std::chrono::seconds(seconds))) {
    looker.take(false);
    if (looker.has_some() || Clock::now() - sent >= look_silence) {
      is_heard = looker.send();
      sent = Clock::now();
    } else {
      std::this_thread::sleep_for(look_turn);
    }
  }
  session.stop();
  while (is_heard) {
    looker.take(true);
    const bool is_last = !looker.has_some();
    is_heard = looker.send();
    if (is_last) break;
  }
}

}  // namespace portcullis::service
