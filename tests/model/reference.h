// The reference gateway: what semantics.md says, in the plainest C++ that says it. Slow on purpose: lists are
// walked, addresses are compared one by one, checksums are summed whole. It includes nothing of the data
// plane, of compile or of publish, so that it can only agree with them by meaning the same.
//
// It keeps its own desired state, changed by the calls of the paper, and derives from it what it needs when a
// packet asks for it. Traffic goes through `poll`, one turn of a worker.
//
// The facts it takes from outside are where a flow entry may lie (FlowShape) and which worker owns a packet
// (WorkerShape): they decide which refusal comes when a bucket is full, which dead entry is displaced and
// what is judged before what, never what is permitted.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/model/objects.h"
#include "src/net/address.h"
#include "src/net/encapsulation.h"

namespace portcullis::reference {

using Bytes = std::vector<uint8_t>;
using PortNumber = size_t;  // position in Setup::ports

// The gateway's own end of the tunnels of an endpoint port: of each family its address with the length of the
// prefix that is on the link, and the router to remotes that are not.
struct TunnelSetup {
  struct End {
    IpAddr address;
    IpPrefix link;
    std::optional<IpAddr> next_hop = std::nullopt;
  };
  std::map<IpFamily, End> ends;
  bool strip_inner_vlan = false;
  bool zero_udp_checksum = false;  // over IPv6
};

// "untagged", "VLAN", "QinQ", "VXLAN over IPv4", …
[[nodiscard]] std::string name_of(const Encapsulation& link);

struct PortSetup {
  std::string name;
  bool uplink = false;
  Mac mac;
  uint16_t mtu = 1500;
  bool proxy_arp = false;
  uint32_t punt_rate = 1000;   // packets a second
  Ipv4Addr endpoint_next_hop;  // endpoint ports: answered besides 169.254.1.1
  Ipv4Addr next_hop;           // uplink: 0.0.0.0 if its MAC is fixed
  Ipv6Addr endpoint_next_hop6 = link_local_next_hop6;
  Ipv6Addr next_hop6;
  TunnelSetup tunnel = {};  // endpoint ports

  [[nodiscard]] bool has_tunnel_end(IpFamily family) const { return tunnel.ends.contains(family); }
};

struct Timeouts {
  uint32_t tcp_established_ms = 7'440'000;
  uint32_t tcp_transitory_ms = 240'000;
  uint32_t udp_ms = 120'000;
  uint32_t icmp_ms = 60'000;
  uint32_t other_ms = 600'000;
  uint32_t fragment_ms = 15'000;
};

// What tells flow entries apart: local is the endpoint's own EIP, whichever way the packet goes. For ICMP
// queries and their replies both ports hold the identifier.
struct FlowKey {
  IpAddr local;
  // Of an IPv6 endpoint Eip::created: its flows are its own, also when its address is handed out again. 0 of
  // IPv4, where the address is all that there is.
  uint64_t owner = 0;
  IpAddr remote;
  uint16_t local_port = 0, remote_port = 0;
  uint8_t protocol = 0;
  uint8_t icmp_query = 0;  // type of the query that opened or would open it; 0 if not ICMP
  uint32_t worker = 0;     // whose packets alone it admits
  friend auto operator<=>(const FlowKey&, const FlowKey&) = default;
};

// The families and the workers have buckets of their own: no number is of two.
struct FlowShape {
  uint32_t ways = 16;
  std::function<uint32_t(const FlowKey&)> bucket_of;
};

// Where a datagram in fragments may lie: that decides which one makes room.
struct FragmentShape {
  uint32_t ways = 64;
  uint32_t share = 16;                                   // of one EIP in its bucket
  std::function<uint32_t(const IpAddr& eip)> bucket_of;  // of each worker
  // A link that went may have another number when it comes again: its datagrams are then not found.
  std::function<uint32_t(PortNumber port, const Encapsulation& link)> number_of;
};

// Several workers: packets are judged by the one that owns them, with flows and datagrams of its own.
struct WorkerShape {
  uint32_t count = 1;
  uint32_t room = UINT32_MAX;  // packets that may be under way from one to another
  // By the remote's address; between two endpoints by both EIPs, in any order.
  std::function<uint32_t(const std::vector<IpAddr>&)> owner_of;
  // Who receives a frame and transmits what he judges himself, where every port has queues for each. Without
  // it the frames of a port are received and transmitted by the worker of its number, modulo their count.
  std::function<uint32_t(PortNumber port, const Bytes& frame)> by_queue;

