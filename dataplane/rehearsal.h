// A packet that is taken through the pipeline as if it had been received, and of which nothing stays: what
// Explain is made of. The stages are the ones that real packets go through, on the worker's tables as they
// are; while Burst::rehearsal is set, what they would count, write or send is told to it instead.
//
// Made by whoever asks and carried out by a worker (mailbox.h). If another worker owns the flow, it says so
// and is to be carried out by that one, as a packet is that is handed over.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/burst.h"
#include "dataplane/drop.h"
#include "dataplane/mailbox.h"
#include "dataplane/tables/flow.h"

namespace portcullis {

// What became of the packet in a stage.
enum class Verdict : uint8_t {
  passed,
  answered,     // it is an answer now, on its way back; with a reason, if the packet itself is lost
  transmitted,  // it, or the answer, leaves by Rehearsal::out_port()
  dropped,
  punted,       // to the gateway itself
  handed_over,  // to Rehearsal::owner()
};

struct RehearsedStage {
  std::string_view stage;
  uint32_t worker = 0;
  Verdict verdict = Verdict::passed;
  std::optional<Drop> reason;
};

// What commit would do with a flow entry.
enum class EntryUse : uint8_t { none, refresh, open };

// What a side with a list said.
struct RehearsedSide {
  Slot slot = 0;  // of its record; 0: there is no such side
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
  EntryUse use = EntryUse::none;
};

class Rehearsal final : public Errand {
 public:
  static constexpr uint32_t longest_frame = 16'128;  // bytes: more than any port takes

  // `frame`: as it would come from the wire by `port`, of 1 to longest_frame bytes. `headroom`: bytes before
  // it in its buffer.
  Rehearsal(PortId port, std::span<const uint8_t> frame, uint16_t headroom = RTE_PKTMBUF_HEADROOM);

  // The back end is the worker's own. (In worker.cc, with the stages.)
  bool run(WorkerState& worker, uint64_t now_ms) noexcept override;

  // --- what came of it ---
  // What became of the packet at last.
  [[nodiscard]] Verdict fate() const;
  // Why the packet is lost, if it is; of an answer that is lost too, why the answer is.
  [[nodiscard]] std::optional<Drop> reason() const { return reason_; }
  [[nodiscard]] std::span<const RehearsedStage> stages() const { return {stages_.data(), count_}; }
  [[nodiscard]] const RehearsedSide& source() const { return source_; }
  [[nodiscard]] const RehearsedSide& destination() const { return destination_; }
  [[nodiscard]] uint32_t owner() const { return owner_; }      // handed over
  [[nodiscard]] PortId out_port() const { return out_port_; }  // transmitted, answered
  // The frame as the stages have left it.
  [[nodiscard]] std::span<const uint8_t> frame() const { return {frame_of(&mbuf_), mbuf_.data_len}; }

  // --- for stages, instead of what they would do ---
  void lose(Drop reason) { lost_ = reason; }
  void punt() { punted_ = true; }
  void hand_over(uint32_t owner, LinkId link) {
    handed_over_ = true;
    owner_ = owner;
    link_ = link;
  }
  void transmit(PortId port) {
    transmitted_ = true;
    out_port_ = port;
  }
  void use_entries(EntryUse source, EntryUse destination) {
    source_.use = source;
    destination_.use = destination;
  }

  // --- for rehearse.h, which takes it through them ---
  [[nodiscard]] rte_mbuf* mbuf() { return &mbuf_; }
  [[nodiscard]] PortId port() const { return port_; }
  [[nodiscard]] LinkId link() const { return link_; }
  [[nodiscard]] bool is_taken_over() const { return handed_over_; }
  // A worker begins.
  void begin() { is_over_ = handed_over_ = false; }
  // Nothing more becomes of it on this worker.
  [[nodiscard]] bool is_over() const { return is_over_; }
  // After a stage: what it said. `answered`: the packet is an answer by now.
  Verdict note(std::string_view stage, uint32_t worker, bool answered);
  [[nodiscard]] RehearsedSide& writable_source() { return source_; }
  [[nodiscard]] RehearsedSide& writable_destination() { return destination_; }
  [[nodiscard]] bool is_answer() const { return answered_; }

 private:
  static constexpr size_t most_stages = 32;  // those of two workers

  rte_mbuf mbuf_{};
  std::unique_ptr<uint8_t[]> buffer_;
  PortId port_;
  // Of the stage that runs.
  std::optional<Drop> lost_;
  bool punted_ = false;
  bool handed_over_ = false;
  bool transmitted_ = false;

  bool is_over_ = false;
  bool answered_ = false;
  std::optional<Drop> reason_;
  std::array<RehearsedStage, most_stages> stages_{};
  size_t count_ = 0;
  RehearsedSide source_;
  RehearsedSide destination_;
  uint32_t owner_ = 0;
  LinkId link_ = 0;
  PortId out_port_ = 0;
};

}  // namespace portcullis
