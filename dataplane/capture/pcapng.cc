#include "dataplane/capture/pcapng.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "dataplane/capture/copy_ring.h"

namespace portcullis {
namespace {

constexpr uint32_t section_block = 0x0a0d0d0a, interface_block = 1;
constexpr uint32_t byte_order_magic = 0x1a2b3c4d;
constexpr uint16_t ethernet_link = 1;
constexpr uint16_t end_of_options = 0, comment_option = 1;
constexpr uint16_t section_application = 4;
constexpr uint16_t interface_name = 2, interface_mac = 6, interface_resolution = 9;
constexpr uint8_t nanosecond_resolution = 9;  // 10^-9 s

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_option(std::string& out, uint16_t code, std::string_view value) {
  put(out, code);
  put(out, static_cast<uint16_t>(value.size()));
  out.append(value);
  out.append((4 - value.size() % 4) % 4, '\0');
}

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// A block's length stands behind its type and at its end.
void finish_block(std::string& out, size_t begin) {
  put_option(out, end_of_options, {});
  const auto length = static_cast<uint32_t>(out.size() - begin + sizeof(uint32_t));
  std::memcpy(out.data() + begin + sizeof(uint32_t), &length, sizeof length);
  put(out, length);
}

std::string_view comment_of(const CopyNote& note) {
  if (note.fate == Fate::dropped) return describe(note.reason).name;
  return note.fate == Fate::punted ? "punted" : "";
}

}  // namespace

Pcapng::Pcapng(std::vector<Interface> interfaces) : interfaces_(std::move(interfaces)) {}

std::string Pcapng::header(const std::string& comment) const {
  std::string file;
  put(file, section_block);
  put(file, uint32_t{0});
  put(file, byte_order_magic);
  put(file, uint16_t{1});  // version 1.0
  put(file, uint16_t{0});
  put(file, UINT64_MAX);  // the section's length is not known
  put_option(file, section_application, "portcullisd " PORTCULLIS_VERSION);
  put_option(file, comment_option, comment);
  finish_block(file, 0);
  for (const Interface& interface : interfaces_) {
    const size_t begin = file.size();
    put(file, interface_block);
    put(file, uint32_t{0});
    put(file, ethernet_link);
    put(file, uint16_t{0});
    put(file, uint32_t{0});  // packets may be of any length
    put_option(file, interface_name, interface.name);
    put_option(file, interface_mac, bytes_of(interface.mac));
    put_option(file, interface_resolution, bytes_of(nanosecond_resolution));
    finish_block(file, begin);
  }
  return file;
}

void Pcapng::append(std::string& file, rte_mbuf& copy) const {
  const CopyNote& note = note_of(copy);
  const auto interface = std::ranges::find(interfaces_, note.port, &Interface::port);
  if (interface == interfaces_.end()) return;
  const size_t begin = file.size();
  for (const rte_mbuf* part = &copy; part != nullptr; part = part->next)
    file.append(rte_pktmbuf_mtod(part, const char*), part->data_len);
  file.resize(file.size() - sizeof(uint32_t));  // the length at its end is no more
  PacketBlock block;
  std::memcpy(&block, file.data() + begin, sizeof block);
  const uint64_t time = clock_.nanoseconds(note.tsc);
  block.interface = static_cast<uint32_t>(interface - interfaces_.begin());
  block.time_high = static_cast<uint32_t>(time >> 32);
  block.time_low = static_cast<uint32_t>(time);
  std::memcpy(file.data() + begin, &block, sizeof block);
  if (const std::string_view comment = comment_of(note); !comment.empty())
    put_option(file, comment_option, comment);
  finish_block(file, begin);
}

}  // namespace portcullis
