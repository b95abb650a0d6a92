// What became of a packet, stage by stage: what a rehearsal (rehearsal.h) and a trace (capture/trace.h) tell.
// While a stage runs it is told what the stage does with the packet; note() makes a verdict of that. Trivial
// to copy, and nothing of it is allocated: workers write it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "dataplane/burst.h"
#include "dataplane/drop.h"
#include "dataplane/tables/flow.h"
#include "src/net/address.h"

namespace portcullis {

// What became of the packet in a stage.
enum class Verdict : uint8_t {
  passed,
  answered,     // it is an answer now, on its way back; with a reason, if the packet itself is lost
  transmitted,  // it, or the answer, leaves by Passage::out_port()
  dropped,
  punted,       // to the gateway itself
  handed_over,  // to Passage::owner()
};

struct PassedStage {
  std::string_view stage;
  uint32_t worker = 0;
  Verdict verdict = Verdict::passed;
  std::optional<Drop> reason;
};

// What commit would do with a flow entry.
enum class EntryUse : uint8_t { none, refresh, open };

// What a side with a list said.
struct PassageSide {
  // Its record: while the EIP has this one, `hit` is of its list.
  Slot slot = 0;       // 0: there is no such side
  uint32_t stamp = 0;  // of that record
  IpAddr eip;
  bool is_asked = false;
  bool permits = false;
  // The rule by which it permits. None: a live flow entry, or, of an ICMP error, that of the flow it is
  // about.
  RuleHit hit;
  // The live entry of the packet's flow, if it has been looked for and found.
  bool has_entry = false;
  Direction opened = Direction::outbound;
  FlowState state = FlowState::none;
  uint64_t expires_in_ms = 0;
  EntryUse use = EntryUse::none;  // of a rehearsed packet only
};

class Passage {
 public:
  // What became of the packet at last.
  [[nodiscard]] Verdict fate() const;
  // Why the packet is lost, if it is; of an answer that is lost too, why the answer is.
  [[nodiscard]] std::optional<Drop> reason() const { return reason_; }
  [[nodiscard]] std::span<const PassedStage> stages() const { return {stages_.data(), count_}; }
  [[nodiscard]] const PassageSide& source() const { return source_; }
  [[nodiscard]] const PassageSide& destination() const { return destination_; }
  [[nodiscard]] uint32_t owner() const { return owner_; }      // handed over
  [[nodiscard]] PortId out_port() const { return out_port_; }  // transmitted, answered

  // --- while a stage runs ---
  void lose(Drop reason) { lost_ = reason; }
  void punt() { punted_ = true; }
  void hand_over(uint32_t owner) {
    handed_over_ = true;
    owner_ = owner;
  }
  void transmit(PortId port) {
    transmitted_ = true;
    out_port_ = port;
  }
  void use_entries(EntryUse source, EntryUse destination) {
    source_.use = source;
    destination_.use = destination;
  }

  // --- between stages (note_stage.h) ---
  // A worker begins.
  void begin() { is_over_ = handed_over_ = false; }
  // Nothing more becomes of it on this worker.
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] bool is_answer() const { return answered_; }
  // After a stage: what it said. `answered`: the packet is an answer by now.
  Verdict note(std::string_view stage, uint32_t worker, bool answered);
  [[nodiscard]] PassageSide& writable_source() { return source_; }
  [[nodiscard]] PassageSide& writable_destination() { return destination_; }

  // Goes on as `next`, another worker's.
  void append(const Passage& next);

 protected:
  [[nodiscard]] bool is_handed_over() const { return handed_over_; }

 private:
  static constexpr size_t most_stages = 24;  // those of three workers

  // Of the stage that runs.
  std::optional<Drop> lost_;
  bool punted_ = false;
  bool handed_over_ = false;
  bool transmitted_ = false;

  bool is_over_ = false;
  bool answered_ = false;
  std::optional<Drop> reason_;
  std::array<PassedStage, most_stages> stages_{};
  size_t count_ = 0;
  PassageSide source_;
  PassageSide destination_;
  uint32_t owner_ = 0;
  PortId out_port_ = 0;
};
static_assert(std::is_trivially_copyable_v<Passage>);

}  // namespace portcullis
