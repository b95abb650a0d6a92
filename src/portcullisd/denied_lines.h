// A thread that writes a line to the log for each denied packet that workers have copied for it.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/capture/denied_log.h"
#include "dataplane/tables/binding.h"

namespace portcullis {

class DeniedLines {
 public:
  // Writes from now on. `ports`: their names.
  DeniedLines(std::vector<DeniedLog*> logs, std::map<PortId, std::string> ports);
  // Ends the thread, all written.
  ~DeniedLines();
  DeniedLines(const DeniedLines&) = delete;
  DeniedLines& operator=(const DeniedLines&) = delete;

 private:
  void run();
  void write_all();

  const std::vector<DeniedLog*> logs_;  // of each worker
  const std::map<PortId, std::string> ports_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace portcullis
