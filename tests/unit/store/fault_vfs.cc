#include "tests/unit/store/fault_vfs.h"

#include <algorithm>
#include <filesystem>
#include <new>
#include <set>

namespace portcullis::store {

namespace {

using Kind = DiskOperation::Kind;

constexpr size_t sector = 512;

std::string file_name(const char* path) {
  return path == nullptr ? "" : std::filesystem::path(path).filename();
}

void carry_out(const DiskOperation& operation, double share, Disk& disk) {
  switch (operation.kind) {
    case Kind::create:
      disk[operation.file];
      return;
    case Kind::remove:
      disk.erase(operation.file);
      return;
    case Kind::truncate:
      if (const auto file = disk.find(operation.file); file != disk.end())
        file->second.resize(operation.offset);
      return;
    case Kind::write: {
      const auto file = disk.find(operation.file);
      if (file == disk.end()) return;  // its name did not survive
      size_t length = operation.bytes.size();
      if (share < 1) length = static_cast<size_t>(static_cast<double>(length) * share) / sector * sector;
      if (length == 0) return;
      if (file->second.size() < operation.offset + length) file->second.resize(operation.offset + length);
      file->second.replace(operation.offset, length, operation.bytes, 0, length);
      return;
    }
    case Kind::sync:
    case Kind::acknowledge:
      return;
  }
}

}  // namespace

std::vector<size_t> unsynced(const DiskTrace& trace, size_t cut) {
  std::vector<size_t> open;
  std::set<std::string> synced;  // seen from the end: files with a later sync
  bool is_directory_synced = false;
  for (size_t i = cut; i-- > 0;) {
    const DiskOperation& operation = trace[i];
    switch (operation.kind) {
      case Kind::sync:
        synced.insert(operation.file);
        // A journal's first sync syncs the directory, too (os_unix.c, UNIXFILE_DIRSYNC).
        is_directory_synced = true;
        break;
      case Kind::create:
        if (!is_directory_synced) open.push_back(i);
        synced.erase(operation.file);  // what came before belongs to an older file of this name
        break;
      case Kind::remove:
        if (operation.is_durable) is_directory_synced = true;
        if (!is_directory_synced) open.push_back(i);
        break;
      case Kind::write:
      case Kind::truncate:
        if (!synced.contains(operation.file)) open.push_back(i);
        break;
      case Kind::acknowledge:
        break;
    }
  }
  std::reverse(open.begin(), open.end());
  return open;
}

Disk after_power_cut(const DiskTrace& trace, size_t cut, const Survival& survival) {
  const std::vector<size_t> open = unsynced(trace, cut);
  Disk disk;
  for (size_t i = 0, next_open = 0; i < cut; ++i) {
    double share = 1;
    if (next_open < open.size() && open[next_open] == i) share = survival(next_open++);
    const bool is_whole = trace[i].kind == Kind::write || share >= 1;
    if (share > 0 && is_whole) carry_out(trace[i], share, disk);
  }
  return disk;
}

// SQLite allocates szOsFile bytes for us: this, then the real file.
struct FaultVfs::File {
  sqlite3_file base;
  FaultVfs* owner;
  std::string* name;
  [[nodiscard]] sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

struct FaultVfs::Methods {
  static File& file(sqlite3_file* base) { return *reinterpret_cast<File*>(base); }
  static FaultVfs& self(sqlite3_vfs* vfs) { return *static_cast<FaultVfs*>(vfs->pAppData); }

