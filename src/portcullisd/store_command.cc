#include "src/portcullisd/store_command.h"

#include <cstdio>

#include "control/store/repair.h"

namespace portcullis {
namespace {

void print(const store::Condition& condition) {
  for (const std::string& clause : condition.damage) std::printf("damaged: %s\n", clause.c_str());
  if (condition.is_recoverable) {
    const auto& state = condition.state;
    std::printf(
        "whole: generation %llu: %zu pools, %zu vms, %zu EIPs, %zu addresses that rest; %llu answers\n",
        static_cast<unsigned long long>(state.generation), state.pools.size(), state.vms.size(),
        state.eips.size(), state.quarantine.size(), static_cast<unsigned long long>(condition.answers));
  }
  for (const std::string& clause : condition.lost) std::printf("lost: %s\n", clause.c_str());
}

}  // namespace

bool check_store(const std::string& path) {
  const auto condition = store::examine(path);
  if (!condition) {
    std::fprintf(stderr, "%s\n", condition.error().message.c_str());
    return false;
  }
  print(*condition);
  if (condition->damage.empty()) return true;
  if (condition->is_recoverable)
    std::printf("Restore a backup, or: portcullisd --repair-store %s%s\n", path.c_str(),
                condition->lost.empty() ? "" : " --accept-loss");
  else
    std::printf("Restore a backup, or move the store's files away to begin with an empty one.\n");
  return false;
}

bool repair_store(const std::string& path, bool accept_loss) {
  const auto repair = store::repair(path, accept_loss);
  if (!repair) {
    std::fprintf(stderr, "%s\n", repair.error().message.c_str());
    return false;
  }
  print(repair->condition);
  if (repair->kept.empty())
    std::printf("The store is whole, and was left as it is.\n");
  else
    std::printf("Repaired. The damaged store is kept as %s.\n", repair->kept.c_str());
  return true;
}

}  // namespace portcullis
