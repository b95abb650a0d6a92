// "Durable when it is acknowledged", on a disk that forgets what was not synced: a page cache would forgive.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <deque>
#include <optional>
#include <random>
#include <thread>
#include <unordered_set>

#include "tests/unit/store/fault_vfs.h"
#include "tests/unit/store/workload.h"

namespace portcullis::store {
namespace {

using Kind = DiskOperation::Kind;

struct Workload {
  model::Generation last = 12;
  size_t rules = 3;
  model::Generation compact_at = 4;   // from then on compacted step by step between the appends; 0: never
  size_t compaction_step = 5;         // objects and rules
  model::Generation restart_at = 10;  // closed and opened again before this generation; 0: never
  model::Generation together = 1;     // change sets that are appended at once
};

// Each change set is stored with a request, whose answer is as durable as it.
AnsweredRequest request_of(model::Generation generation) {
  return {"provider", std::to_string(generation), generation, 1000, marker(generation)};
}

// The change sets of some generations at once, each with a request.
Expected<void> append_group(Store& store, const std::vector<model::State>& expected, model::Generation first,
                            model::Generation last, size_t rules) {
  std::deque<model::ChangeSet> changes;
  std::deque<AnsweredRequest> requests;
  std::vector<Entry> entries;
  for (model::Generation generation = first; generation <= last; ++generation) {
    changes.push_back(change_set(generation, rules));
    requests.push_back(request_of(generation));
    entries.push_back({&changes.back(), &requests.back()});
    std::vector<model::Change> back;
    for (const model::Change& change : changes.back().changes)
      back.push_back(model::inverse(expected[generation - 1], change));
    store.preserve(back);
  }
  return store.append(entries);
}

// Opens a new store, appends, compacts and restarts, with an acknowledgement in the trace after every append.
void run(const Workload& workload, FaultVfs& vfs) {
  const ScratchDirectory directory;
  const auto expected = states(workload.last, workload.rules);
  model::State state;
  auto store = open_loaded(directory.path(), state, vfs.name());
  ASSERT_NE(store, nullptr);
  int completed = 0;
  for (model::Generation first = 1; first <= workload.last; first += workload.together) {
    const model::Generation generation = first + workload.together - 1;
    if (first == workload.restart_at) {
      store.reset();
      store = open_loaded(directory.path(), state, vfs.name());
      ASSERT_NE(store, nullptr);
      ASSERT_EQ(state, expected[first - 1]);
    }
    ASSERT_TRUE(append_group(*store, expected, first, generation, workload.rules));
    vfs.acknowledge(generation);
    if (generation < workload.compact_at || workload.compact_at == 0) continue;
    constexpr int steps_between_appends = 3;
    for (int step = 0; step < steps_between_appends; ++step) {
      const auto more = store->compact(expected[generation], workload.compaction_step);
      ASSERT_TRUE(more) << more.error().message;
      if (!*more) ++completed;
    }
  }
  EXPECT_EQ(completed > 0, workload.compact_at != 0 && workload.last > workload.compact_at);
}

model::Generation acknowledged(const DiskTrace& trace, size_t cut) {
  while (cut-- > 0) {
    if (trace[cut].kind == Kind::acknowledge) return trace[cut].offset;
  }
  return 0;
}

// Opens what a power cut left. Nothing: it is as promised. Else what is wrong.
std::optional<std::string> judge(const Disk& disk, model::Generation acknowledged_generation,
                                 const std::vector<model::State>& expected, const Workload& workload) {
  const ScratchDirectory directory;
  for (const auto& [name, content] : disk) write_file(directory.path(name), content);
  auto store = SqliteStore::open(directory.path());
  if (!store) return store.error().message;
  const auto state = (*store)->load();
  if (!state) return state.error().message;
  if (state->generation < acknowledged_generation) {
    return "generation " + std::to_string(acknowledged_generation) + " was acknowledged, " +
           std::to_string(state->generation) + " is there";
  }
  if (state->generation % workload.together != 0) {
    return "only a part of what was appended at once is there, up to generation " +
           std::to_string(state->generation);
  }
  if (state->generation >= expected.size() || *state != expected[state->generation]) {
    return "the state of generation " + std::to_string(state->generation) + " is not what was stored";
  }
  for (model::Generation generation = 1; generation < expected.size(); ++generation) {
    const auto known = (*store)->recall("provider", std::to_string(generation));
    if (!known) return known.error().message;
    if (known->has_value() != (generation <= state->generation))
      return "the request of generation " + std::to_string(generation) + " is not where its change is";
  }
  if (const auto appended = (*store)->append(change_set(state->generation + 1, workload.rules)); !appended) {
    return appended.error().message;
  }
  return std::nullopt;
}

struct Verdict {
  size_t disks = 0;  // different ones
  std::vector<std::string> wrong;
};

// Cuts the power at `cuts` (all operations if empty) and judges every prefix of the unsynced operations (up
// to `prefixes` of them), and `random` selections of them with torn writes.
Verdict cut_power(const DiskTrace& trace, const Workload& workload, std::vector<size_t> cuts, size_t prefixes,
                  size_t random) {
  const auto expected = states(workload.last, workload.rules);
  std::mt19937 generator(7);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::unordered_set<std::string> seen;
  Verdict verdict;
  const auto judge_once = [&](size_t cut, const Survival& survival) {
    const Disk disk = after_power_cut(trace, cut, survival);
    const model::Generation promised = acknowledged(trace, cut);
    std::string key = std::to_string(promised);
    for (const auto& [name, content] : disk) key.append("/").append(name).append("=").append(content);
    if (!seen.insert(std::to_string(std::hash<std::string>{}(key))).second) return;
    ++verdict.disks;
    if (const auto wrong = judge(disk, promised, expected, workload)) {
      verdict.wrong.push_back("power cut before operation " + std::to_string(cut) + ": " + *wrong);
    }
  };
  if (cuts.empty()) {
    for (size_t cut = 0; cut <= trace.size(); ++cut) cuts.push_back(cut);
  }
  for (const size_t cut : cuts) {
    const size_t open = unsynced(trace, cut).size();
    judge_once(cut, [](size_t) { return 1.0; });
    for (size_t kept = 0; kept < std::min(open, prefixes); ++kept) {
      judge_once(cut, [&](size_t i) { return i < kept ? 1.0 : 0.0; });
    }
    for (size_t i = 0; open > 0 && i < random; ++i) {
      judge_once(cut, [&](size_t) {
        const double share = uniform(generator);
        return share < 0.3 ? 0.0 : share > 0.7 ? 1.0 : share;
      });
    }
  }
  return verdict;
}

// How often an append came back with something of its record not synced.
size_t early_acknowledgements(const DiskTrace& trace) {
  size_t early = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    if (trace[i].kind != Kind::acknowledge) continue;
    const auto open = unsynced(trace, i);
    const bool is_open = std::any_of(open.begin(), open.end(), [&](size_t operation) {
      return trace[operation].kind == Kind::write && trace[operation].file == "state.db-wal";
    });
    if (is_open) ++early;
  }
  return early;
}

// Writes to the write-ahead log, between two acknowledgements, that hold the record of the second.
size_t writes_of_record(const DiskTrace& trace, size_t acknowledgement) {
  const std::string text = marker(trace[acknowledgement].offset);
  size_t count = 0;
  for (size_t i = acknowledgement; i-- > 0 && trace[i].kind != Kind::acknowledge;) {
    if (trace[i].kind == Kind::write && trace[i].file == "state.db-wal" &&
        trace[i].bytes.find(text) != std::string::npos) {
      ++count;
    }
  }
  return count;
}

TEST(Durability, AppendReturnsAfterASyncThatCoversItsRecord) {
  FaultVfs vfs;
  run({}, vfs);
  EXPECT_EQ(early_acknowledgements(vfs.trace()), 0U);
  size_t acknowledgements = 0;
  for (size_t i = 0; i < vfs.trace().size(); ++i) {
    if (vfs.trace()[i].kind != Kind::acknowledge) continue;
    ++acknowledgements;
    EXPECT_GE(writes_of_record(vfs.trace(), i), 1U) << "generation " << vfs.trace()[i].offset;
  }
  EXPECT_EQ(acknowledgements, 12U);
}

TEST(Durability, PowerCutAtEveryOperation) {
  FaultVfs vfs;
  run({}, vfs);
  const Verdict verdict = cut_power(vfs.trace(), {}, {}, SIZE_MAX, 3);
  EXPECT_TRUE(verdict.wrong.empty()) << verdict.wrong.size() << " of " << verdict.disks
                                     << ", the first: " << verdict.wrong.front();
  RecordProperty("disks", std::to_string(verdict.disks));
  EXPECT_GT(verdict.disks, 100U);
}

TEST(Durability, PowerCutAtEveryOperationOfGroups) {
  const Workload workload{.last = 15, .compact_at = 6, .restart_at = 10, .together = 3};
  FaultVfs vfs;
  run(workload, vfs);
  EXPECT_EQ(early_acknowledgements(vfs.trace()), 0U);
  const Verdict verdict = cut_power(vfs.trace(), workload, {}, SIZE_MAX, 3);
  EXPECT_TRUE(verdict.wrong.empty()) << verdict.wrong.size() << " of " << verdict.disks
                                     << ", the first: " << verdict.wrong.front();
  EXPECT_GT(verdict.disks, 50U);
}

// Records so large that SQLite moves the write-ahead log into the file between two appends.
TEST(Durability, PowerCutAroundCheckpoints) {
  const Workload workload{
      .last = 40, .rules = 2500, .compact_at = 20, .compaction_step = 5000, .restart_at = 0};
  FaultVfs vfs;
  run(workload, vfs);
  EXPECT_EQ(early_acknowledgements(vfs.trace()), 0U);
  // Around every sync of the file itself, and some places in between.
  std::vector<size_t> cuts;
  std::mt19937 generator(11);
  size_t checkpoints = 0;
  for (size_t i = 0; i < vfs.trace().size(); ++i) {
    const DiskOperation& operation = vfs.trace()[i];
    if (operation.kind == Kind::sync && operation.file == "state.db") {
      ++checkpoints;
      cuts.insert(cuts.end(), {i, i + 1, i + 2});
    } else if (generator() % 200 == 0) {
      cuts.push_back(i);
    }
  }
  ASSERT_GT(checkpoints, 2U);
  const Verdict verdict = cut_power(vfs.trace(), workload, cuts, 1, 1);
  EXPECT_TRUE(verdict.wrong.empty()) << verdict.wrong.size() << " of " << verdict.disks
                                     << ", the first: " << verdict.wrong.front();
}

// The two tests above can fail: a store that does not sync (synchronous=OFF), or only at checkpoints
// (NORMAL), makes just such a trace.
TEST(Durability, MissingSyncsAreCaught) {
  for (const bool only_log : {false, true}) {
    FaultVfs vfs;
    vfs.drop_syncs([&](const std::string& file) { return !only_log || file == "state.db-wal"; });
    run({}, vfs);
    EXPECT_EQ(early_acknowledgements(vfs.trace()), 12U);
    EXPECT_FALSE(cut_power(vfs.trace(), {}, {}, 1, 0).wrong.empty());
  }
}

// --- operations that fail ---

struct Fault {
  const char* name;
  int result;
  ErrorCode code;
};
constexpr Fault faults[] = {{"DiskFull", SQLITE_FULL, ErrorCode::resource_exhausted},
                            {"Write", SQLITE_IOERR_WRITE, ErrorCode::unavailable},
                            {"Sync", SQLITE_IOERR_FSYNC, ErrorCode::unavailable}};

class StoreFault : public testing::TestWithParam<Fault> {};
INSTANTIATE_TEST_SUITE_P(All, StoreFault, testing::ValuesIn(faults),
                         [](const auto& fault) { return std::string(fault.param.name); });

// Whichever operation of an append fails, of one or of many change sets, nothing of it is there, and others
// take their generations.
TEST_P(StoreFault, FailedAppendLeavesTheStoreAsItWas) {
  for (const model::Generation together : {1, 3}) {
    const model::Generation last = 1 + together;
    const auto expected = states(last + 1);
    uint64_t failed = 0;
    for (uint64_t skip = 0;; ++skip) {
      SCOPED_TRACE(std::to_string(together) + " together, operation " + std::to_string(skip));
      FaultVfs vfs;
      const ScratchDirectory directory;
      model::State state;
      auto store = open_loaded(directory.path(), state, vfs.name());
      ASSERT_NE(store, nullptr);
      ASSERT_TRUE(store->append(change_set(1)));
      vfs.fail_after(skip, 1, GetParam().result);
      constexpr size_t rules_of_lost = 5;
      const auto appended = append_group(*store, expected, 2, last, rules_of_lost);
      if (vfs.failures() == 0) break;  // past the last operation
      vfs.stop_failing();
      ASSERT_FALSE(appended);
      ++failed;
      EXPECT_EQ(appended.error().code, GetParam().code);
      EXPECT_NE(appended.error().message.find("try again"), std::string::npos) << appended.error().message;
      EXPECT_EQ(store->log_size().records, 1U);
      for (model::Generation generation = 2; generation <= last; ++generation)
        EXPECT_EQ(store->recall("provider", std::to_string(generation)).value(), std::nullopt);
      append_all(*store, 2, last + 1);
      store.reset();
      store = open_loaded(directory.path(), state);
      ASSERT_NE(store, nullptr);
      EXPECT_EQ(state, expected[last + 1]);
    }
    EXPECT_GE(failed, 3U);  // two frames and their sync at least
  }
}

TEST_P(StoreFault, DiskThatFailsForAWhile) {
  FaultVfs vfs;
  const ScratchDirectory directory;
  const auto expected = states(2);
  model::State state;
  auto store = open_loaded(directory.path(), state, vfs.name());
  ASSERT_NE(store, nullptr);
  ASSERT_TRUE(store->append(change_set(1)));
  vfs.fail_after(0, UINT64_MAX, GetParam().result);
  for (int i = 0; i < 5; ++i) {
    const auto appended = store->append(change_set(2));
    ASSERT_FALSE(appended);
    EXPECT_EQ(appended.error().code, GetParam().code);
    const auto compacted = compact_all(*store, expected[1]);
    ASSERT_FALSE(compacted);
    EXPECT_EQ(compacted.error().code, GetParam().code);
  }
  vfs.stop_failing();
  EXPECT_EQ(store->log_size().records, 1U);
  ASSERT_TRUE(store->append(change_set(2)));
  ASSERT_TRUE(compact_all(*store, expected[2]));
  store.reset();
  store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(state, expected[2]);
}

// A crash right after a failed append: the change set is there wholly or not at all.
TEST_P(StoreFault, FailedAppendThenPowerCut) {
  const Workload workload{.last = 2};
  const auto expected = states(2);
  for (uint64_t skip = 0;; ++skip) {
    FaultVfs vfs;
    const ScratchDirectory directory;
    model::State state;
    auto store = open_loaded(directory.path(), state, vfs.name());
    ASSERT_NE(store, nullptr);
    const AnsweredRequest first = request_of(1), second = request_of(2);
    ASSERT_TRUE(store->append(change_set(1), &first));
    vfs.acknowledge(1);
    vfs.fail_after(skip, 1, GetParam().result);
    const auto appended = store->append(change_set(2), &second);
    if (vfs.failures() == 0) break;
    EXPECT_FALSE(appended);
    const Verdict verdict = cut_power(vfs.trace(), workload, {vfs.trace().size()}, SIZE_MAX, 5);
    EXPECT_TRUE(verdict.wrong.empty()) << verdict.wrong.front();
  }
}

TEST_P(StoreFault, FailedCompactionKeepsTheLog) {
  const auto expected = states(6);
  uint64_t failed = 0;
  for (uint64_t skip = 0;; ++skip) {
    FaultVfs vfs;
    const ScratchDirectory directory;
    model::State state;
    auto store = open_loaded(directory.path(), state, vfs.name());
    ASSERT_NE(store, nullptr);
    for (model::Generation generation = 1; generation <= 5; ++generation) {
      ASSERT_TRUE(store->append(change_set(generation)));
    }
    vfs.fail_after(skip, 1, GetParam().result);
    const auto compacted = compact_all(*store, expected[5], 5);
    if (vfs.failures() == 0) break;
    vfs.stop_failing();
    ASSERT_FALSE(compacted);
    ++failed;
    EXPECT_EQ(compacted.error().code, GetParam().code);
    // What failed may have been the removal of what the snapshot has taken over.
    EXPECT_TRUE(store->log_size().records == 5 || store->log_size().records == 0);
    ASSERT_TRUE(append_to(*store, expected[5], change_set(6)));
    if (skip % 2 == 0) {
      ASSERT_TRUE(compact_all(*store, expected[6], 5));
    }
    store.reset();
    store = open_loaded(directory.path(), state);
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(state, expected[6]);
  }
  EXPECT_GE(failed, 3U);
}

// A first start on a failing disk is refused, and works when the disk does.
TEST_P(StoreFault, FailedCreationCanBeRepeated) {
  uint64_t failed = 0;
  for (uint64_t skip = 0;; ++skip) {
    FaultVfs vfs;
    const ScratchDirectory directory;
    vfs.fail_after(skip, 1, GetParam().result);
    {
      const auto store = SqliteStore::open(directory.path(), vfs.name());
      if (vfs.failures() == 0) break;
      if (!store) {
        ++failed;
        EXPECT_EQ(store.error().code, GetParam().code) << store.error().message;
      }
    }
    vfs.stop_failing();
    model::State state;
    const auto store = open_loaded(directory.path(), state, vfs.name());
    ASSERT_NE(store, nullptr) << "operation " << skip;
    EXPECT_EQ(state, model::State());
    EXPECT_TRUE(store->append(change_set(1)));
  }
  EXPECT_GE(failed, 3U);
}

// --- the process that dies ---

// A load that changes the same few objects again and again.
model::ChangeSet recurring(model::Generation generation) {
  model::ChangeSet changes = change_set(generation % 60 + 1);
  changes.generation = generation;
  return changes;
}

// kill -9 at random moments of a write load, again and again on one store: by turns counted from the child's
// start, so that it may die while it opens and loads, and from its first acknowledged change, so that the
// load goes on however slow the disk is.
TEST(Durability, KilledAtRandomMoments) {
  const ScratchDirectory directory;
  std::mt19937 generator(3);
  model::Generation acknowledged_generation = 0;
  model::State expected;
  constexpr int rounds = 220;
  constexpr model::Generation enough = 100;
  for (int round = 0; round < rounds; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      auto store = SqliteStore::open(directory.path());
      if (!store) ::_exit(1);
      auto state = (*store)->load();
      if (!state) ::_exit(1);
      for (model::Generation next = state->generation + 1;; ++next) {
        if (!append_to(**store, *state, recurring(next))) ::_exit(1);
        model::apply(*state, recurring(next));
        if (::write(pipe_ends[1], &next, sizeof next) != sizeof next) ::_exit(1);
        if (next % 16 != 0 && !(*store)->is_compacting()) continue;
        if (!(*store)->compact(*state, 40)) ::_exit(1);
      }
    }
    ::close(pipe_ends[1]);
    model::Generation generation = 0;
    if (round % 2 == 1 && ::read(pipe_ends[0], &generation, sizeof generation) == sizeof generation) {
      acknowledged_generation = generation;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(generator() % 20'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child failed by itself";
    while (::read(pipe_ends[0], &generation, sizeof generation) == sizeof generation) {
      acknowledged_generation = generation;
    }
    ::close(pipe_ends[0]);
    model::State state;
    const auto store = open_loaded(directory.path(), state);
    ASSERT_NE(store, nullptr) << "round " << round;
    ASSERT_GE(state.generation, acknowledged_generation) << "round " << round;
    // At most the one that was under way.
    ASSERT_LE(state.generation, acknowledged_generation + 1) << "round " << round;
    acknowledged_generation = state.generation;
    while (expected.generation < state.generation) model::apply(expected, recurring(expected.generation + 1));
    ASSERT_TRUE(state == expected) << "round " << round;
  }
  EXPECT_GT(expected.generation, enough) << "no load to speak of";
}

}  // namespace
}  // namespace portcullis::store