  [[nodiscard]] uint32_t receiver(PortNumber port, const Bytes& frame) const {
    return by_queue ? by_queue(port, frame) : static_cast<uint32_t>(port % count);
  }
  [[nodiscard]] uint32_t transmitter(PortNumber port, uint32_t judge) const {
    return by_queue ? judge : static_cast<uint32_t>(port % count);
  }
};

struct Setup {
  std::vector<PortSetup> ports;  // polled in this order; one is the uplink
  std::vector<Ipv4Addr> gateway_addresses;
  std::vector<Ipv6Addr> gateway_addresses6;
  std::vector<model::PermitRule> gateway_permit;
  Timeouts timeouts;
  FlowShape flows;
  FragmentShape fragments;
  WorkerShape workers;
  uint32_t flow_quota = 0;                  // entries an EIP may own that has no quota of its own
  uint32_t tenant_flow_quota = UINT32_MAX;  // those of a tenant, all its EIPs together
  uint32_t icmp_error_rate = 100;           // a second, of one EIP
  uint32_t hold_limit = 512;                // frames that wait for room on one port
  uint32_t punt_room = UINT32_MAX;          // frames the punt thread's ring takes between two collections
};

// A frame as it arrives. `first_segment`: how many bytes lie in its first buffer; 0: all of them. `headroom`:
// bytes that are free before it there.
struct Arrival {
  Bytes bytes;
  uint32_t first_segment = 0;
  uint32_t headroom = 128;
};

enum class FlowState : uint8_t { opening, established, closing };

struct Flow {
  IpAddr owner;
  model::TenantId tenant;
  uint64_t owner_incarnation = 0;
  uint64_t remote_incarnation = 0;  // 0: no EIP
  uint64_t list_generation = 0;
  uint64_t remote_generation = 0;
  uint64_t owner_changed = 0;   // the last change of the owner that this flow was judged under
  uint64_t remote_changed = 0;  // the same of the remote; 0: no EIP
  uint64_t expires_ms = 0;
  FlowState state = FlowState::opening;
  model::Direction opened = model::Direction::outbound;
  uint8_t icmp_code = 0;
  uint32_t bucket = 0;
  uint32_t way = 0;
};

using FlowMap = std::map<FlowKey, Flow>;

struct EipCount {
  uint64_t in_packets = 0, in_bytes = 0, out_packets = 0, out_bytes = 0;
  friend bool operator==(const EipCount&, const EipCount&) = default;
};

struct PortCount {
  uint64_t received_packets = 0, received_bytes = 0, transmitted_packets = 0, transmitted_bytes = 0;
  friend bool operator==(const PortCount&, const PortCount&) = default;
};

struct Counts {
  std::vector<PortCount> ports;
  std::map<std::string, uint64_t> dropped;  // by reason; reasons that never occurred are absent
  uint64_t originated = 0;
  uint64_t punted = 0;
  uint64_t held = 0;                                       // a level
  uint64_t eip_packets = 0, eip_bytes = 0, rule_hits = 0;  // of all EIPs and rules that ever were
  // What has befallen packets of either family, for a run to say what it has met: "IPv6 dropped: unbound",
  // "IPv6 fragment passed".
  std::map<std::string, uint64_t> events;
};

enum class Fate : uint8_t { transmitted, answered, punted, dropped };

struct Verdict {
  Fate fate = Fate::dropped;
  std::string reason;   // dropped: why
  PortNumber port = 0;  // transmitted, answered: by which port
  Bytes bytes;          // transmitted, answered, punted: as it left
  Bytes received = {};  // as its endpoint sent it: without what its link had put on
  Bytes packet = {};    // transmitted, answered: as it left, without what a link puts on
  // What the two lists said, as far as they were asked.
  struct Said {
    bool permits = false;
    std::optional<std::string> rule;  // by which; none: a flow entry
  };
  std::optional<Said> source = {}, destination = {};
};

struct Turn {
  std::vector<std::vector<Verdict>> verdicts;  // by in-port, in order of arrival
  std::vector<std::vector<Bytes>> sent;        // by out-port, in order
  std::vector<Bytes> punted;                   // in order
};

class Gateway {
 public:
  explicit Gateway(Setup setup, model::Generation generation = 0);

