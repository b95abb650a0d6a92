#include "dataplane/ports/netlink.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace portcullis {

int NetlinkRequest::send() {
  message().nlmsg_len = static_cast<uint32_t>(bytes_.size());
  const int control = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (control < 0) return errno;
  int error = EPROTO;
  alignas(nlmsghdr) std::array<std::byte, 4096> answer;
  if (::send(control, bytes_.data(), bytes_.size(), 0) < 0) {
    error = errno;
  } else if (const ssize_t size = recv(control, answer.data(), answer.size(), 0); size < 0) {
    error = errno;
  } else if (static_cast<size_t>(size) >= NLMSG_LENGTH(sizeof(nlmsgerr))) {
    nlmsgerr result;
    std::memcpy(&result, answer.data() + NLMSG_HDRLEN, sizeof result);
    error = -result.error;
  }
  close(control);
  return error;
}

}  // namespace portcullis
