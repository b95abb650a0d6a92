// When to ask for the MAC of the uplink's next hop (ARP, RFC 826), and when to stop believing in it. Time
// comes from the caller, in monotonic milliseconds.
#pragma once

#include <cstdint>

namespace portcullis {

class NextHopResolver {
 public:
  static constexpr uint64_t retry_ms = 1'000;     // RFC 1122, 2.3.2.1: at most one request a second
  static constexpr uint64_t refresh_ms = 30'000;  // while it is known
  static constexpr uint32_t lost_after = 3;       // refreshes without an answer

  enum class Action : uint8_t {
    nothing,
    ask,
    forget_and_ask,  // it has not answered for lost_after refreshes
  };

  [[nodiscard]] Action at(uint64_t now_ms) {
    if (now_ms < ask_at_ms_) return Action::nothing;
    if (!known_) {
      ask_at_ms_ = now_ms + retry_ms;
      return Action::ask;
    }
    if (unanswered_ == lost_after) {
      known_ = false;
      ask_at_ms_ = now_ms + retry_ms;
      return Action::forget_and_ask;
    }
    ++unanswered_;
    ask_at_ms_ = now_ms + refresh_ms;
    return Action::ask;
  }

  void answered(uint64_t now_ms) {
    known_ = true;
    unanswered_ = 0;
    ask_at_ms_ = now_ms + refresh_ms;
  }

 private:
  uint64_t ask_at_ms_ = 0;  // at once
  bool known_ = false;
  uint32_t unanswered_ = 0;
};

}  // namespace portcullis
