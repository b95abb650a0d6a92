// What became of a packet (dataplane/passage.h) as Explain and Trace tell it: what workers say of slots and
// counters, by the names that people know. Thread: control, so that nothing is published meanwhile.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "control/control.h"
#include "control/service/observe_service.h"
#include "dataplane/passage.h"
#include "portcullis/v1/explain.pb.h"

namespace portcullis::service {

inline constexpr std::string_view port_prefix = "ports/";
[[nodiscard]] std::string port_name(const Sources& sources, PortId port);

// All but the frames. `sent`: how the frame begins that leaves, if one does.
void tell_passage(const Control::View& view, const Sources& sources, const Passage& passage,
                  std::span<const uint8_t> sent, v1::Explanation& explanation);
void tell_frame(const Sources& sources, PortId port, std::span<const uint8_t> bytes, v1::Frame& frame);

}  // namespace portcullis::service
