// What words of a configuration look like, whatever else it says.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "src/net/address.h"
#include "src/net/interface_address.h"

namespace portcullis::config {

// Not the address of a host whose packets cross the gateway.
[[nodiscard]] bool is_martian(const IpAddr& address);
// That of a host on the link of `own`, which is of the same family.
[[nodiscard]] bool is_station_on(const InterfaceAddress& own, const IpAddr& address);
// "198.51.100.1/24", "2001:db8::1/64".
[[nodiscard]] std::optional<InterfaceAddress> interface_address_in(std::string_view text);
// With a driver's arguments or without: "0000:3b:00.0", "net_af_packet0,iface=veth0".
[[nodiscard]] bool is_pci_address(const std::string& device);
[[nodiscard]] bool is_vdev(const std::string& device);
// "192.0.2.1:8443", "[::1]:8443".
[[nodiscard]] bool is_listen_address(std::string_view text);

}  // namespace portcullis::config
