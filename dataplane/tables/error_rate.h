// The rate of ICMP errors of every EIP: what of them is passed on to it, from it, and made for it. Without
// state errors can be forged, so what an EIP may be sent by them is bounded (semantics: "Default-off,
// exactly", 4).
//
// The generic cell rate algorithm (ITU-T I.371, annex A): one word says when the next error
// is due. All workers share it: errors about one EIP come to several of them. Its update is, with the ring to
// the punt thread, the one contended atomic of the data plane, and only errors that are otherwise permitted
// meet it. Four bytes a binding, where
// rte_meter takes 24, matter here: there is one for every binding, and hardly one is ever used.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/memory.h"
#include "dataplane/tables/port.h"

namespace portcullis {

class ErrorRate {
 public:
  static constexpr size_t bytes_each = sizeof(std::atomic<uint32_t>);
  static constexpr uint32_t burst = 32;                     // errors at once: a traceroute sends 16 probes
  static constexpr uint32_t ticks_per_ms = 64;              // of the clock, which wraps after 18 hours
  static constexpr uint32_t highest = 1000 * ticks_per_ms;  // errors a second

  // `per_second`: from 1 to `highest`.
  [[nodiscard]] static Expected<ErrorRate> create(uint32_t per_second, uint32_t bindings, int numa_node) {
    auto due = TableArray<std::atomic<uint32_t>>::create("rates of ICMP errors", bindings, numa_node);
    if (!due) return tl::unexpected(due.error());
    ErrorRate rate;
    rate.interval_ = highest / per_second;
    rate.due_ = std::move(*due);
    return rate;
  }
  // Whether an error of the binding may pass now.
  [[nodiscard]] bool has_token(BindingId id, uint64_t now_ms) const {
    return ahead(due_[id].load(std::memory_order_relaxed), now_ms) <= interval_ * (burst - 1);
  }
  // Between the two other workers may take: some errors more than the rate.
  void take(BindingId id, uint64_t now_ms) {
    uint32_t due = due_[id].load(std::memory_order_relaxed);
    while (!due_[id].compare_exchange_weak(due, ticks(now_ms) + ahead(due, now_ms) + interval_,
                                           std::memory_order_relaxed)) {
    }
  }
  [[nodiscard]] size_t bytes() const { return due_.bytes(); }

 private:
  static constexpr uint32_t ticks(uint64_t now_ms) { return static_cast<uint32_t>(now_ms * ticks_per_ms); }
  // How far the next error is due beyond now. What would lie much farther than a whole burst is long past:
  // the clock has wrapped since. Each worker has looked at the clock when its turn began, some before others,
  // and two that ask at the same moment both may take (what an endpoint sends to itself takes twice).
  [[nodiscard]] uint32_t ahead(uint32_t due, uint64_t now_ms) const {
    const uint32_t ahead = due - ticks(now_ms);
    return ahead <= interval_ * (burst + 2 * max_workers) + longest_turn ? ahead : 0;
  }
  static constexpr uint32_t longest_turn = 1'000 * ticks_per_ms;
  uint32_t interval_ = 1;
  TableArray<std::atomic<uint32_t>> due_;  // by binding id
};

}  // namespace portcullis