  // --- desired state; the caller hands in only calls that the model took ---
  void create_pool(const model::Pool& pool);
  void delete_pool(const std::string& id);
  void create_vm(const model::Vm& vm);
  void move_vm(const model::VmKey& key, const model::Location& location);
  void delete_vm(const model::VmKey& key);
  void request_eip(const model::VmKey& vm, const IpAddr& address);  // address: the one that the model chose
  void release_eip(const IpAddr& address);
  void set_permit_list(const IpAddr& address, std::vector<model::PermitRule> rules, bool keep_established);
  void set_tag(const IpAddr& address, std::set<std::string> tags);
  void set_flow_quota(const IpAddr& address, uint32_t flows);                 // 0: the setup's
  void set_tenant_flow_quota(const model::TenantId& tenant, uint32_t flows);  // the same way
  void end_keep(const IpAddr& address);
  // FAILED_PRECONDITION of keep_established: some inbound rule that tracks nothing would be taken away.
  [[nodiscard]] bool may_keep(const IpAddr& address, const std::vector<model::PermitRule>& list) const;

  // --- the world ---
  void set_neighbour(IpFamily family, std::optional<Mac> mac);  // the uplink's next hop
  // A station of the underlay that tunnels over the port may have as their next hop.
  void set_underlay_neighbour(PortNumber port, const IpAddr& address, std::optional<Mac> mac);
  // Frames that the link takes from now on, of what one worker transmits.
  void set_room(PortNumber port, uint32_t transmitter, uint64_t frames) {
    lanes_[port][transmitter].room = frames;
  }
  void punts_collected() { punt_ring_ = 0; }
  // Whether every punt meter has its whole burst to give, so that the phase of its clock cannot matter.
  [[nodiscard]] bool punt_meters_full(uint64_t now_ms) const;

  // One turn: what arrived on each port (by PortNumber, at most 64 frames each) and what the punt thread
  // sends.
  [[nodiscard]] Turn poll(uint64_t now_ms, const std::vector<std::vector<Arrival>>& arrivals,
                          const std::vector<Bytes>& originated);
  void age_all(uint64_t now_ms);

  // --- what can be seen ---
  [[nodiscard]] const Setup& setup() const { return setup_; }
  [[nodiscard]] const model::State& state() const { return state_; }
  [[nodiscard]] const FlowMap& flows() const { return flows_; }
  [[nodiscard]] uint32_t flows_of(const IpAddr& eip) const;  // dead ones too
  // The same of all EIPs that the tenant has, or had.
  [[nodiscard]] uint32_t flows_of_tenant(const model::TenantId& tenant) const;
  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] EipCount eip_count(const IpAddr& eip) const;
  [[nodiscard]] std::map<std::string, uint64_t> rule_hits(
      const IpAddr& eip) const;  // of the rules it has now
  [[nodiscard]] bool in_edge_view(const model::Eip& eip) const;

 private:
  // A datagram of which the first fragment has passed.
  struct Datagram {
    IpAddr source, destination;
    uint32_t identification = 0;
    uint8_t protocol = 0;  // of the first one
    PortNumber in = 0;
    uint32_t worker = 0;
    Encapsulation link;
    uint32_t link_number = 0;
    IpAddr eip;                // whose share it has
    uint64_t incarnation = 0;  // of that EIP
    uint64_t expires_ms = 0;
    bool refuses = false;      // parts overlapped
    std::set<uint32_t> parts;  // of eight bytes, by number
    uint32_t end = 0;          // 0: the last one has not come
    uint16_t source_port = 0, destination_port = 0;
    uint8_t tcp_flags = 0, icmp_type = 0, icmp_code = 0, sctp_chunk = 0;
  };
  struct Quote;
  struct Packet;
  struct Side;
  struct Question;
  struct Judgement;

