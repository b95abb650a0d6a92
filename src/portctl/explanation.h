// What the gateway says of one packet, for people: of explain and trace.
#pragma once

#include <string>

#include "portcullis/v1/explain.pb.h"

namespace portcullis::portctl {

// A table of its stages, and a line of what became of it.
[[nodiscard]] std::string explanation_text(const v1::Explanation& explanation);

}  // namespace portcullis::portctl
