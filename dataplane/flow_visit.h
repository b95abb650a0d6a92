// An errand to a worker's flow tables: lists the entries that count, or takes them away. Some hundred places
// of a table a turn, so that traffic waits for no more than that.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/mailbox.h"
#include "dataplane/tables/flow.h"
#include "src/net/address.h"

namespace portcullis {

struct Tables;

// Which entries; what is absent is any.
struct FlowFilter {
  std::optional<IpAddr> eip;  // whose
  std::optional<IpPrefix> remote;
  std::optional<uint8_t> protocol;  // IANA number
  std::optional<uint16_t> local_port;
  std::optional<uint16_t> remote_port;
};

struct FlowInfo {
  IpAddr eip;  // of the side that owns the entry
  IpAddr remote;
  uint16_t local_port = 0;  // for ICMP both ports are the identifier
  uint16_t remote_port = 0;
  uint8_t protocol = 0;
  Direction opened = Direction::outbound;
  FlowState state = FlowState::none;
  uint64_t expires_in_ms = 0;
};

// Where a visit begins, or goes on: the IPv4 table's places come first.
struct FlowCursor {
  bool ipv6 = false;
  uint32_t index = 0;
};

class FlowVisit final : public Errand {
 public:
  enum class What : uint8_t { list, clear };

  // `most`: entries that it lists before it ends; of no meaning when it clears.
  FlowVisit(What what, const FlowFilter& filter, FlowCursor from = {}, size_t most = 0);

  // Entries that have expired, or that the tables as they are count no more, are not listed.
  bool run(WorkerState& worker, uint64_t now_ms) noexcept override;

  [[nodiscard]] std::span<const FlowInfo> flows() const { return flows_; }
  [[nodiscard]] uint64_t cleared() const { return cleared_; }
  // Where a further visit would go on; absent: nothing is left.
  [[nodiscard]] std::optional<FlowCursor> next() const {
    return is_over_ ? std::nullopt : std::optional(cursor_);
  }

 private:
  template <typename Family>
  [[nodiscard]] bool visit(WorkerState& worker, uint64_t now_ms, uint32_t& left);
  template <typename Tuple>
  [[nodiscard]] bool is_wanted(const BasicFlowEntry<Tuple>& entry, const Tables& tables) const;

  What what_;
  FlowFilter filter_;
  FlowCursor cursor_;
  size_t most_;
  std::vector<FlowInfo> flows_;  // with room for all from the beginning: a worker allocates nothing
  uint64_t cleared_ = 0;
  bool is_over_ = false;
};

}  // namespace portcullis
