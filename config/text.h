// Text format -> message, and the way back from a field's path to the place it stands at. Private to the
// loader.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <string>
#include <string_view>

#include "config/loader.h"

namespace portcullis::config {

// The path of one of a list: "ports[1]".
[[nodiscard]] std::string element(std::string_view list, int index);

class Text {
 public:
  Text(std::string_view file_name, std::string_view text) : file_(file_name), text_(text) {}

  // False when the text could not be read to its end. Unknown fields do not stop it, but are mistakes.
  bool read_into(google::protobuf::Message& message);

  // A mistake at the field of `path`, "ports[1].next_hop.address". A field that the text does not have stands
  // where the nearest message around it does. The message of the mistake begins with the path.
  void mistake(const std::string& path, const std::string& what);

  // In the order of the text.
  [[nodiscard]] Mistakes take();

 private:
  struct Place {
    int line = 0;  // from 0, as Protobuf counts
    int column = 0;
  };
  class Collector;
  [[nodiscard]] Place place_of(std::string_view path) const;
  [[nodiscard]] size_t offset_of(Place place) const;
  [[nodiscard]] Place place_at(size_t offset) const;
  void add(Place place, std::string message);
  void add_parser_message(Place place, const std::string& message);

  std::string file_;
  std::string_view text_;
  const google::protobuf::Descriptor* type_ = nullptr;
  google::protobuf::TextFormat::ParseInfoTree locations_;
  Mistakes mistakes_;
};

}  // namespace portcullis::config
