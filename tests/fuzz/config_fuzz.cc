// Configurations, as text that is broken anywhere and as messages that say anything (libFuzzer). Each gives
// settings or mistakes, every one with a place inside the text. What is accepted is printed and read once
// more, and must give the same settings.
//
// With PORTCULLIS_FUZZ_JUDGES=1 the run ends badly if it has not accepted and refused enough to mean
// anything.
#include <google/protobuf/text_format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/config.pb.h"
#include "config/loader.h"
#include "tests/fuzz/config_seeds.h"
#include "tests/fuzz/message_mutation.h"
#include "tests/unit/config/pem.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace portcullis::fuzz {
namespace {

using google::protobuf::TextFormat;

constexpr std::array<std::string_view, 40> words{
    "",
    "uplink",
    "ep0",
    "ep1",
    "public",
    "web",
    "a-b",
    "-a",
    "net_null0",
    "net_null1",
    "net_af_packet0,iface=veth0",
    "0000:3b:00.0",
    "198.51.100.1",
    "198.51.100.2",
    "198.51.100.1/24",
    "203.0.113.0/24",
    "203.0.113.128/25",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "224.0.0.1",
    "2001:db8::1",
    "2001:db8::1/64",
    "2001:db8:1::/64",
    "2001:db8:1::/127",
    "::/0",
    "::ffff:1.2.3.4",
    "fe80::1",
    "02:00:00:00:00:01",
    "ff:ff:ff:ff:ff:ff",
    "tcp",
    "icmp",
    "sctp",
    "255",
    "any",
    "/run/api.sock",
    "relative",
    "192.0.2.1:8443",
    "[::]:8443",
    "/gw.pem",
    "/gw.key",
};

const config::Machine machine{{0, 1}, [](const std::string& path) -> std::optional<std::string> {
                                if (path == "/gw.pem") return config::certificate_pem;
                                if (path == "/gw.key") return config::key_pem;
                                return std::nullopt;
                              }};

struct Seen {
  uint64_t accepted = 0, refused = 0, unreadable = 0;
};
Seen seen;

void expect(bool holds, const char* what, const std::string& text) {
  if (holds) return;
  std::fprintf(stderr, "%s:\n%s\n", what, text.c_str());
  std::abort();
}

void check_places(const config::Mistakes& mistakes, const std::string& text) {
  const auto lines = static_cast<int>(std::ranges::count(text, '\n')) + 1;
  expect(!mistakes.empty(), "refused without a mistake", text);
  for (const config::Mistake& mistake : mistakes) {
    expect(mistake.line >= 1 && mistake.line <= lines && mistake.column >= 1, "a mistake outside the text",
           mistake.to_string() + "\n" + text);
    expect(!mistake.message.empty(), "a mistake without words", text);
  }
}

void load(const std::string& text) {
  const auto settings = config::parse("fuzz", text, machine);
  if (!settings) {
    check_places(settings.error(), text);
    config::Config message;
    TextFormat::Parser parser;
    ++(parser.ParseFromString(text, &message) ? seen.refused : seen.unreadable);
    return;
  }
  ++seen.accepted;
  config::Config message;
  expect(TextFormat::ParseFromString(text, &message), "accepted, but no text format", text);
  std::string printed;
  expect(TextFormat::PrintToString(message, &printed), "accepted, but cannot be printed", text);
  const auto again = config::parse("printed", printed, machine);
  expect(again.has_value(), "accepted, but not as it is printed", text + "\n" + printed);
  expect(*again == *settings, "other settings when printed", text + "\n" + printed);
}

void at_end() {
  std::printf("config: %lu accepted, %lu refused, %lu not read to their end\n", seen.accepted, seen.refused,
              seen.unreadable);
  std::fflush(stdout);
  const char* wanted = std::getenv("PORTCULLIS_FUZZ_JUDGES");
  if (wanted == nullptr || std::string_view(wanted) != "1") return;
  const uint64_t all = seen.accepted + seen.refused + seen.unreadable;
  const uint64_t few = all / 50;
  if (seen.accepted > few && seen.refused > few && seen.unreadable > 0) return;
  std::printf("config: too few of a kind\n");
  std::fflush(stdout);
  _exit(1);
}

}  // namespace
}  // namespace portcullis::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // the parser's own words
  std::atexit(portcullis::fuzz::at_end);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  portcullis::fuzz::load(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}

// Mostly a field of the configuration instead of the text; as often as not of one that was right.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  using namespace portcullis;
  std::minstd_rand random(seed);
  std::string text(reinterpret_cast<const char*>(data), size);
  if (random() % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  if (random() % 2 == 0) text = random() % 4 == 0 ? fuzz::least : fuzz::most;
  config::Config message;
  if (!google::protobuf::TextFormat::ParseFromString(text, &message))
    return LLVMFuzzerMutate(data, size, max_size);
  for (unsigned change = 0; change <= random() % 4; ++change) fuzz::mutate(message, fuzz::words, random);
  if (!google::protobuf::TextFormat::PrintToString(message, &text) || text.size() > max_size)
    return LLVMFuzzerMutate(data, size, max_size);
  std::ranges::copy(text, data);
  return text.size();
}
