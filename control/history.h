// Which objects each change set changed, for those who watch: the last ones, since the process began. Thread:
// the control thread adds, any thread reads.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "control/model/draft.h"
#include "src/base/expected.h"

namespace portcullis {

struct Event {
  model::Generation generation = 0;
  std::vector<model::ChangedObject> changes;
};

class History {
 public:
  // `room`: objects that are named in what is held. The newest event is held whatever it names.
  explicit History(size_t room = 200'000) : room_(room) {}

  // The state as it is at first: of how it came to be nothing is known.
  void begin(model::Generation generation);
  // Of the generation after the last one.
  void add(Event event);

  using Events = std::vector<std::shared_ptr<const Event>>;
  // The events after a generation, in order and without a gap, `most` at most; if there is none yet, waits
  // for one for as long as `patience`. out_of_range at "after_generation" if the first of them is held no
  // more, or if there is no such generation yet.
  [[nodiscard]] Expected<Events> after(model::Generation generation, size_t most,
                                       std::chrono::milliseconds patience) const;
  // After which generation all is held.
  [[nodiscard]] model::Generation oldest() const;

 private:
  const size_t room_;
  mutable std::mutex mutex_;  // of the rest
  mutable std::condition_variable added_;
  model::Generation before_ = 0;  // the generation before the first event
  std::deque<std::shared_ptr<const Event>> events_;
  size_t objects_ = 0;
};

}  // namespace portcullis
