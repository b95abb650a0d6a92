#include "config/text.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace portcullis::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;

// The text between the `index`-th pair of quotes of `message`.
std::string quoted(const std::string& message, int index) {
  size_t begin = 0;
  for (int quote = 0; quote <= 2 * index; ++quote) {
    begin = message.find('"', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  return message.substr(begin, message.find('"', begin) - begin);
}

std::string field_names(const Descriptor& type) {
  std::string names;
  for (int i = 0; i < type.field_count(); ++i) names += (i == 0 ? "" : ", ") + type.field(i)->name();
  return names;
}

// Value names of the enum field called `name` in `type` or in a message below it; empty when there is none.
std::string enum_values(const Descriptor& type, const std::string& name) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.enum_type() != nullptr && field.name() == name) {
      std::string values;
      // Value 0 says "not given".
      for (int v = 1; v < field.enum_type()->value_count(); ++v)
        values += (v == 1 ? "" : ", ") + field.enum_type()->value(v)->name();
      return values;
    }
    if (field.message_type() == nullptr) continue;
    if (std::string below = enum_values(*field.message_type(), name); !below.empty()) return below;
  }
  return {};
}

}  // namespace

std::string element(std::string_view list, int index) {
  return std::string(list) + "[" + std::to_string(index) + "]";
}

class Text::Collector : public google::protobuf::io::ErrorCollector {
 public:
  explicit Collector(Text& text) : text_(text) {}
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    text_.add_parser_message({line, column}, message);
  }
  // What the parser only warns about (a field it does not know) would be silently lost: a mistake too.
  void AddWarning(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    text_.add_parser_message({line, column}, message);
  }

 private:
  Text& text_;
};

bool Text::read_into(google::protobuf::Message& message) {
  type_ = message.GetDescriptor();
  Collector collector(*this);
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&collector);
  parser.WriteLocationsTo(&locations_);
  parser.AllowUnknownField(true);
  return parser.ParseFromString(std::string(text_), &message);
}

// The parser reports an unknown name, an unknown value and a repeated field from behind the word in question:
// step back to it, and say what was expected instead.
void Text::add_parser_message(Place place, const std::string& message) {
  std::string word;
  std::string what = message;
  if (message.starts_with("Message type ")) {
    const std::string type = quoted(message, 0);
    word = quoted(message, 1);
    if (const auto* descriptor = type_->file()->pool()->FindMessageTypeByName(type))
      what = "unknown field \"" + word + "\" in " + descriptor->name() + ", expected one of " +
             field_names(*descriptor);
  } else if (message.starts_with("Unknown enumeration value ")) {
    word = quoted(message, 0);
    const std::string field = quoted(message, 1);
    what = "\"" + word + "\" is no value of " + field + ", expected one of " + enum_values(*type_, field);
  } else if (message.starts_with("Non-repeated field ")) {
    word = quoted(message, 0);
    what = "field \"" + word + "\" stands here again, expected it once";
  }
  if (message == "Expected identifier, got: ") what = "the file ends inside a message, expected a field or }";
  if (!word.empty()) {
    if (const size_t at = text_.rfind(word, offset_of(place)); at != std::string_view::npos)
      place = place_at(at);
  }
  add(place, what);
}

// Protobuf's tokenizer counts a tab up to the next multiple of eight columns.
size_t Text::offset_of(Place place) const {
  Place at;
  for (size_t i = 0; i < text_.size(); ++i) {
    if (std::pair(at.line, at.column) >= std::pair(place.line, place.column)) return i;
    if (text_[i] == '\n')
      at = {at.line + 1, 0};
    else
      at.column += text_[i] == '\t' ? 8 - at.column % 8 : 1;
  }
  return text_.size();
}

Text::Place Text::place_at(size_t offset) const {
  Place at;
  for (size_t i = 0; i < offset; ++i) {
    if (text_[i] == '\n')
      at = {at.line + 1, 0};
    else
      at.column += text_[i] == '\t' ? 8 - at.column % 8 : 1;
  }
  return at;
}

Text::Place Text::place_of(std::string_view path) const {
  Place place;
  const TextFormat::ParseInfoTree* tree = &locations_;
  const Descriptor* type = type_;
  while (!path.empty() && tree != nullptr && type != nullptr) {
    const std::string_view step = path.substr(0, path.find('.'));
    const size_t bracket = step.find('[');
    int index = -1;
    if (bracket != std::string_view::npos)
      std::from_chars(step.data() + bracket + 1, step.data() + step.size(), index);
    const FieldDescriptor* field = type->FindFieldByName(std::string(step.substr(0, bracket)));
    if (field == nullptr) break;
    // A message that is nothing but a list is named as the list: remote.prefixes[0] for
    // remote.prefixes.prefixes[0].
    const bool is_wrapped = index >= 0 && !field->is_repeated();
    if (!is_wrapped) path.remove_prefix(std::min(path.size(), step.size() + 1));
    index = field->is_repeated() ? std::max(index, 0) : -1;
    // A list in brackets is recorded once, for its first value.
    int recorded = index;
    TextFormat::ParseLocation found = tree->GetLocation(field, recorded);
    while (found.line < 0 && recorded > 0) found = tree->GetLocation(field, --recorded);
    if (found.line < 0) break;
    place = {found.line, found.column};
    if (field->message_type() == nullptr) break;
    tree = tree->GetTreeForNested(field, index);
    type = field->message_type();
  }
  return place;
}

void Text::add(Place place, std::string message) {
  mistakes_.push_back({file_, place.line + 1, place.column + 1, std::move(message)});
}

void Text::mistake(const std::string& path, const std::string& what) {
  add(place_of(path), path.empty() ? what : path + " " + what);
}

Mistakes Text::take() {
  std::ranges::stable_sort(mistakes_, {}, [](const Mistake& m) { return std::pair(m.line, m.column); });
  return std::exchange(mistakes_, {});
}

}  // namespace portcullis::config
