#include "bench/control/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "src/net/address.h"

namespace portcullis::bench {
namespace {

constexpr size_t random_letters = 6;  // of mkdtemp

// Prefix length of a pool that holds so many EIPs from its first on, and the two addresses that no EIP has.
uint32_t prefix_length(uint32_t eips) {
  return 32 - static_cast<uint32_t>(std::bit_width(eips + 1));
}

uint32_t pages_of(uint32_t eips) {
  return eips == 0 ? 0 : std::max(1u, pool_addresses(eips) / 65536);
}

std::string pool(const char* name, uint32_t first, uint32_t eips, const char* more) {
  return std::string("pools { name: \"") + name + "\" prefix: \"" + Ipv4Addr::from_host(first).to_string() +
         "/" + std::to_string(prefix_length(eips)) + "\" " + more + "}\n";
}

std::string text_of(const GatewayConfig& config, const std::filesystem::path& directory) {
  const std::string in = config.capture.empty()
                             ? "net_null0,no-rx=1"
                             : "net_pcap0,rx_pcap=" + config.capture.string() + ",infinite_rx=1";
  const std::string eips = std::to_string(config.eips), name = directory.filename().string();
  std::ostringstream text;
  text << "eal { main_core: " << config.control_core << " file_prefix: \"" << name
       << "\" memory_mb: " << config.memory_mb << (config.no_huge ? " no_huge: true" : "") << " }\n"
       << "ports { name: \"uplink\" device: \"" << in
       << "\" role: UPLINK next_hop { mac: \"02:00:00:00:00:02\" } }\n"
       << "ports { name: \"vms\" device: \"net_null1,no-rx=1\" role: ENDPOINT }\n"
       << "workers { cores: " << config.worker_core << " }\n"
       << "gateway { addresses: \"198.51.100.1/24\" tap: \"bench" << name.substr(name.size() - random_letters)
       << "\" }\n"
       << pool("local", first_eip, config.eips, "")
       << (config.known == 0 ? "" : pool("known", first_known, config.known, "provider: true "))
       << "capacity { eips: " << eips << " vms: " << eips << " eips_per_tenant: " << eips
       << " ipv6_eips: 16 tag_sets: 16 flows: 65536 index_pages: "
       << pages_of(config.eips) + pages_of(config.known) << " }\n"
       << "api { socket: \"" << (directory / "api.sock").string() << "\" }\n"
       << "store { path: \"" << (directory / "state.db").string()
       << "\" compact_after: " << config.compact_after << " }\n";
  return text.str();
}

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// User and system time, of a line of /proc/PID/…/stat.
Seconds time_in(const std::string& stat) {
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  constexpr int before = 11;  // from the state on
  for (int n = 0; n < before; ++n) fields >> skipped;
  uint64_t user = 0, system = 0;
  fields >> user >> system;
  return Seconds(static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK)));
}

}  // namespace

uint32_t pool_addresses(uint32_t eips) {
  return eips == 0 ? 0 : 1u << (32 - prefix_length(eips));
}

GatewayProcess::GatewayProcess(std::filesystem::path program, const GatewayConfig& config)
    : program_(std::move(program)) {
  const char* parent = std::getenv("TMPDIR");
  std::string name = std::string(parent == nullptr ? "/tmp" : parent) + "/bench-control-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a directory " + name);
  directory_ = name;
  CPU_ZERO(&cpus_);
  CPU_SET(config.control_core, &cpus_);
  CPU_SET(config.worker_core, &cpus_);
  std::ofstream(directory_ / "portcullisd.txtpb") << text_of(config, directory_);
}

GatewayProcess::~GatewayProcess() {
  end(SIGTERM);  // which leaves nothing of it behind in the kernel's tables
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Seconds GatewayProcess::start() {
  std::array<int, 2> pipe_ends{};
  if (pipe(pipe_ends.data()) != 0) throw std::runtime_error("cannot make a pipe");
  const auto began = std::chrono::steady_clock::now();
  const std::string config = (directory_ / "portcullisd.txtpb").string();
  const std::string errors = (directory_ / "log").string();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sched_setaffinity(0, sizeof cpus_, &cpus_);
    setenv("RUNTIME_DIRECTORY", directory_.c_str(), 1);
    dup2(pipe_ends[1], STDOUT_FILENO);
    const int log = open(errors.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log >= 0) dup2(log, STDERR_FILENO);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    execl(program_.c_str(), program_.c_str(), "--config", config.c_str(), nullptr);
    _exit(127);
  }
  close(pipe_ends[1]);
  std::string said;
  std::array<char, 4096> buffer{};
  while (said.find("ready: ") == std::string::npos) {
    const ssize_t count = read(pipe_ends[0], buffer.data(), buffer.size());
    if (count <= 0) break;
    said.append(buffer.data(), static_cast<size_t>(count));
  }
  const Seconds taken = std::chrono::steady_clock::now() - began;
  close(pipe_ends[0]);
  if (said.find("ready: ") == std::string::npos)
    throw std::runtime_error("the gateway does not start:\n" + said + log());
  return taken;
}

void GatewayProcess::kill() {
  end(SIGKILL);
}

void GatewayProcess::end(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, signal);
  constexpr std::chrono::seconds patience{30};
  const auto latest = std::chrono::steady_clock::now() + patience;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > latest) ::kill(pid_, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  pid_ = -1;
}

std::string GatewayProcess::log() const {
  return read_file(directory_ / "log");
}

// Of all threads, also those that gRPC has ended, but the worker's: the one that never sleeps, the busiest.
Seconds GatewayProcess::cpu_time() const {
  const std::filesystem::path process = "/proc/" + std::to_string(pid_);
  Seconds most{};
  for (const auto& task : std::filesystem::directory_iterator(process / "task"))
    most = std::max(most, time_in(read_file(task.path() / "stat")));
  return time_in(read_file(process / "stat")) - most;
}

uint64_t GatewayProcess::resident_bytes() const {
  std::ifstream statm("/proc/" + std::to_string(pid_) + "/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t GatewayProcess::store_bytes() const {
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory_))
    if (file.path().filename().string().starts_with("state.db")) bytes += file.file_size();
  return bytes;
}

}  // namespace portcullis::bench
