// The rows of the pipeline, looked at by captures and traces.
#pragma once

#include <memory>

#include "dataplane/capture/capture.h"
#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {

inline CaptureFilter everything() {
  CaptureFilter filter;
  filter.fates.fill(true);
  filter.reasons.fill(true);
  filter.ports.fill(true);
  return filter;
}

inline CaptureFilter only(Fate fate) {
  CaptureFilter filter = everything();
  filter.fates = {};
  filter.fates[static_cast<size_t>(fate)] = true;
  return filter;
}

class SessionRows : public PipelineRows {
 protected:
  // The worker is no thread here: it has nothing in its hands.
  void end(Captures::Session& session) {
    worker_->offline();
    session.stop();
    worker_->online();
  }
  // One that no list permits.
  static Bytes to_closed_port() {
    Packet packet = from_client();
    packet.destination_port = 81;
    return build(packet);
  }

  std::unique_ptr<Captures> captures_ = *Captures::create(*tables_, rcu_.get(), {-1}, 1500);
};

}  // namespace portcullis
