// What a trace says of each packet, against what the reference says of it; and that packets which are traced
// fare as the reference's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/capture/capture.h"
#include "dataplane/capture/trace_parts.h"
#include "tests/model/gateway_under_test.h"
#include "tests/model/reference.h"
#include "tests/model/source_ports.h"

namespace portcullis::testing {

class TraceCheck {
 public:
  // Every packet from now on; `only_drops`: of those that are lost. The gateway outlives it.
  TraceCheck(GatewayUnderTest& gateway, bool only_drops);
  ~TraceCheck();
  TraceCheck(const TraceCheck&) = delete;
  TraceCheck& operator=(const TraceCheck&) = delete;

  // After a turn. What is wrong is added to `wrong`.
  void compare(const reference::Setup& setup, const std::vector<std::vector<reference::Arrival>>& arrivals,
               const reference::Turn& turn, SourcePorts& source_ports, std::vector<std::string>& wrong);
  // How often what was traced.
  [[nodiscard]] const std::map<std::string, uint64_t>& events() const { return events_; }

 private:
  // By one port and one worker, in the order in which it came; and what a trace should say of that.
  struct Received {
    std::vector<const TraceRecord*> traces;
    std::vector<std::pair<const reference::Arrival*, const reference::Verdict*>> asked_for;
  };
  [[nodiscard]] std::vector<TraceRecord> take_all();
  [[nodiscard]] bool is_asked_for(const reference::Verdict& verdict) const;
  void compare(const reference::Setup& setup, const Received& received, SourcePorts& source_ports,
               std::vector<std::string>& wrong);
  void compare(const reference::Setup& setup, const TraceRecord& record, const reference::Arrival& arrival,
               const reference::Verdict& verdict, SourcePorts& source_ports, std::vector<std::string>& wrong);

  GatewayUnderTest& gateway_;
  const bool only_drops_;
  Capture capture_;
  uint64_t lost_before_ = 0;
  uint64_t lost_ = 0;  // in this turn
  std::map<std::string, uint64_t> events_;
};

}  // namespace portcullis::testing
