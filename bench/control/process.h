// A portcullisd of the benchmark's own: its configuration, its start and end, what it uses.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

namespace portcullis::bench {

using Seconds = std::chrono::duration<double>;

struct GatewayConfig {
  uint32_t eips = 0;   // local ones that can be bound
  uint32_t known = 0;  // beside them, in a pool of the provider
  uint32_t control_core = 0;
  uint32_t worker_core = 1;
  uint32_t memory_mb = 0;
  bool no_huge = false;
  uint32_t compact_after = 0;     // change sets in the store's log; 0: as by default
  std::filesystem::path capture;  // what the uplink receives, again and again; empty: nothing
};

// The first local EIP; they follow each other, as do the private addresses. The pools lie apart.
inline constexpr uint32_t first_eip = 0x64400000;    // 100.64.0.0
inline constexpr uint32_t first_known = 0x0b000000;  // 11.0.0.0
inline constexpr uint32_t first_dip = 0x0a000000;    // 10.0.0.0

// Of a pool that is made for so many EIPs: a power of two, with the two that no EIP has. None for none.
[[nodiscard]] uint32_t pool_addresses(uint32_t eips);

// Throws std::runtime_error with what the gateway said.
class GatewayProcess {
 public:
  GatewayProcess(std::filesystem::path program, const GatewayConfig& config);
  ~GatewayProcess();  // ends it, and removes its directory
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  // From exec to "ready": the store is read, all of it is published, the receive side and the API are open.
  Seconds start();
  void kill();  // at once, as a crash

  [[nodiscard]] std::string target() const { return "unix:" + (directory_ / "api.sock").string(); }
  [[nodiscard]] Seconds cpu_time() const;  // of all its threads but the polling worker's
  [[nodiscard]] uint64_t resident_bytes() const;
  [[nodiscard]] uint64_t store_bytes() const;

 private:
  // Waits for its end; at last kills what a signal does not end.
  void end(int signal);
  [[nodiscard]] std::string log() const;
  std::filesystem::path program_;
  std::filesystem::path directory_;
  cpu_set_t cpus_{};
  pid_t pid_ = -1;
};

}  // namespace portcullis::bench
