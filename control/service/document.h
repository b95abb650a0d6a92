// The whole state as a document, and back.
#pragma once

#include <cstddef>

#include "control/model/document.h"
#include "portcullis/v1/document.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// What a message may have, bytes. By TLS: a permit list of the longest that a configuration allows. By the
// UNIX socket, which is the provider's: a document of a million EIPs.
struct MessageBounds {
  size_t by_socket = size_t{512} << 20;
  size_t by_tls = size_t{64} << 20;
  [[nodiscard]] size_t of(bool is_by_socket) const { return is_by_socket ? by_socket : by_tls; }
};

[[nodiscard]] v1::Document to_document(const model::State& state);
// What does not decode is refused by the path of its field, "document.eips[2].rules[0].protocol".
[[nodiscard]] Expected<model::Document> to_model(const v1::Document& document);
[[nodiscard]] v1::ObjectChange to_proto(const model::ChangedObject& object);
// resource_exhausted if it would not fit into a message of so many bytes. `is_by_socket`: the way by which
// messages are the largest.
[[nodiscard]] Expected<void> check_size(const v1::Document& document, size_t most_bytes, bool is_by_socket);

}  // namespace portcullis::service
