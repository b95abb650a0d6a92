#include <sched.h>

#include <fstream>
#include <iterator>

#include "config/loader.h"

namespace portcullis::config {

Machine Machine::local() {
  Machine machine;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    for (uint32_t core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(core, &allowed)) machine.cores.push_back(core);
  machine.read_file = contents;
  return machine;
}

std::optional<std::string> Machine::contents(const std::string& path) {
  std::ifstream file(path);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) return std::nullopt;
  return text;
}

}  // namespace portcullis::config
