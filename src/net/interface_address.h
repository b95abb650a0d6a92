#pragma once

#include <cstdint>

#include "src/net/address.h"

namespace portcullis {

// An address of an interface and the length of the prefix it is on.
struct InterfaceAddress {
  IpAddr address;
  uint8_t length = 32;
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

}  // namespace portcullis
