#pragma once

#include <cstdint>

#include "src/net/address.h"

namespace portcullis {

// An address of an interface and the length of the prefix it is on.
struct InterfaceAddress {
  IpAddr address;
  uint8_t length = 32;
  [[nodiscard]] constexpr IpPrefix link() const {
    return address.is_v4() ? IpPrefix(Ipv4Prefix(address.v4(), length))
                           : IpPrefix(Ipv6Prefix(address.v6(), length));
  }
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

}  // namespace portcullis
