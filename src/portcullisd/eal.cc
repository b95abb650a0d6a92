#include "src/portcullisd/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace portcullis {
namespace {

spdlog::level::level_enum level_of(uint32_t dpdk_level) {
  if (dpdk_level <= RTE_LOG_ERR) return spdlog::level::err;
  if (dpdk_level == RTE_LOG_WARNING) return spdlog::level::warn;
  return dpdk_level <= RTE_LOG_INFO ? spdlog::level::debug : spdlog::level::trace;
}

// DPDK writes each message to a stdio stream; this is the other end of it.
ssize_t log_message(void*, const char* text, size_t size) {
  std::string_view message(text, size);
  while (message.ends_with('\n')) message.remove_suffix(1);
  if (!message.empty())
    spdlog::log(level_of(static_cast<uint32_t>(rte_log_cur_msg_loglevel())), "{}", message);
  return static_cast<ssize_t>(size);
}

void send_log_to_spdlog() {
  FILE* stream =
      fopencookie(nullptr, "w", {.read = nullptr, .write = log_message, .seek = nullptr, .close = nullptr});
  if (stream == nullptr) return;
  setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
  (void)rte_openlog_stream(stream);
}

std::string log_level() {
  if (spdlog::should_log(spdlog::level::trace)) return "debug";
  return spdlog::should_log(spdlog::level::debug) ? "info" : "warning";
}

bool is_pci(const std::string& device) {
  return device.substr(0, device.find(',')).find(':') != std::string::npos;
}

std::vector<std::string> arguments(const config::Settings& settings, uint32_t megabytes) {
  std::vector<std::string> list{"portcullisd", "--file-prefix=" + settings.eal.file_prefix,
                                "--log-level=" + log_level()};
  // lcore numbers are ours, so that cores beyond DPDK's highest lcore, and one core for all, will do.
  std::string lcores = "--lcores=0@" + std::to_string(settings.eal.main_core);
  for (uint32_t i = 0; i < settings.workers.cores.size(); ++i)
    lcores += "," + std::to_string(Eal::worker_lcore(i)) + "@" + std::to_string(settings.workers.cores[i]);
  list.push_back(lcores);
  // Without hugepages nothing is shared, so nothing need be left in the file system.
  if (settings.eal.no_huge) list.insert(list.end(), {"--no-huge", "--no-shconf", "--no-telemetry"});
  if (settings.eal.no_huge || settings.eal.memory_mb != 0)
    list.insert(list.end(),
                {"-m", std::to_string(settings.eal.memory_mb != 0 ? settings.eal.memory_mb : megabytes)});
  // Other devices of the machine are not ours to touch. vdevs are probed one by one, with an error each.
  bool has_pci = false;
  for (const auto& port : settings.ports) {
    if (!is_pci(port.device)) continue;
    has_pci = true;
    list.insert(list.end(), {"-a", port.device});
  }
  if (!has_pci) list.push_back("--no-pci");
  return list;
}

}  // namespace

Expected<std::unique_ptr<Eal>> Eal::start(const config::Settings& settings, uint32_t megabytes) {
  send_log_to_spdlog();
  std::vector<std::string> list = arguments(settings, megabytes);
  std::vector<char*> argv;
  argv.reserve(list.size());
  for (std::string& argument : list) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
    return fail(
        ErrorCode::failed_precondition,
        std::string("DPDK does not start: ") + rte_strerror(rte_errno) +
            (settings.eal.no_huge ? "; see its messages above"
                                  : "; see its messages above, and check that hugepages are reserved, or set "
                                    "eal.no_huge for a laboratory"));
  return std::unique_ptr<Eal>(new Eal);
}

Eal::~Eal() {
  const std::string directory = rte_eal_get_runtime_dir();
  (void)rte_eal_cleanup();
  (void)rmdir(directory.c_str());  // if DPDK left nothing in it
}

}  // namespace portcullis
