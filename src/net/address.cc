#include "src/net/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>
#include <cstring>

namespace portcullis {

std::optional<Ipv4Addr> Ipv4Addr::parse(std::string_view text) {
  char buffer[INET_ADDRSTRLEN];
  if (text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos) return std::nullopt;
  text.copy(buffer, text.size());
  buffer[text.size()] = '\0';
  in_addr raw{};
  if (inet_pton(AF_INET, buffer, &raw) != 1) return std::nullopt;
  return from_wire(raw.s_addr);
}

std::string Ipv4Addr::to_string() const {
  char buffer[INET_ADDRSTRLEN];
  in_addr raw{};
  raw.s_addr = wire();
  return inet_ntop(AF_INET, &raw, buffer, sizeof buffer);
}

std::optional<Ipv4Prefix> Ipv4Prefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = Ipv4Addr::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned length = 32;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || length > 32) return std::nullopt;
  }
  const Ipv4Prefix prefix(*address, static_cast<uint8_t>(length));
  if (prefix.address() != *address) return std::nullopt;
  return prefix;
}

std::string Ipv4Prefix::to_string() const {
  return address_.to_string() + "/" + std::to_string(length_);
}

std::optional<Mac> Mac::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  Mac mac;
  for (size_t i = 0; i < 6; ++i) {
    const char* at = text.data() + 3 * i;
    if (i > 0 && at[-1] != ':') return std::nullopt;
    const auto [end, error] = std::from_chars(at, at + 2, mac.bytes[i], 16);
    if (error != std::errc{} || end != at + 2) return std::nullopt;
  }
  return mac;
}

std::string Mac::to_string() const {
  char buffer[18];
  std::snprintf(buffer, sizeof buffer, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2],
                bytes[3], bytes[4], bytes[5]);
  return buffer;
}

}  // namespace portcullis