  using Refusal = std::optional<std::string>;  // why the packet goes no further
  // decapsulate, encapsulate
  [[nodiscard]] Refusal decapsulate(Packet& packet) const;
  [[nodiscard]] Refusal take_off_tags(Packet& packet) const;
  [[nodiscard]] Refusal take_off_tunnel(Packet& packet) const;
  [[nodiscard]] Refusal take_off_inner_tags(Packet& packet) const;
  [[nodiscard]] bool has_endpoint(PortNumber port, const Encapsulation& link) const;
  [[nodiscard]] bool looks_at_tags(PortNumber port) const;
  [[nodiscard]] std::optional<Mac> underlay_next_hop(PortNumber port, const Encapsulation& link) const;
  [[nodiscard]] uint16_t mtu_inside(PortNumber port, const Encapsulation& link) const;
  [[nodiscard]] Bytes encapsulate(PortNumber port, const Encapsulation& link, const Bytes& frame) const;
  [[nodiscard]] bool is_underlay(const Packet& packet, IpFamily family) const;
  [[nodiscard]] bool is_on_link(PortNumber port, const IpAddr& address) const;
  [[nodiscard]] Verdict put_on_link(const Packet& packet, Verdict verdict);
  // parse
  [[nodiscard]] Refusal parse(Packet& packet) const;
  [[nodiscard]] static Refusal parse_ipv4(Packet& packet);
  [[nodiscard]] static Refusal parse_fragment(Packet& packet);
  [[nodiscard]] static Refusal parse_ipv6(Packet& packet, bool to_group);
  [[nodiscard]] static Refusal parse_ipv6_fragment(Packet& packet, size_t at);
  [[nodiscard]] static Refusal parse_transport(Packet& packet);
  [[nodiscard]] static Refusal parse_quote(Packet& packet);
  [[nodiscard]] static Refusal quote_ipv4(const Packet& packet, Quote& quote);
  [[nodiscard]] static Refusal quote_ipv6(const Packet& packet, Quote& quote);
  // punt
  [[nodiscard]] bool is_for_gateway(const Packet& packet) const;
  [[nodiscard]] Verdict to_gateway(const Packet& packet, uint64_t now_ms);
  [[nodiscard]] Verdict arp(Packet& packet, uint64_t now_ms);
  [[nodiscard]] Verdict neighbor(const Packet& packet, uint64_t now_ms);
  [[nodiscard]] bool answers_for(const PortSetup& port, const IpAddr& asked) const;
  struct Meter;
  [[nodiscard]] Verdict punt(const Packet& packet, Meter& meter, uint64_t now_ms);
  // identify
  [[nodiscard]] Refusal identify(Packet& packet) const;
  [[nodiscard]] const model::Pool* pool_of(const IpAddr& address) const;
  [[nodiscard]] const model::Eip* eip_at(const IpAddr& address) const;
  [[nodiscard]] const model::Vm& vm_of(const model::Eip& eip) const;
  [[nodiscard]] IpAddr dip_of(const model::Eip& eip) const;
  [[nodiscard]] bool is_local(const IpPrefix& prefix) const;
  [[nodiscard]] bool is_external(const model::PermitRule& rule) const;
  // admit
  [[nodiscard]] Refusal admit(Packet& packet, uint64_t now_ms) const;
  [[nodiscard]] Judgement judge_leaving(const Packet& packet, const Side& side, uint64_t now_ms) const;
  [[nodiscard]] Judgement judge_entering(const Packet& packet, const Side& side, uint64_t now_ms) const;
  [[nodiscard]] Judgement judge_error(const Packet& packet, Side& side, uint64_t now_ms) const;
  [[nodiscard]] Judgement judge_by_flow(const Packet& packet, const Side& side, uint64_t now_ms) const;
  [[nodiscard]] static bool names(const model::Remote& remote, const model::TenantId& tenant,
                                  const Question& q);
  [[nodiscard]] std::optional<std::string> match(const model::Eip& owner, const Question& question,
                                                 std::optional<bool> tracked) const;
  [[nodiscard]] const Flow* valid_flow(const FlowKey& key, const Side& side, uint64_t now_ms) const;
  [[nodiscard]] bool counts_still(const FlowKey& key, const Flow& flow, const model::Eip& owner,
                                  const model::Eip* remote) const;
  [[nodiscard]] bool is_kept(const Flow& flow, const model::Eip& owner, const model::Eip* remote) const;
  [[nodiscard]] bool list_permits(const FlowKey& key, const Flow& flow, const model::Eip& owner,
                                  const model::Eip* remote) const;
  // fragments
  [[nodiscard]] Refusal follow(Packet& packet, const std::vector<Packet*>& firsts, uint64_t now_ms);
  [[nodiscard]] static const model::Eip& sharer(const Packet& packet);
  [[nodiscard]] uint32_t number_of(const Packet& packet) const;
  [[nodiscard]] Datagram* datagram_of(const Packet& packet, uint64_t now_ms);
  [[nodiscard]] static bool add_part(Datagram& datagram, const Packet& packet);
  void keep(Datagram datagram, uint64_t now_ms);
  // route, commit, translate
  [[nodiscard]] Refusal route(Packet& packet) const;
  [[nodiscard]] Verdict drop_and_tell(const Packet& packet, const std::string& reason, uint64_t now_ms);
  [[nodiscard]] std::optional<IpAddr> teller(const Packet& packet) const;
  [[nodiscard]] uint64_t error_due(const model::Eip& eip, uint64_t now_ms) const;
  [[nodiscard]] bool may_have_error(const model::Eip& eip, uint64_t now_ms) const;
  void take_error(const model::Eip& eip, uint64_t now_ms);
  [[nodiscard]] Refusal commit(const Packet& packet, uint64_t now_ms);
  [[nodiscard]] bool over_quota(const std::vector<std::pair<const Side*, FlowKey>>& opens) const;
  [[nodiscard]] bool over_tenant_quota(const std::vector<std::pair<const Side*, FlowKey>>& opens) const;
  [[nodiscard]] bool no_room(const std::vector<std::pair<const Side*, FlowKey>>& opens,
                             uint64_t now_ms) const;
  [[nodiscard]] uint32_t way_for(const FlowKey& key, uint64_t now_ms) const;
  void write_flow(const Packet& packet, const Side& side, const FlowKey& key, uint64_t now_ms);
  [[nodiscard]] Bytes translate(const Packet& packet) const;
  struct Addresses;
  void translate_quote(const Packet& packet, const Addresses& outer, Bytes& bytes) const;
  [[nodiscard]] uint32_t idle_ms(uint8_t protocol, FlowState state) const;

