#include "control/store/store_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "control/store/lock_file.h"
#include "control/store/reader.h"

namespace portcullis::store {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view sqlite_magic{"SQLite format 3\0", 16};
// Lies in a store's place while one file is exchanged for another. No SQLite file, so nothing takes it for an
// empty store.
constexpr std::string_view placeholder = "Portcullis: the repair of this store was interrupted.\n";

constexpr size_t header_size = 100;
constexpr uint16_t page_size = 4096;  // SQLite's default, which every store has
constexpr std::string_view first_table = "CREATE TABLE log (generation INTEGER PRIMARY KEY";

std::string first_bytes(const std::string& path, size_t count) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(count, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(count));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

uint64_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

Unexpected cannot(const std::string& what) {
  return fail(ErrorCode::unavailable, "cannot " + what + ": " + std::strerror(errno));
}

Expected<void> write_durably(const std::string& path, std::string_view bytes) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  const bool is_written = descriptor >= 0 &&
                          ::write(descriptor, bytes.data(), bytes.size()) == std::ssize(bytes) &&
                          ::fsync(descriptor) == 0;
  if (descriptor >= 0) ::close(descriptor);
  return is_written ? Expected<void>() : cannot("write " + path);
}

Expected<void> rename_durably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return cannot("rename " + from + " to " + to);
  return sync_directory(fs::path(to).parent_path());
}

void put_number(std::string& bytes, size_t offset, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) bytes[offset + i] = static_cast<char>(value >> (24 - 8 * i));
}

uint32_t number_at(const std::string& bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

std::string placeholder_name(const std::string& path) {
  return path + ".placeholder";
}

}  // namespace

std::string wal_of(const std::string& path) {
  return path + "-wal";
}

std::string repaired_name(const std::string& path) {
  return path + ".repaired";
}

Expected<void> check_file(const std::string& path) {
  const bool has_log = size_of(wal_of(path)) > 0;
  if (size_of(path) == 0) {
    if (!has_log) return {};
    return fail(ErrorCode::internal,
                "the store " + path + " is missing or empty, but its write-ahead log " + path +
                    "-wal is there; put the file back from where it was moved, or from a backup");
  }
  const std::string start = first_bytes(path, placeholder.size());
  if (start == placeholder)
    return fail(ErrorCode::failed_precondition, "the repair of the store " + path +
                                                    " was interrupted; 'portcullisd --repair-store " + path +
                                                    "' finishes it");
  if (!start.starts_with(sqlite_magic))
    return fail(
        ErrorCode::failed_precondition,
        path +
            " is not a Portcullis store (no SQLite file), or its first bytes are damaged; give another "
            "store path, see what 'portcullisd --check-store " +
            path + "' says, or restore a backup");
  return {};
}

bool is_replacement_pending(const std::string& path) {
  return first_bytes(path, placeholder.size()) == placeholder;
}

Expected<std::string> keep_and_replace(const std::string& path) {
  const std::string directory = fs::path(path).parent_path();
  // As readable as the old one was, and for whom.
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return cannot("look at " + path);
  if (::chmod(repaired_name(path).c_str(), status.st_mode & 07777) != 0 ||
      ::chown(repaired_name(path).c_str(), status.st_uid, status.st_gid) != 0)
    return cannot("give " + repaired_name(path) + " the mode and owner of " + path);
  std::error_code error;
  int number = 1;
  while (fs::exists(path + ".damaged-" + std::to_string(number), error)) ++number;
  const std::string kept = path + ".damaged-" + std::to_string(number);
  if (::link(path.c_str(), kept.c_str()) != 0) return cannot("keep " + path + " as " + kept);
  if (fs::exists(wal_of(path), error) && ::link(wal_of(path).c_str(), wal_of(kept).c_str()) != 0)
    return cannot("keep " + wal_of(path) + " as " + wal_of(kept));
  if (auto written = write_durably(placeholder_name(path), placeholder); !written)
    return Unexpected(written.error());
  if (auto synced = sync_directory(directory); !synced) return Unexpected(synced.error());
  if (auto renamed = rename_durably(placeholder_name(path), path); !renamed)
    return Unexpected(renamed.error());
  if (auto finished = finish_replacement(path); !finished) return Unexpected(finished.error());
  return kept;
}

// The old store's write-ahead log goes first: beside the new one it would be taken for its own.
Expected<void> finish_replacement(const std::string& path) {
  if (size_of(repaired_name(path)) == 0)
    return fail(ErrorCode::failed_precondition, "the repaired store " + repaired_name(path) +
                                                    " is gone; rename the damaged one that was kept, " +
                                                    path + ".damaged-N, to " + path +
                                                    ", its write-ahead log with it, and begin anew");
  if (::unlink(wal_of(path).c_str()) != 0 && errno != ENOENT) return cannot("remove " + wal_of(path));
  if (auto synced = sync_directory(fs::path(path).parent_path()); !synced) return synced;
  return rename_durably(repaired_name(path), path);
}

std::optional<std::string> mended_header(const std::string& path) {
  const std::string page = first_bytes(path, page_size);
  if (page.size() < page_size || page.find(first_table, header_size) == std::string::npos)
    return std::nullopt;
  // Change counter, schema cookie, versions of SQLite and ours stay; free pages are not read.
  std::string header = page.substr(0, header_size);
  header.replace(0, sqlite_magic.size(), sqlite_magic);
  header[16] = static_cast<char>(page_size >> 8);
  header[17] = static_cast<char>(page_size & 0xff);
  constexpr std::array<char, 6> fixed{2, 2, 0, 64, 32, 32};  // WAL twice, nothing reserved, payload fractions
  header.replace(18, fixed.size(), fixed.data(), fixed.size());
  put_number(header, 44, 4);  // schema format
  put_number(header, 52, 0);  // no auto-vacuum
  put_number(header, 56, 1);  // UTF-8
  put_number(header, 64, 0);
  put_number(header, 68, static_cast<uint32_t>(application_id));
  header.replace(72, 20, 20, '\0');
  // SQLite reads nothing of a file that is shorter than it says, unless the log says how long it is.
  const uint64_t pages = size_of(path) / page_size;
  if (size_of(wal_of(path)) == 0 && number_at(header, 28) > pages)
    put_number(header, 28, static_cast<uint32_t>(pages));
  if (header == page.substr(0, header_size)) return std::nullopt;
  return header;
}

}  // namespace portcullis::store
