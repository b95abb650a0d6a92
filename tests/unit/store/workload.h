// Change sets to store, what they make, and directories to store them in.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "control/store/sqlite_store.h"

namespace portcullis::store {

// A directory of the test's own, gone with the object.
class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] std::string path(const std::string& name = "state.db") const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// The change set of one generation: every kind of change in turn. Its record holds marker(generation) as it
// is. `rules`: length of the permit lists, to make records as large as wanted.
[[nodiscard]] model::ChangeSet change_set(model::Generation generation, size_t rules = 3);
[[nodiscard]] std::string marker(model::Generation generation);

// States after generations 0..last.
[[nodiscard]] std::vector<model::State> states(model::Generation last, size_t rules = 3);

// Opens and loads; a failure is a test failure and null.
[[nodiscard]] std::unique_ptr<SqliteStore> open_loaded(const std::string& path, model::State& state,
                                                       const std::string& vfs = {});

// All steps of a compaction, each of `most` objects.
[[nodiscard]] Expected<void> compact_all(Store& store, const model::State& state, size_t most = 5000);
// Appends what the store knows before for preserve().
[[nodiscard]] Expected<void> append_to(Store& store, const model::State& before,
                                       const model::ChangeSet& changes);
void append_all(Store& store, model::Generation first, model::Generation last);
// A closed store of `last` generations, compacted at `compacted` if that is not 0.
void make_store(const std::string& path, model::Generation last, model::Generation compacted = 0);
// Changes a closed store behind its back.
void tamper(const std::string& path, const std::string& sql);

[[nodiscard]] std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& content);

}  // namespace portcullis::store
