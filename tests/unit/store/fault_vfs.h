// An SQLite VFS for tests: passes everything on to the real file layer, keeps a trace of what a disk would be
// told, and makes operations fail or syncs go missing on request. From the trace, the files as a power cut
// would have left them are built anew: what was synced is there, of the rest whatever the test says.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace portcullis::store {

// What the disk was told, in order. `file` is the name without the directory.
struct DiskOperation {
  enum class Kind : uint8_t { create, write, truncate, sync, remove, acknowledge };
  Kind kind = Kind::write;
  std::string file;
  uint64_t offset = 0;      // write: where; truncate: the new size; acknowledge: what the test says
  std::string bytes;        // write
  bool is_durable = false;  // remove: the directory was synced with it
};
using DiskTrace = std::vector<DiskOperation>;

// File name -> content.
using Disk = std::map<std::string, std::string>;

// How much of an unsynced operation survives: 0 none of it, 1 all, between: a write's first part, cut at a
// sector.
using Survival = std::function<double(size_t unsynced_index)>;

// The files after a power cut just before operation `cut`.
[[nodiscard]] Disk after_power_cut(const DiskTrace& trace, size_t cut, const Survival& survival);
// Operations before `cut` that no sync covers.
[[nodiscard]] std::vector<size_t> unsynced(const DiskTrace& trace, size_t cut);

class FaultVfs {
 public:
  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const DiskTrace& trace() const { return trace_; }
  void acknowledge(uint64_t what);

  // Syncs of files that `which` accepts report success and do nothing, as with synchronous=OFF or a disk that
  // lies. Null: none.
  void drop_syncs(std::function<bool(const std::string& file)> which) { is_sync_dropped_ = std::move(which); }

  // The operation (write, truncate or sync) after `skip` further ones, and `count` in all, fail with
  // `result`.
  void fail_after(uint64_t skip, uint64_t count, int result);
  void stop_failing() { fail_count_ = 0; }
  [[nodiscard]] uint64_t failures() const { return failures_; }

 private:
  struct File;
  struct Methods;
  friend struct Methods;
  // The code of an injected failure, or SQLITE_OK; counts down.
  [[nodiscard]] int fault();

  std::string name_;
  sqlite3_vfs vfs_{};
  sqlite3_vfs* real_;
  DiskTrace trace_;
  std::function<bool(const std::string&)> is_sync_dropped_;
  uint64_t fail_skip_ = 0;
  uint64_t fail_count_ = 0;
  int fail_result_ = SQLITE_OK;
  uint64_t failures_ = 0;
};

}  // namespace portcullis::store
