// The objects of a state as they are at one moment, read bit by bit while the state goes on changing:
// whatever is changed before it has been read is set aside first. No database here.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/model/change_key.h"
#include "control/model/objects.h"

namespace portcullis::store {

class Snapshot {
 public:
  // Of the state's generation from here on.
  explicit Snapshot(model::Generation generation) : generation_(generation) {}
  [[nodiscard]] model::Generation generation() const { return generation_; }

  // What the objects were that the state's next change set is about: to be called before next() sees it. Of
  // an object that is there more than once the first counts.
  void preserve(std::span<const model::Change> before);

  // The next objects, as changes that make them out of nothing: `most` at most, each rule of a list counted
  // as one more, but one object at least. `state` is what the changes so far have made. Empty: all were
  // given.
  [[nodiscard]] model::ChangeSet next(const model::State& state, size_t most);

 private:
  enum class Phase : uint8_t { vms, pools, quarantine, eips, quotas, preserved, done };

  // Whether what has this key, if anything, has been read as it was at the snapshot's moment.
  [[nodiscard]] bool is_read(const model::ChangeKey& key) const;
  template <typename Objects, typename Key>
  void walk(const Objects& objects, std::optional<Key>& last, size_t most, model::ChangeSet& part);
  void give_preserved(size_t most, model::ChangeSet& part);

  const model::Generation generation_;
  Phase phase_ = Phase::vms;
  size_t weight_ = 0;  // of the part that is being made
  // The last that was read.
  std::optional<model::VmKey> vm_;
  std::optional<std::string> pool_;
  std::optional<IpAddr> quarantine_;
  std::optional<IpAddr> eip_;
  std::optional<model::QuotaKey> quota_;
  // Of each object that has changed since and was not read before, what it was. Given at the end.
  std::map<model::ChangeKey, model::Change> before_;
};

}  // namespace portcullis::store
