// Changes of a Protobuf message that leave it one: what libFuzzer does to bytes, done to fields.
#pragma once

#include <google/protobuf/message.h>

#include <random>
#include <span>
#include <string_view>

namespace portcullis::fuzz {

// Sets, clears, adds, removes or changes one field, of the message itself or of one inside it. Strings become
// one of `words`, or other bytes of theirs.
void mutate(google::protobuf::Message& message, std::span<const std::string_view> words,
            std::minstd_rand& random);

}  // namespace portcullis::fuzz
