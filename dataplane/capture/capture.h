// A capture: copies of the packets that somebody asks to see, as they are received, transmitted, punted or
// dropped. One at a time. Tables::capture leads workers to it; they look there once a turn.
//
// Control writes the filter before it publishes the capture, and takes the capture back with a grace period;
// meanwhile each worker writes its own share.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "dataplane/burst.h"
#include "dataplane/capture/copy_ring.h"
#include "dataplane/counter.h"
#include "dataplane/drop.h"
#include "dataplane/tables/tables.h"
#include "src/base/expected.h"
#include "src/net/address.h"

struct rte_rcu_qsbr;

namespace portcullis {

struct CaptureFilter {
  // An endpoint by what its packets say on either side of the gateway.
  struct Endpoint {
    IpAddr eip;
    IpAddr dip;
    Mac mac;  // with the next, where the private address is its
    PortId port = 0;
  };

  std::array<bool, 4> fates{};             // by Fate
  std::array<bool, drop_count> reasons{};  // of dropped packets
  std::array<bool, max_ports> ports{};     // by CopyNote::port
  std::optional<IpAddr> address;           // source or destination, inside of tunnels too
  std::optional<Endpoint> endpoint;
  uint32_t snap_length = UINT32_MAX;  // bytes of a frame that are copied
  uint32_t one_in = 1;                // of so many packets, on each worker

  // Whether a frame of that port is to or from the address and the endpoint.
  [[nodiscard]] bool is_about(const rte_mbuf& packet, PortId port) const;
};

struct Capture {
  struct alignas(64) Share {  // a worker's
    CopyRing* ring = nullptr;
    uint32_t passed_over = 0;  // by one_in, since the last copy
    Counter lost;
  };
  CaptureFilter filter;
  std::vector<Share> shares;  // by worker

  // The worker: copies a packet that the filter asks for.
  void offer(uint32_t worker, const rte_mbuf& packet, PortId port, Fate fate, Drop reason = {}) noexcept;
};

class Captures {
 public:
  // Ends the capture when it goes away.
  class Session {
   public:
    ~Session();
    Session(Session&& other) noexcept;
    Session& operator=(Session&&) = delete;
    // The next copy of any worker; null when there is none now.
    [[nodiscard]] Copy take();
    // Packets of which there was no room for a copy.
    [[nodiscard]] uint64_t lost() const;
    // No worker copies any more; what is copied may still be taken. Idempotent.
    void stop();

   private:
    friend class Captures;
    explicit Session(Captures& captures) : captures_(&captures) {}
    Captures* captures_;
    size_t next_ = 0;  // worker whose turn it is
  };

  static constexpr uint32_t copies_of_worker = 1024;
  // Of frames up to that length all bytes fit.
  [[nodiscard]] static uint32_t frame_bytes(uint16_t mtu);

  // `numa_nodes`: of each worker. What is handed in outlives it. resource_exhausted if the copies do not fit.
  [[nodiscard]] static Expected<std::unique_ptr<Captures>> create(Tables& tables, rte_rcu_qsbr* rcu,
                                                                  const std::vector<int>& numa_nodes,
                                                                  uint16_t mtu);
  // Workers copy from now on. failed_precondition while another capture goes on. Any thread.
  [[nodiscard]] Expected<Session> begin(const CaptureFilter& filter);

 private:
  Captures(Tables& tables, rte_rcu_qsbr* rcu) : tables_(tables), rcu_(rcu) {}

  Tables& tables_;
  rte_rcu_qsbr* const rcu_;
  std::vector<std::unique_ptr<CopyRing>> rings_;  // by worker
  std::mutex mutex_;                              // of the next
  bool is_taken_ = false;
  Capture capture_;
};

}  // namespace portcullis