  struct Burst;
  // Parsed, and identified; what is for the gateway itself is settled.
  [[nodiscard]] Burst receive(PortNumber in, uint32_t worker, const std::vector<Arrival>& arrivals,
                              uint64_t now_ms);
  void judge(Burst& burst, uint64_t now_ms);
  void settle(Burst burst, uint32_t worker, uint64_t now_ms, Turn& turn);
  static void note_judgements(const Packet& packet, Verdict& verdict);
  [[nodiscard]] uint32_t owner_of(const Packet& packet) const;
  // Packets on their way from one worker to another, and all that are.
  using Way = std::deque<Packet>;
  using Ways = std::map<std::pair<uint32_t, uint32_t>, Way>;
  void hand_over(Burst& burst, uint32_t worker, Ways& ways);
  void take_over(Way& way, uint32_t worker, uint64_t now_ms, Turn& turn);
  void note_events(const Packet& packet, const Verdict& verdict);
  Verdict drop(std::string reason);
  void queue(Verdict& verdict, uint32_t worker);
  void flush(PortNumber port, uint32_t worker, Turn& turn);

  Setup setup_;
  PortNumber uplink_ = 0;
  model::State state_;
  std::map<IpFamily, Mac> neighbours_;
  std::map<std::pair<PortNumber, IpAddr>, Mac> underlay_neighbours_;
  // What one worker has to transmit by a port.
  struct Lane {
    uint64_t room = UINT64_MAX;
    std::deque<Bytes> waiting;
  };
  std::vector<std::vector<Lane>> lanes_;  // by port and transmitter
  // A token bucket, full at first; in thousandths of a packet.
  struct Meter {
    uint32_t rate = 0;   // packets a second
    uint64_t spent = 0;  // below its burst, at spent_ms
    uint64_t spent_ms = 0;

    // What may come at one moment: a tenth of a second's worth, and a receive burst at least.
    [[nodiscard]] uint64_t burst() const { return std::max<uint64_t>(rate / 10, 64) * 1000; }
    [[nodiscard]] uint64_t tokens(uint64_t now_ms) const;
  };
  std::vector<std::vector<Meter>> punt_meters_, next_hop_meters_;  // by port and receiver
  uint64_t punt_ring_ = 0;
  std::vector<Bytes> punted_;  // in this turn
  FlowMap flows_;
  std::list<Datagram> datagrams_;            // in fragments, the oldest first
  std::map<uint64_t, uint64_t> errors_due_;  // by Eip::created; when the next one is due, in ticks
  Counts counts_;
  std::map<IpAddr, EipCount> eip_counts_;
  std::map<IpAddr, std::map<std::string, uint64_t>> hits_;  // by rule
};

}  // namespace portcullis::reference
