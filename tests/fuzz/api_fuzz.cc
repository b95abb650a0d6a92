// Calls of the API, their messages mutated field by field (libFuzzer), on a gateway's control side of their
// own for each input; then a restart. What must hold after each: api_world.h.
//
// With PORTCULLIS_FUZZ_JUDGES=1 the run ends badly if a method was never carried out, or never refused.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tests/fuzz/api_script.h"
#include "tests/fuzz/api_world.h"
#include "tests/fuzz/message_mutation.h"
#include "tests/support/eal.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace portcullis::fuzz {
namespace {

constexpr std::array<std::string_view, 51> words{
    "",
    "tenants/acme",
    "tenants/other",
    "tenants/-",
    "tenants/acme/vms/web",
    "tenants/acme/vms/db",
    "tenants/acme/vms/six",
    "tenants/other/vms/web",
    "tenants/acme/eips/203.0.113.1",
    "tenants/acme/eips/203.0.113.2",
    "tenants/other/eips/203.0.113.2",
    "tenants/other/eips/203.0.113.3",
    "tenants/acme/eips/2001:db8:1::1",
    "tenants/acme/eips/2001:db8:1::a",
    "pools/public",
    "pools/six",
    "pools/far",
    "pools/small",
    "203.0.113.0/29",
    "203.0.113.0/24",
    "198.18.0.0/23",
    "198.51.100.0/30",
    "192.0.2.0/24",
    "192.0.2.7",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "2001:db8:1::/64",
    "2001:db8:1::a",
    "2001:db8::/32",
    "10.0.0.2",
    "10.0.0.3",
    "203.0.113.1",
    "203.0.113.4",
    "198.51.100.7",
    "fd00::2",
    "vm0",
    "vm1",
    "wan",
    "ports/vm0",
    "02:00:00:00:00:01",
    "02:00:00:00:00:02",
    "web",
    "db",
    "any",
    "tcp",
    "udp",
    "sctp",
    "icmp",
    "icmpv6",
    "47",
};

Tally& tally() {
  static Tally all;
  return all;
}

void at_end() {
  const char* wanted = std::getenv("PORTCULLIS_FUZZ_JUDGES");
  const bool judges = wanted != nullptr && std::string_view(wanted) == "1";
  bool enough = true;
  for (const auto* method : methods()) {
    const Answers& answers = tally()[method->name()];
    std::printf("api: %-20s %8lu carried out %8lu refused\n", method->name().c_str(), answers.ok,
                answers.refused);
    enough = enough && answers.ok > 0 && answers.refused > 0;
  }
  if (judges && !enough) std::printf("api: a method was never carried out, or never refused\n");
  std::fflush(stdout);
  if (judges && !enough) _exit(1);
}

void change(Script& script, std::minstd_rand& random) {
  const auto any = [&](size_t count) { return static_cast<ptrdiff_t>(random() % count); };
  const auto mutate_request = [&](Call& call) { mutate(*call.request, words, random); };
  const auto what = random() % 16;
  if (what == 0 || script.empty()) {
    Call added = call_of(static_cast<Caller>(random() % callers), *methods()[random() % methods().size()]);
    for (int field = 0; field < 4; ++field) mutate_request(added);
    script.insert(script.begin() + any(script.size() + 1), std::move(added));
    return;
  }
  Call& chosen = script[static_cast<size_t>(any(script.size()))];
  if (what <= 2) {  // again, somewhere
    Call again = call_of(chosen.caller, *chosen.method);
    again.request->CopyFrom(*chosen.request);
    if (what == 1) mutate_request(again);
    script.insert(script.begin() + any(script.size() + 1), std::move(again));
  } else if (what == 3) {
    script.erase(script.begin() + any(script.size()));
  } else if (what == 4) {
    chosen.caller = static_cast<Caller>(random() % callers);
  } else {
    mutate_request(chosen);
  }
}

}  // namespace
}  // namespace portcullis::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  portcullis::testing::start_eal("256");
  spdlog::set_level(spdlog::level::off);  // who captures is said there
  (void)portcullis::fuzz::methods();      // end after what is called at the end
  (void)portcullis::fuzz::tally();
  std::atexit(portcullis::fuzz::at_end);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace portcullis::fuzz;
  ApiWorld world(tally());
  for (const Call& call : decode({reinterpret_cast<const char*>(data), size})) world.call(call);
  world.restart();
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  using namespace portcullis::fuzz;
  std::minstd_rand random(seed);
  if (random() % 64 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Script script = decode({reinterpret_cast<const char*>(data), size});
  for (unsigned changes = 0; changes <= random() % 4; ++changes) change(script, random);
  const std::string input = encode(script);
  const size_t length = std::min(input.size(), max_size);
  std::copy_n(input.begin(), length, data);
  return length;
}
