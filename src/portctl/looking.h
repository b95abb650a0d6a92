// What capture and trace share: which packets, and that they go on until Ctrl-C, and say then how much there
// was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "portcullis/v1/observe_service.pb.h"
#include "src/portctl/client.h"

namespace portcullis::portctl {

// As the options name them. A packet must suit all; none: each does.
struct PacketFilter {
  bool dropped = false, passed = false, transmitted = false, punted = false;
  std::vector<std::string> reasons;
  std::vector<std::string> ports;
  std::string eip, address;
  uint32_t seconds = 0, one_in = 0;
};

// What the two calls name alike.
template <typename Request>
[[nodiscard]] Request request_of(const Options& options, const PacketFilter& filter) {
  Request request;
  if (filter.transmitted || filter.passed) request.add_fates(v1::CaptureRequest::TRANSMITTED);
  if (filter.punted || filter.passed) request.add_fates(v1::CaptureRequest::PUNTED);
  if (filter.dropped) request.add_fates(v1::CaptureRequest::DROPPED);
  for (const std::string& reason : filter.reasons) request.add_reasons(reason);
  for (const std::string& port : filter.ports)
    request.add_ports(port.find('/') == std::string::npos ? "ports/" + port : port);
  if (!filter.eip.empty()) request.set_eip(eip_name(options, filter.eip));
  request.set_address(filter.address);
  request.set_seconds(filter.seconds);
  request.set_one_in(filter.one_in);
  return request;
}

// The next SIGINT or SIGTERM ends nothing by itself; is_ended() says that it has come. One more kills, if
// nobody asks: the gateway may be gone.
void end_by_signals();
[[nodiscard]] bool is_ended();

// "2 packets, 0 lost".
[[nodiscard]] std::string packet_totals(uint64_t packets, uint64_t lost);

}  // namespace portcullis::portctl
