#include "tests/fuzz/message_mutation.h"

#include <google/protobuf/descriptor.h>

#include <array>
#include <string>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace portcullis::fuzz {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Where ranges begin and end.
constexpr std::array<uint32_t, 16> numbers{0,   1,   2,    8,     15,    16,     64,       80,
                                           255, 256, 1000, 65535, 65536, 100000, 16777216, 4294967295};

class Mutation {
 public:
  Mutation(std::span<const std::string_view> words, std::minstd_rand& random)
      : words_(words), random_(random) {}

  void change(Message& message) {
    const auto& type = *message.GetDescriptor();
    if (type.field_count() == 0) return;
    const FieldDescriptor& field = *type.field(below(type.field_count()));
    if (field.is_repeated())
      change_list(message, field);
    else if (one_in(8))
      message.GetReflection()->ClearField(&message, &field);
    else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
      change(*message.GetReflection()->MutableMessage(&message, &field));
    else
      set(message, field);
  }

 private:
  int below(int count) { return static_cast<int>(random_() % static_cast<unsigned>(count)); }
  bool one_in(int count) { return below(count) == 0; }

  void change_list(Message& message, const FieldDescriptor& field) {
    const auto& reflection = *message.GetReflection();
    const int size = reflection.FieldSize(message, &field);
    const bool of_messages = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (size > 0 && one_in(4)) {
      reflection.SwapElements(&message, &field, below(size), size - 1);
      reflection.RemoveLast(&message, &field);
    } else if (size > 0 && of_messages && !one_in(4)) {
      change(*reflection.MutableRepeatedMessage(&message, &field, below(size)));
    } else if (of_messages) {
      Message& added = *reflection.AddMessage(&message, &field);
      if (size > 0 && one_in(2)) added.CopyFrom(reflection.GetRepeatedMessage(message, &field, below(size)));
      change(added);
    } else {
      set(message, field);
    }
  }

  // A field that holds no message; of a list a further element.
  void set(Message& message, const FieldDescriptor& field) {
    const auto& reflection = *message.GetReflection();
    const bool adds = field.is_repeated();
    const auto put = [&](auto set_one, auto add_one, auto value) {
      if (adds)
        (reflection.*add_one)(&message, &field, value);
      else
        (reflection.*set_one)(&message, &field, value);
    };
    using R = google::protobuf::Reflection;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        put(&R::SetString, &R::AddString, text(adds ? std::string() : reflection.GetString(message, &field)));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        put(&R::SetBool, &R::AddBool, one_in(2));
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        put(&R::SetEnumValue, &R::AddEnumValue, below(field.enum_type()->value_count() + 1));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        put(&R::SetUInt32, &R::AddUInt32, number());
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        put(&R::SetInt32, &R::AddInt32, static_cast<int32_t>(number()));
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        put(&R::SetUInt64, &R::AddUInt64, uint64_t{number()} << (one_in(4) ? 32 : 0));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        put(&R::SetInt64, &R::AddInt64, static_cast<int64_t>(number()));
        break;
      default:  // no schema here has others
        break;
    }
  }

  uint32_t number() {
    return one_in(2) ? numbers[static_cast<size_t>(below(numbers.size()))]
                     : static_cast<uint32_t>(below(300));
  }

  // In ASCII: what is no UTF-8 does not reach us, gRPC and the text format refuse it.
  std::string text(std::string now) {
    if (!one_in(4)) return std::string(words_[static_cast<size_t>(below(static_cast<int>(words_.size())))]);
    constexpr size_t more = 16;
    const size_t before = now.size();
    now.resize(before + more);
    now.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(now.data()), before, now.size()));
    for (char& c : now) c = static_cast<char>(c & 0x7f);
    return now;
  }

  std::span<const std::string_view> words_;
  std::minstd_rand& random_;
};

}  // namespace

void mutate(Message& message, std::span<const std::string_view> words, std::minstd_rand& random) {
  Mutation(words, random).change(message);
}

}  // namespace portcullis::fuzz
