#include "config/forms.h"

#include <charconv>
#include <regex>
#include <system_error>

#include "control/model/martian.h"

namespace portcullis::config {

bool is_martian(const IpAddr& address) {
  return model::martian_in(IpPrefix::of_host(address)).has_value();
}

bool is_station_on(const InterfaceAddress& own, const IpAddr& address) {
  if (address.is_v6() && address.v6().is_link_local()) return true;
  return own.link().contains(address) && model::is_station(address, own.link());
}

std::optional<InterfaceAddress> interface_address_in(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddr::parse(text.substr(0, slash));
  if (!address || slash == std::string_view::npos) return std::nullopt;
  const auto prefix =
      IpPrefix::parse((address->is_v4() ? "0.0.0.0" : "::") + std::string(text.substr(slash)));
  if (!prefix || prefix->length() == 0) return std::nullopt;
  return InterfaceAddress{*address, prefix->length()};
}

bool is_pci_address(const std::string& device) {
  static const std::regex pattern("([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\\.[0-7](,.*)?");
  return std::regex_match(device, pattern);
}

bool is_vdev(const std::string& device) {
  static const std::regex pattern("[a-z][a-z0-9]*_[a-z0-9_]+(,.*)?");
  return std::regex_match(device, pattern);
}

bool is_listen_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  if (in_brackets) host = host.substr(1, host.size() - 2);
  const auto address = IpAddr::parse(host);
  uint16_t number = 0;
  const auto [end, status] = std::from_chars(port.data(), port.data() + port.size(), number);
  return address && address->is_v6() == in_brackets && status == std::errc() &&
         end == port.data() + port.size() && number != 0;
}

}  // namespace portcullis::config
