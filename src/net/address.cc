#include "src/net/address.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace portcullis {

namespace {

// What inet_pton takes of `text`; Raw is in_addr or in6_addr.
template <int family, size_t text_size, typename Raw>
bool from_text(std::string_view text, Raw& raw) {
  char buffer[text_size];
  if (text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos) return false;
  text.copy(buffer, text.size());
  buffer[text.size()] = '\0';
  return inet_pton(family, buffer, &raw) == 1;
}

// "ADDRESS/LENGTH", or a bare address, whose length is `longest`.
template <typename Prefix, typename Address>
std::optional<Prefix> prefix_from_text(std::string_view text, unsigned longest) {
  const auto slash = text.find('/');
  const auto address = Address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned length = longest;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || length > longest) return std::nullopt;
  }
  const Prefix prefix(*address, static_cast<uint8_t>(length));
  if (prefix.address() != *address) return std::nullopt;
  return prefix;
}

}  // namespace

std::optional<Ipv4Addr> Ipv4Addr::parse(std::string_view text) {
  in_addr raw{};
  if (!from_text<AF_INET, INET_ADDRSTRLEN>(text, raw)) return std::nullopt;
  return from_wire(raw.s_addr);
}

// Not by inet_ntop, which prints by a format: the names of what changes are written several times a change.
std::string Ipv4Addr::to_string() const {
  std::string text;
  text.reserve(INET_ADDRSTRLEN - 1);
  for (int shift = 24; shift >= 0; shift -= 8) {
    std::array<char, 3> digits;
    const auto [end, error] = std::to_chars(digits.begin(), digits.end(), host() >> shift & 0xff);
    if (!text.empty()) text += '.';
    text.append(digits.data(), end);
  }
  return text;
}

std::optional<Ipv4Prefix> Ipv4Prefix::parse(std::string_view text) {
  return prefix_from_text<Ipv4Prefix, Ipv4Addr>(text, 32);
}

std::string Ipv4Prefix::to_string() const {
  return address_.to_string() + "/" + std::to_string(length_);
}

std::optional<Ipv6Addr> Ipv6Addr::parse(std::string_view text) {
  in6_addr raw{};
  if (!from_text<AF_INET6, INET6_ADDRSTRLEN>(text, raw)) return std::nullopt;
  return std::bit_cast<Ipv6Addr>(raw);
}

std::string Ipv6Addr::to_string() const {
  char buffer[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, words_.data(), buffer, sizeof buffer);
}

std::optional<Ipv6Prefix> Ipv6Prefix::parse(std::string_view text) {
  return prefix_from_text<Ipv6Prefix, Ipv6Addr>(text, 128);
}

std::string Ipv6Prefix::to_string() const {
  return address_.to_string() + "/" + std::to_string(length_);
}

std::optional<IpAddr> IpAddr::parse(std::string_view text) {
  if (const auto v4 = Ipv4Addr::parse(text)) return *v4;
  if (const auto v6 = Ipv6Addr::parse(text)) return *v6;
  return std::nullopt;
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  if (const auto v4 = Ipv4Prefix::parse(text)) return *v4;
  if (const auto v6 = Ipv6Prefix::parse(text)) return *v6;
  return std::nullopt;
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
