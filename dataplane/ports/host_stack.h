// Keeps the host's own network stack out of virtual ports. A driver over a kernel interface (af_packet) gets
// a copy of each frame, and the kernel another: it would answer ARP for the gateway's addresses and accept
// packets to them past the gateway's permit list.
#pragma once

#include <string>
#include <vector>

namespace portcullis {

class HostStackGuard {
 public:
  HostStackGuard() = default;
  HostStackGuard(const HostStackGuard&) = delete;
  HostStackGuard& operator=(const HostStackGuard&) = delete;
  ~HostStackGuard();  // puts back what was set before

  // The kernel answers ARP on `interface_index` only for addresses of that interface, and refuses packets
  // there whose way back is another one: the gateway's addresses are the TAP's. A setting that could not be
  // made is returned as a sentence to warn with; empty if all is well.
  [[nodiscard]] std::string protect(unsigned interface_index);

 private:
  struct Setting {
    std::string path;
    std::string before;
  };
  std::vector<Setting> changed_;
};

}  // namespace portcullis
