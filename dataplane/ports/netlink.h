// As much of rtnetlink(7) as the TAP needs: one request, its attributes, the kernel's answer.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace portcullis {

class NetlinkRequest {
 public:
  // `header` is the fixed part that the type demands (ifinfomsg, ifaddrmsg, ...).
  template <typename Header>
  NetlinkRequest(uint16_t type, uint16_t flags, const Header& header) : bytes_(NLMSG_HDRLEN) {
    message().nlmsg_type = type;
    message().nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(&header, sizeof header);
  }
  template <typename Value>
  NetlinkRequest& with(uint16_t attribute, const Value& value) {
    const nlattr head{static_cast<uint16_t>(NLA_HDRLEN + sizeof value), attribute};
    append(&head, sizeof head);
    append(&value, sizeof value);
    return *this;
  }
  // 0, or the errno of the refusal.
  [[nodiscard]] int send();

 private:
  nlmsghdr& message() { return *reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  void append(const void* data, size_t size) {
    const size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(size));
    std::memcpy(bytes_.data() + at, data, size);
  }
  std::vector<std::byte> bytes_;
};

}  // namespace portcullis
