#include "dataplane/capture/trace_parts.h"

#include <algorithm>

namespace portcullis {

// In the order of time each is handed over to the worker of the next, from the first to one that goes on no
// more.
std::optional<TraceRecord> TraceParts::whole(std::vector<TraceRecord>& parts) {
  std::ranges::sort(parts, {}, &TraceRecord::tsc);
  if (!parts.front().is_first || parts.back().goes_on()) return std::nullopt;
  TraceRecord joined = parts.front();
  for (size_t n = 1; n < parts.size(); ++n) {
    if (!joined.goes_on() || joined.passage.owner() != parts[n].worker) return std::nullopt;
    joined.passage.append(parts[n].passage);
    joined.sent = parts[n].sent;
  }
  return joined;
}

std::optional<TraceRecord> TraceParts::add(const TraceRecord& part, Clock::time_point now) {
  if (part.is_first && !part.goes_on()) return part;  // the worker has asked the filter
  const auto found = waiting_.find(part.mark);
  if (found == waiting_.end() && waiting_.size() == most) {
    lost_ += part.is_first ? 1 : 0;
    return std::nullopt;
  }
  const auto waiting = found != waiting_.end() ? found : waiting_.emplace(part.mark, Waiting{now, {}}).first;
  waiting->second.parts.push_back(part);
  auto joined = whole(waiting->second.parts);
  if (!joined) return std::nullopt;
  waiting_.erase(waiting);
  return asks_for(filter_, joined->passage) ? joined : std::nullopt;
}

// Of a packet whose first part is not there a trace before this one, or no trace, has lost it.
void TraceParts::give_up(Clock::time_point before) {
  std::erase_if(waiting_, [&](const auto& each) {
    const Waiting& waiting = each.second;
    if (waiting.since >= before) return false;
    lost_ += std::ranges::any_of(waiting.parts, &TraceRecord::is_first) ? 1 : 0;
    return true;
  });
}

}  // namespace portcullis
