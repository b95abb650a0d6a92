#include "dataplane/passage.h"

#include <algorithm>

namespace portcullis {

Verdict Passage::fate() const {
  if (count_ == 0) return Verdict::passed;
  const Verdict last = stages_[count_ - 1].verdict;
  return last == Verdict::transmitted && answered_ ? Verdict::answered : last;
}

Verdict Passage::note(std::string_view stage, uint32_t worker, bool answered) {
  PassedStage noted{.stage = stage, .worker = worker, .reason = lost_};
  if (lost_) reason_ = lost_;
  if (answered && !answered_)
    noted.verdict = Verdict::answered;
  else if (lost_)
    noted.verdict = Verdict::dropped;
  else if (punted_)
    noted.verdict = Verdict::punted;
  else if (handed_over_)
    noted.verdict = Verdict::handed_over;
  else if (transmitted_)
    noted.verdict = Verdict::transmitted;
  answered_ = answered_ || answered;
  is_over_ = noted.verdict != Verdict::passed && noted.verdict != Verdict::answered;
  lost_.reset();
  if (count_ < stages_.size()) stages_[count_++] = noted;
  return noted.verdict;
}

void Passage::append(const Passage& next) {
  Passage whole = next;
  whole.stages_ = stages_;
  whole.count_ = std::min(count_ + next.count_, most_stages);
  std::copy_n(next.stages_.begin(), whole.count_ - count_,
              whole.stages_.begin() + static_cast<std::ptrdiff_t>(count_));
  *this = whole;
}

}  // namespace portcullis
