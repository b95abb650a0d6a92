// portcullisd: reads its configuration, starts the gateway, waits for a signal.
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>

#include "config/loader.h"
#include "src/portcullisd/gateway.h"
#include "src/portcullisd/notify.h"

namespace {

using namespace portcullis;

constexpr int exit_ok = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

const std::map<std::string, spdlog::level::level_enum> log_levels{
    {"trace", spdlog::level::trace},  {"debug", spdlog::level::debug}, {"info", spdlog::level::info},
    {"warning", spdlog::level::warn}, {"error", spdlog::level::err},
};

struct Options {
  std::string config;
  bool check_config = false;
  spdlog::level::level_enum log_level = spdlog::level::info;
};

int serve(const config::Settings& settings) {
  // Blocked before any thread exists, so that none but this one is interrupted.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  auto gateway = Gateway::start(settings);
  if (!gateway) {
    spdlog::error("{}", gateway.error().message);
    return exit_failed;
  }
  std::printf("ready: api=%s%s%s\n", settings.api.socket.c_str(), settings.api.tls ? " tls=" : "",
              settings.api.tls ? settings.api.tls->listen.c_str() : "");
  std::fflush(stdout);
  notify_service_manager("READY=1");

  int number = 0;
  sigwait(&signals, &number);
  spdlog::info("stopping on {}", number == SIGINT ? "SIGINT" : "SIGTERM");
  notify_service_manager("STOPPING=1");
  gateway->reset();
  return exit_ok;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): only for want of memory, and then nothing else is left to do.
int main(int argc, char** argv) {
  Options options;
  CLI::App app("The Portcullis gateway.", "portcullisd");
  app.set_version_flag("--version", "portcullisd " PORTCULLIS_VERSION);
  app.add_option("--config", options.config, "start-up configuration, Protobuf text format (config.proto)")
      ->required()
      ->option_text("FILE");
  app.add_flag("--check-config", options.check_config, "only say whether the configuration is right");
  app.add_option("--log-level", options.log_level, "trace, debug, info (default), warning or error")
      ->transform(CLI::CheckedTransformer(log_levels))
      ->option_text("LEVEL");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("portcullisd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_level(options.log_level);

  const auto settings = config::load(options.config, config::Machine::local());
  if (!settings) {
    for (const config::Mistake& mistake : settings.error())
      std::fprintf(stderr, "%s\n", mistake.to_string().c_str());
    return exit_failed;
  }
  if (options.check_config) {
    std::printf("%s is valid\n", options.config.c_str());
    return exit_ok;
  }
  return serve(*settings);
}
