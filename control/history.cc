#include "control/history.h"

#include <algorithm>
#include <string>
#include <utility>

namespace portcullis {

void History::begin(model::Generation generation) {
  const std::scoped_lock lock(mutex_);
  before_ = generation;
}

void History::add(Event event) {
  {
    const std::scoped_lock lock(mutex_);
    objects_ += event.changes.size();
    events_.push_back(std::make_shared<const Event>(std::move(event)));
    while (events_.size() > 1 && objects_ + events_.size() > room_) {
      objects_ -= events_.front()->changes.size();
      events_.pop_front();
      ++before_;
    }
  }
  added_.notify_all();
}

model::Generation History::oldest() const {
  const std::scoped_lock lock(mutex_);
  return before_;
}

Expected<History::Events> History::after(model::Generation generation, size_t most,
                                         std::chrono::milliseconds patience) const {
  std::unique_lock lock(mutex_);
  const auto newest = [&] { return before_ + events_.size(); };
  if (generation == newest()) added_.wait_for(lock, patience, [&] { return generation < newest(); });
  if (generation < before_)
    return fail(ErrorCode::out_of_range,
                "of what changed after generation " + std::to_string(generation) +
                    " the first is held no more; events after generation " + std::to_string(before_) +
                    " are: read the state, and watch from its generation",
                "after_generation");
  if (generation > newest())
    return fail(ErrorCode::out_of_range,
                "there is no generation " + std::to_string(generation) + " yet, the last one is " +
                    std::to_string(newest()) + "; is it another gateway's, or was a backup restored?",
                "after_generation");
  const auto first = events_.begin() + static_cast<ptrdiff_t>(generation - before_);
  const auto count = std::min<size_t>(most, static_cast<size_t>(events_.end() - first));
  return Events(first, first + static_cast<ptrdiff_t>(count));
}

}  // namespace portcullis
