// A bounded reader over packet bytes: a read past the end yields nothing instead of a wild load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace portcullis {

// A header in place, within bounds that were checked when the view was made. Fields are loaded one by one,
// where a copy of the whole would go through memory: load<Be16>(offsetof(Ipv4Header, checksum)).
template <typename Header>
class HeaderView {
 public:
  HeaderView() = default;
  explicit HeaderView(const uint8_t* at) : at_(at) {}
  template <typename Field>
  [[nodiscard]] Field load(size_t offset) const {
    static_assert(std::is_trivially_copyable_v<Field> && sizeof(Field) <= sizeof(Header));
    Field field;
    std::memcpy(static_cast<void*>(&field), at_ + offset, sizeof field);
    return field;
  }

 private:
  const uint8_t* at_ = nullptr;
};

class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] size_t remaining() const { return bytes_.size() - offset_; }
  [[nodiscard]] size_t offset() const { return offset_; }
  // Copies a header out and moves past it; false, and nothing moved, when too few bytes are left.
  template <typename Header>
  [[nodiscard]] bool read(Header& out) {
    static_assert(std::is_trivially_copyable_v<Header>);
    if (remaining() < sizeof(Header)) return false;
    std::memcpy(static_cast<void*>(&out), bytes_.data() + offset_, sizeof(Header));
    offset_ += sizeof(Header);
    return true;
  }
  // The same without a copy: the header is looked at where it lies.
  template <typename Header>
  [[nodiscard]] bool view(HeaderView<Header>& out) {
    if (remaining() < sizeof(Header)) return false;
    out = HeaderView<Header>(bytes_.data() + offset_);
    offset_ += sizeof(Header);
    return true;
  }
  [[nodiscard]] bool skip(size_t count) {
    if (remaining() < count) return false;
    offset_ += count;
    return true;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t offset_ = 0;
};

}  // namespace portcullis
