// Whole frames, fuzzed and mutated, through a populated gateway and the reference beside it (libFuzzer). One
// gateway for the whole run: between two inputs so much time passes that nothing is left of the first. The
// run ends badly when the two differ or a sanitizer speaks up; and at its end when a buffer was lost.
//
// With PORTCULLIS_FUZZ_JUDGES=1 also when the inputs have shown too little: fewer than a fifth of their
// frames passed, or a stage that can refuse has refused none, or neither worker has handed over to the other.
// That is for a corpus (-runs=0), not for what is tried.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/drop.h"
#include "tests/fuzz/town.h"
#include "tests/model/frames_link.h"
#include "tests/support/eal.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace portcullis::fuzz {
namespace {

using reference::Arrival;

constexpr size_t burst = 64;

testing::World& world() {
  static const std::unique_ptr<testing::World> town = [] {
    auto made = make_town();
    made->compare_counts_each_turn(false);
    return made;
  }();
  return *town;
}

void check() {
  if (world().differences().empty()) return;
  std::fprintf(stderr, "%s\n", world().report().c_str());
  std::abort();
}

// The exit status that the run has earned.
int judge(const reference::Counts& counts) {
  uint64_t received = 0, transmitted = 0;
  for (const reference::PortCount& port : counts.ports) {
    received += port.received_packets;
    transmitted += port.transmitted_packets;
  }
  const uint64_t handed_over =
      world().gateway().total([](const WorkerCounters& counters) { return counters.handed_over.get(); });
  std::printf("frames: %lu received, %lu transmitted, %lu handed over\n", received, transmitted, handed_over);
  for (const auto& [reason, count] : counts.dropped)
    std::printf("frames: %-26s %lu\n", reason.c_str(), count);
  const char* wanted = std::getenv("PORTCULLIS_FUZZ_JUDGES");
  if (wanted == nullptr || std::string_view(wanted) != "1") return 0;
  const bool enough = transmitted * 5 >= received;
  if (!enough) std::printf("frames: fewer than a fifth passed\n");
  std::set<std::string_view> silent, heard;
  for (const DropInfo& info : drop_registry)
    (counts.dropped.contains(std::string(info.name)) ? heard : silent).insert(info.stage);
  for (const std::string_view stage : heard) silent.erase(stage);
  for (const char* stage : {"hand_over", "transmit"}) silent.erase(stage);  // their queues take all
  for (const std::string_view stage : silent)
    std::printf("frames: stage %s has refused nothing\n", std::string(stage).c_str());
  return enough && silent.empty() && handed_over != 0 ? 0 : 1;
}

void at_end() {
  const int status = judge(world().reference().counts());
  world().finish();
  check();
  std::fflush(stdout);
  if (status != 0) _exit(status);
}

void play(const Script& script) {
  constexpr uint64_t longer_than_any_flow = 8'000'000;
  std::vector<std::vector<Arrival>> arrivals(ports);
  const auto poll = [&] {
    world().poll(std::exchange(arrivals, std::vector<std::vector<Arrival>>(ports)));
    check();
  };
  const auto pass = [](uint64_t milliseconds) {
    world().advance(milliseconds);
    world().age_all();
  };
  for (const Step& step : script) {
    if (const auto* pause = std::get_if<Pause>(&step)) {
      poll();
      pass(pause->milliseconds);
      continue;
    }
    const auto& frame = std::get<Frame>(step);
    if (frame.bytes.empty()) continue;
    arrivals[frame.port].push_back({frame.bytes});
    if (frame.polled || arrivals[frame.port].size() == burst) poll();
  }
  poll();
  world().compare_counts();
  check();
  pass(longer_than_any_flow);
}

void mend_ipv6(Bytes& bytes, std::minstd_rand& random) {
  const size_t payload = bytes.size() - testing::transport6_at;
  if (random() % 16 != 0) bytes[testing::ip_at] = 0x60;
  if (random() % 16 != 0) testing::put16(bytes, testing::ip_at + 4, static_cast<uint16_t>(payload));
  const bool is_icmp = bytes[testing::ip_at + 6] == testing::icmpv6 && payload >= 8;
  const bool is_whole = testing::get16(bytes, testing::ip_at + 4) == payload;
  if (is_icmp && is_whole && random() % 16 != 0) testing::fix_icmpv6_checksum(bytes);
}

// What frames mostly need to be looked at at all.
void mend(Bytes& bytes, const Mac& mac, std::minstd_rand& random) {
  if (bytes.size() < testing::transport_at) return;
  if (random() % 16 != 0) std::copy(mac.bytes.begin(), mac.bytes.end(), bytes.begin());
  if (bytes[12] == 0x08 && bytes[13] == 0x06) return;
  const bool was_ipv6 = testing::is_ipv6(bytes);
  if (random() % 16 != 0) testing::put16(bytes, 12, was_ipv6 ? 0x86dd : 0x0800);
  if (testing::is_ipv6(bytes)) return mend_ipv6(bytes, random);
  if (!testing::is_ipv4(bytes)) return;
  if (random() % 16 != 0) bytes[testing::ip_at] = 0x45;
  if (random() % 16 != 0)
    testing::put16(bytes, testing::ip_at + 2, static_cast<uint16_t>(bytes.size() - testing::ip_at));
  if (random() % 16 != 0) testing::fix_header_checksum(bytes);
}

// The same of what is behind tags or in a tunnel, and then of what is outside.
void mend_by_link(Bytes& bytes, const Mac& mac, std::minstd_rand& random) {
  const bool is_tunnel = testing::is_tunnel_packet(bytes);
  auto [link, inner] = testing::unlinked(bytes);
  const bool is_tagged = std::holds_alternative<VlanTags>(link);
  const auto inner_at = static_cast<long>(bytes.size() - inner.size());
  mend(inner, mac, random);
  std::copy(inner.begin(), inner.end(), bytes.begin() + inner_at);
  // Before tags lie the inner frame's MACs.
  if (is_tagged) std::copy_n(inner.begin(), testing::tag_at, bytes.begin());
  if (is_tunnel && random() % 16 != 0) testing::fix_outer(bytes);
}

}  // namespace
}  // namespace portcullis::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  portcullis::testing::start_eal("256");
  portcullis::fuzz::world();  // ends after what is called at the end
  std::atexit(portcullis::fuzz::at_end);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  portcullis::fuzz::play(portcullis::fuzz::decode({data, size}));
  return 0;
}

// Mostly one frame of the input instead of the input as a whole, and mended; or a step again, elsewhere.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  using namespace portcullis::fuzz;
  std::minstd_rand random(seed);
  Script script = decode({data, size});
  if (script.empty() || random() % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Step& step = script[random() % script.size()];
  auto* frame = std::get_if<Frame>(&step);
  if (frame == nullptr || random() % 8 == 0) {
    const Step again = step;
    script.insert(script.begin() + static_cast<long>(random() % script.size()), again);
  } else {
    Bytes& bytes = frame->bytes;
    const size_t before = bytes.size();
    const size_t room = std::max<size_t>(before + 64, 128);
    bytes.resize(room);
    bytes.resize(LLVMFuzzerMutate(bytes.data(), before, room));
    mend_by_link(bytes, port_mac(frame->port), random);
  }
  const Bytes input = encode(script);
  const size_t length = std::min(input.size(), max_size);
  std::copy_n(input.begin(), length, data);
  return length;
}
