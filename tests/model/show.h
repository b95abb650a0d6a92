// What reports of differences show of values.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "tests/model/frames.h"
#include "tests/model/reference.h"

namespace portcullis::testing {

template <typename T>
std::string show(const T& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}
inline std::string show(bool value) {
  return value ? "yes" : "no";
}
std::string show(const std::vector<Bytes>& frames);
std::string show(const reference::Verdict& verdict);
std::string show(const std::vector<model::PermitRule>& rules);

}  // namespace portcullis::testing
