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
#include "src/portcullisd/store_command.h"

namespace {

using namespace portcullis;

constexpr int exit_ok = 0;
constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

const std::map<std::string, spdlog::level::level_enum> log_levels{
    {"trace", spdlog::level::trace},  {"debug", spdlog::level::debug}, {"info", spdlog::level::info},
    {"warning", spdlog::level::warn}, {"error", spdlog::level::err},
};

constexpr const char* examples =
    "\nExamples:\n"
    "  portcullisd --config /etc/portcullis/portcullisd.txtpb --check-config\n"
    "  portcullisd --config /etc/portcullis/portcullisd.txtpb\n"
    "  portcullisd --check-store /var/lib/portcullis/state.db\n"
    "  portcullisd --repair-store /var/lib/portcullis/state.db --accept-loss\n";

struct Options {
  std::string config;
  bool check_config = false;
  std::string check_store;   // empty: not that
  std::string repair_store;  // empty: not that
  bool accept_loss = false;
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
  auto* what = app.add_option_group("what to do")->require_option(1);
  auto* config = what->add_option("--config", options.config,
                                  "start-up configuration, Protobuf text format (config.proto)")
                     ->option_text("FILE");
  what->add_option("--check-store", options.check_store,
                   "only say what of a store is damaged and would be lost; no gateway may run with it")
      ->option_text("FILE");
  auto* repair =
      what->add_option("--repair-store", options.repair_store,
                       "only make a store of what is left of a damaged one, which is kept beside it")
          ->option_text("FILE");
  app.add_flag("--accept-loss", options.accept_loss,
               "repair, though changes that were acknowledged or answers to requests are lost")
      ->needs(repair);
  app.add_flag("--check-config", options.check_config, "only say whether the configuration is right")
      ->needs(config);
  app.footer(examples);
  app.add_option("--log-level", options.log_level, "trace, debug, info (default), warning or error")
      ->transform(CLI::CheckedTransformer(log_levels))
      ->option_text("LEVEL");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_ok : exit_usage;
  }
  if (!options.check_store.empty()) return check_store(options.check_store) ? exit_ok : exit_failed;
  if (!options.repair_store.empty())
    return repair_store(options.repair_store, options.accept_loss) ? exit_ok : exit_failed;
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