  static int close(sqlite3_file* base) {
    File& f = file(base);
    const int result = f.real()->pMethods->xClose(f.real());
    delete f.name;
    return result;
  }
  static int read(sqlite3_file* base, void* out, int amount, sqlite3_int64 offset) {
    return file(base).real()->pMethods->xRead(file(base).real(), out, amount, offset);
  }
  static int write(sqlite3_file* base, const void* bytes, int amount, sqlite3_int64 offset) {
    File& f = file(base);
    if (const int result = f.owner->fault(); result != SQLITE_OK) return result;
    const int result = f.real()->pMethods->xWrite(f.real(), bytes, amount, offset);
    f.owner->trace_.push_back({Kind::write, *f.name, static_cast<uint64_t>(offset),
                               std::string(static_cast<const char*>(bytes), static_cast<size_t>(amount))});
    return result;
  }
  static int truncate(sqlite3_file* base, sqlite3_int64 size) {
    File& f = file(base);
    if (const int result = f.owner->fault(); result != SQLITE_OK) return result;
    f.owner->trace_.push_back({Kind::truncate, *f.name, static_cast<uint64_t>(size), {}});
    return f.real()->pMethods->xTruncate(f.real(), size);
  }
  static int sync(sqlite3_file* base, int flags) {
    File& f = file(base);
    if (const int result = f.owner->fault(); result != SQLITE_OK) return result;
    if (f.owner->is_sync_dropped_ && f.owner->is_sync_dropped_(*f.name)) return SQLITE_OK;
    const int result = f.real()->pMethods->xSync(f.real(), flags);
    f.owner->trace_.push_back({Kind::sync, *f.name, 0, {}});
    return result;
  }
  static int file_size(sqlite3_file* base, sqlite3_int64* size) {
    return file(base).real()->pMethods->xFileSize(file(base).real(), size);
  }
  static int lock(sqlite3_file* base, int level) {
    return file(base).real()->pMethods->xLock(file(base).real(), level);
  }
  static int unlock(sqlite3_file* base, int level) {
    return file(base).real()->pMethods->xUnlock(file(base).real(), level);
  }
  static int check_reserved_lock(sqlite3_file* base, int* out) {
    return file(base).real()->pMethods->xCheckReservedLock(file(base).real(), out);
  }
  static int file_control(sqlite3_file* base, int operation, void* argument) {
    return file(base).real()->pMethods->xFileControl(file(base).real(), operation, argument);
  }
  static int sector_size(sqlite3_file* base) {
    return file(base).real()->pMethods->xSectorSize(file(base).real());
  }
  static int device_characteristics(sqlite3_file* base) {
    return file(base).real()->pMethods->xDeviceCharacteristics(file(base).real());
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* base, int flags, int* out_flags) {
    // Version 1: no shared memory, no mapped reads, so nothing goes round the trace.
    static constexpr sqlite3_io_methods methods{1,
                                                close,
                                                read,
                                                write,
                                                truncate,
                                                sync,
                                                file_size,
                                                lock,
                                                unlock,
                                                check_reserved_lock,
                                                file_control,
                                                sector_size,
                                                device_characteristics};
    FaultVfs& vfs_self = self(vfs);
    auto* f = new (base) File{};
    int existed = 1;
    if (path != nullptr) vfs_self.real_->xAccess(vfs_self.real_, path, SQLITE_ACCESS_EXISTS, &existed);
    const int result = vfs_self.real_->xOpen(vfs_self.real_, path, f->real(), flags, out_flags);
    if (result != SQLITE_OK) return result;
    f->base.pMethods = &methods;
    f->owner = &vfs_self;
    f->name = new std::string(file_name(path));
    if (existed == 0) vfs_self.trace_.push_back({Kind::create, *f->name, 0, {}});
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync_directory) {
    FaultVfs& vfs_self = self(vfs);
    const int result = vfs_self.real_->xDelete(vfs_self.real_, path, sync_directory);
    if (result == SQLITE_OK) {
      vfs_self.trace_.push_back({Kind::remove, file_name(path), 0, {}, sync_directory != 0});
    }
    return result;
  }
};

FaultVfs::FaultVfs() : real_(sqlite3_vfs_find(nullptr)) {
  static int count = 0;
  name_ = "fault-" + std::to_string(++count);
  vfs_ = *real_;  // what is not overridden is the real one's
  vfs_.iVersion = 1;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = Methods::open;
  vfs_.xDelete = Methods::remove;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

void FaultVfs::acknowledge(uint64_t what) {
  trace_.push_back({Kind::acknowledge, {}, what, {}});
}

void FaultVfs::fail_after(uint64_t skip, uint64_t count, int result) {
  fail_skip_ = skip;
  fail_count_ = count;
  fail_result_ = result;
  failures_ = 0;
}

int FaultVfs::fault() {
  if (fail_count_ == 0) return SQLITE_OK;
  if (fail_skip_ > 0) {
    --fail_skip_;
    return SQLITE_OK;
  }
  --fail_count_;
  ++failures_;
  return fail_result_;
}

}  // namespace portcullis::store
