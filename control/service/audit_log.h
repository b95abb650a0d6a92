// Who changed what: a line of JSON for each call that changes something, refused ones too, in a file that
// only grows. Thread: any.
//
// A line is written before the call is answered, and left to the kernel: kill -9 loses none, a power cut may
// lose the last ones (the store, which is synced, has their changes). When a line cannot be written it is
// kept, and ready() refuses until it could be, so that nothing is changed unseen. A file that was renamed or
// removed (logrotate) is noticed before the next line and made anew; no signal is needed.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/expected.h"

namespace portcullis::service {

struct AuditRecord {
  std::string who;          // "provider", "tenants/acme"; "unknown" when the certificate does not say
  std::string certificate;  // its subject; empty over the UNIX socket
  std::string peer;         // "unix:", "ipv4:192.0.2.7:40112"
  std::string call;         // "SetPermitList"
  std::string object;       // resource name, as the client gave it
  std::string_view status;  // "OK", "NOT_FOUND"
  std::string message;      // of a refusal
  uint64_t generation = 0;  // that the call was answered with; 0: refused
};

// A further object that a call has changed. What it views outlives append().
struct AuditedObject {
  std::string_view name;
  std::string_view change;  // v1::ObjectChange::Kind, "CREATED"
};

class AuditLog {
 public:
  // Makes its directory. failed_precondition when the file cannot be opened for appending.
  [[nodiscard]] static Expected<std::unique_ptr<AuditLog>> open(const std::string& path);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Whether a change may be carried out: all lines so far are in the file. unavailable if not.
  [[nodiscard]] Expected<void> ready();
  // A line for the call, and one for each further object that it changed; all in one write.
  void append(const AuditRecord& record, const std::vector<AuditedObject>& objects = {});

 private:
  explicit AuditLog(std::string path) : path_(std::move(path)) {}
  // The rest needs the mutex.
  [[nodiscard]] Expected<void> follow();
  [[nodiscard]] Expected<void> flush();
  [[nodiscard]] Error cannot(const char* what, int error) const;

  const std::string path_;
  std::mutex mutex_;
  int file_ = -1;
  std::string unwritten_;
};

}  // namespace portcullis::service
