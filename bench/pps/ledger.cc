#include "bench/pps/ledger.h"

#include <string>

namespace portcullis::bench {
namespace {

constexpr bool is_refusal(Drop reason) {
  return reason == Drop::flow_table_full || reason == Drop::flow_quota;
}

}  // namespace

void Ledger::open() {
  for (size_t reason = 0; reason < drop_count; ++reason) before_[reason] = counters_.dropped[reason].get();
  expected_ = {};
  must_pass_ = may_be_refused_ = came_out_ = 0;
}

void Ledger::sent(std::span<const Packet> packets) {
  for (const Packet& packet : packets) {
    if (packet.drop)
      ++expected_[static_cast<size_t>(*packet.drop)];
    else if (packet.may_be_refused)
      ++may_be_refused_;
    else
      ++must_pass_;
  }
}

uint64_t Ledger::dropped(Drop reason) const {
  const auto index = static_cast<size_t>(reason);
  return counters_.dropped[index].get() - before_[index];
}

uint64_t Ledger::refused() const {
  return dropped(Drop::flow_table_full) + dropped(Drop::flow_quota);
}

Expected<void> Ledger::balance(std::span<const Ledger> ledgers) {
  const auto sum = [&](auto&& of) {
    uint64_t all = 0;
    for (const Ledger& ledger : ledgers) all += of(ledger);
    return all;
  };
  const uint64_t may_be_refused = sum([](const Ledger& ledger) { return ledger.may_be_refused_; });
  for (size_t index = 0; index < drop_count; ++index) {
    const auto reason = static_cast<Drop>(index);
    const uint64_t dropped = sum([&](const Ledger& ledger) { return ledger.dropped(reason); });
    const uint64_t expected = sum([&](const Ledger& ledger) { return ledger.expected_[index]; });
    const uint64_t most = expected + (is_refusal(reason) ? may_be_refused : 0);
    if (dropped < expected || dropped > most)
      return fail(ErrorCode::internal, std::to_string(dropped) + " packets were dropped as " +
                                           std::string(describe(reason).name) + ", and " +
                                           std::to_string(expected) + " should have been");
  }
  const uint64_t must_pass = sum([](const Ledger& ledger) { return ledger.must_pass_; });
  const uint64_t came_out = sum([](const Ledger& ledger) { return ledger.came_out_; });
  const uint64_t expected_out =
      must_pass + may_be_refused - sum([](const Ledger& ledger) { return ledger.refused(); });
  if (came_out != expected_out)
    return fail(ErrorCode::internal, std::to_string(came_out) + " packets came out, and " +
                                         std::to_string(expected_out) + " should have");
  return {};
}

}  // namespace portcullis::bench
