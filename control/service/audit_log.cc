#include "control/service/audit_log.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

namespace portcullis::service {
namespace {

constexpr mode_t mode = 0640;
// Of a name or message in a line: a client may have sent megabytes.
constexpr size_t longest_text = 512;

// RFC 3339, in UTC, to the millisecond.
std::string now_text() {
  using std::chrono::system_clock, std::chrono::milliseconds;
  const auto now = std::chrono::floor<milliseconds>(system_clock::now());
  const std::time_t seconds = system_clock::to_time_t(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  const auto fraction = now.time_since_epoch() % std::chrono::seconds(1);
  const std::string digits = std::to_string(1000 + fraction.count());
  return std::string(text, length) + "." + digits.substr(1) + "Z";
}

std::string text_of(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// Whether it is written in JSON as it is, as names of objects are: nothing in it is escaped.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

// One for the call and one for each object. They differ in the object alone: a batch has thousands.
std::string lines_of(const AuditRecord& record, const std::vector<AuditedObject>& objects) {
  nlohmann::ordered_json head{{"time", now_text()}, {"who", record.who}};
  if (!record.certificate.empty()) head["certificate"] = record.certificate.substr(0, longest_text);
  head["peer"] = record.peer;
  head["call"] = record.call;
  nlohmann::ordered_json tail{{"status", record.status}};
  if (!record.message.empty()) tail["message"] = record.message.substr(0, longest_text);
  if (record.generation != 0) tail["generation"] = record.generation;

  std::string before = text_of(head), after = text_of(tail);
  before.back() = ',';
  after.front() = ',';
  before += "\"object\":";
  after += '\n';
  std::string lines;
  constexpr size_t usual_name = 48;
  lines.reserve((objects.size() + 1) * (before.size() + usual_name + after.size()));
  const auto add = [&](std::string_view object, std::string_view change) {
    lines += before;
    if (object.size() <= longest_text && is_plain(object))
      lines.append("\"").append(object).append("\"");
    else
      lines += text_of(std::string(object.substr(0, longest_text)));
    if (!change.empty()) lines.append(",\"change\":\"").append(change).append("\"");
    lines += after;
  };
  add(record.object, {});
  for (const AuditedObject& object : objects) add(object.name, object.change);
  return lines;
}

}  // namespace

Expected<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& path) {
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!directory.empty()) std::filesystem::create_directories(directory, error);
  if (error)
    return fail(ErrorCode::failed_precondition,
                "cannot make directory " + directory.string() + ": " + error.message(), "api.audit_log");
  std::unique_ptr<AuditLog> log(new AuditLog(path));
  if (auto opened = log->follow(); !opened) {
    opened.error().code = ErrorCode::failed_precondition;
    return Unexpected(std::move(opened.error()));
  }
  return log;
}

AuditLog::~AuditLog() {
  if (file_ >= 0) close(file_);
}

Expected<void> AuditLog::ready() {
  const std::scoped_lock lock(mutex_);
  if (auto followed = follow(); !followed) return followed;
  return flush();
}

void AuditLog::append(const AuditRecord& record, const std::vector<AuditedObject>& objects) {
  const std::string lines = lines_of(record, objects);
  const std::scoped_lock lock(mutex_);
  unwritten_ += lines;
  if (const auto flushed = flush(); !flushed) spdlog::error("{}", flushed.error().message);
}

// Sees to it that the open file is the one at the path.
Expected<void> AuditLog::follow() {
  struct stat at_path {};
  struct stat opened {};
  if (file_ >= 0 && fstat(file_, &opened) == 0 && stat(path_.c_str(), &at_path) == 0 &&
      opened.st_dev == at_path.st_dev && opened.st_ino == at_path.st_ino)
    return {};
  const int file = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode);
  if (file < 0) return Unexpected(cannot("opened", errno));
  if (file_ >= 0) close(file_);
  file_ = file;
  return {};
}

Expected<void> AuditLog::flush() {
  while (!unwritten_.empty()) {
    const ssize_t written = write(file_, unwritten_.data(), unwritten_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Unexpected(cannot("written", errno));
    unwritten_.erase(0, static_cast<size_t>(written));
  }
  return {};
}

Error AuditLog::cannot(const char* what, int error) const {
  return {error == ENOSPC || error == EDQUOT ? ErrorCode::resource_exhausted : ErrorCode::unavailable,
          "the audit log " + path_ + " cannot be " + what + ": " + std::strerror(error) +
              "; nothing is changed until it can be",
          {},
          {}};
}

}  // namespace portcullis::service
