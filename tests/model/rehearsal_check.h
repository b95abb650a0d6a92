// What Explain is made of, against what then happens: the only frame of a turn is rehearsed before it comes.
// The rehearsal must leave no trace, and say what becomes of the frame.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/rehearsal.h"
#include "tests/model/gateway_under_test.h"
#include "tests/model/reference.h"
#include "tests/model/source_ports.h"

namespace portcullis::testing {

class RehearsalCheck {
 public:
  // Before the turn, by the worker that will receive the frame. What is wrong with it is added to `wrong`.
  void rehearse(GatewayUnderTest& gateway, uint32_t receiver, reference::PortNumber in,
                const reference::Arrival& arrival, uint64_t now_ms, std::vector<std::string>& wrong);
  // After it; nothing if no frame was rehearsed.
  void compare(const GatewayUnderTest& gateway, const reference::Setup& setup,
               const reference::Verdict& verdict, SourcePorts& source_ports, std::vector<std::string>& wrong);
  void forget() { rehearsal_.reset(); }
  // How often what was foretold.
  [[nodiscard]] const std::map<std::string, uint64_t>& events() const { return events_; }

 private:
  std::unique_ptr<Rehearsal> rehearsal_;
  std::map<std::string, uint64_t> events_;
};

}  // namespace portcullis::testing
