#include "bench/control/client.h"

#include <google/protobuf/arena.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "src/net/address.h"

namespace portcullis::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t populated_at_once = 10'000;

void must(const grpc::Status& status) {
  if (!status.ok()) throw std::runtime_error("the gateway refuses: " + status.error_message());
}

std::string vm_name(uint32_t n) {
  return "tenants/bench/vms/v" + std::to_string(n);
}
std::string eip_name(uint32_t n) {
  return "tenants/bench/eips/" + Ipv4Addr::from_host(first_eip + 1 + n).to_string();
}

// Four rules, of which one is of the version: two versions after each other differ.
void fill(v1::SetPermitListRequest& request, uint32_t n, uint32_t version) {
  request.set_eip(eip_name(n));
  const auto add = [&](const char* name, const char* protocol, uint32_t port) {
    v1::PermitRule& rule = *request.add_rules();
    rule.set_name(name);
    rule.set_direction(v1::PermitRule::INBOUND);
    rule.mutable_remote()->set_any(true);
    rule.set_protocol(protocol);
    if (port == 0) return;
    rule.mutable_local_ports()->set_first(port);
    rule.mutable_local_ports()->set_last(port);
  };
  add("dns", "udp", 53);
  add("https", "tcp", 443);
  add("ping", "icmp", 0);
  add("version", "tcp", 1024 + version % 60'000);
}

grpc::ByteBuffer serialised(const v1::ApplyRequest& request) {
  grpc::ByteBuffer buffer;
  bool is_own = false;
  must(grpc::SerializationTraits<v1::ApplyRequest>::Serialize(request, &buffer, &is_own));
  return buffer;
}

std::shared_ptr<grpc::Channel> channel_to(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

Seconds own_cpu_time() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return Seconds(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// `call(n)`: sets the nth batch of lists, and says how many; on `streams` threads until the time is over.
template <typename Call>
Updates measure(uint32_t streams, Seconds duration, const GatewayProcess& gateway, Call&& call) {
  Updates all;
  std::mutex mutex;
  std::string failure;
  std::atomic<uint64_t> next{0};
  const Seconds own_before = own_cpu_time(), others_before = gateway.cpu_time();
  const auto began = Clock::now();
  const auto end = began + std::chrono::duration_cast<Clock::duration>(duration);
  std::vector<std::jthread> threads;
  for (uint32_t stream = 0; stream < streams; ++stream)
    threads.emplace_back([&] {
      Updates own;
      try {
        while (Clock::now() < end) {
          const auto asked = Clock::now();
          own.lists += call(next++);
          own.latencies_us.push_back(Seconds(Clock::now() - asked).count() * 1e6);
        }
      } catch (const std::exception& error) {
        const std::scoped_lock lock(mutex);
        failure = error.what();
      }
      const std::scoped_lock lock(mutex);
      all.lists += own.lists;
      all.latencies_us.insert(all.latencies_us.end(), own.latencies_us.begin(), own.latencies_us.end());
    });
  threads.clear();
  all.taken = Clock::now() - began;
  all.client_cpu = own_cpu_time() - own_before;
  all.gateway_cpu = gateway.cpu_time() - others_before;
  if (!failure.empty()) throw std::runtime_error(failure);
  return all;
}

}  // namespace

Controller::Controller(const std::string& target) : channel_(channel_to(target)), raw_(channel_) {
  tenant_ = v1::TenantService::NewStub(channel_);
  provider_ = v1::ProviderService::NewStub(channel_);
  observe_ = v1::ObserveService::NewStub(channel_);
}

void Controller::populate(uint32_t count) {
  for (uint32_t first = 0; first < count; first += populated_at_once) {
    const uint32_t end = std::min(count, first + populated_at_once);
    v1::ApplyRequest request;
    for (uint32_t n = first; n < end; ++n) {
      v1::Vm& vm = *request.add_operations()->mutable_create_vm()->mutable_vm();
      vm.set_name(vm_name(n));
      vm.mutable_location()->set_port("vms");
      vm.mutable_location()->set_mac("02:00:00:00:00:01");
      vm.set_dip(Ipv4Addr::from_host(first_dip + 1 + n).to_string());
      request.add_operations()->mutable_request_eip()->set_vm(vm_name(n));
      fill(*request.add_operations()->mutable_set_permit_list(), n, version_);
    }
    grpc::ClientContext context;
    v1::ApplyResponse reply;
    must(provider_->Apply(&context, request, &reply));
  }
}

void Controller::apply(const grpc::ByteBuffer& request, v1::ApplyResponse& reply) {
  grpc::CompletionQueue done;
  grpc::ClientContext context;
  const auto call = raw_.PrepareUnaryCall(&context, "/portcullis.v1.ProviderService/Apply", request, &done);
  call->StartCall();
  grpc::ByteBuffer answer;
  grpc::Status status;
  void* tag = nullptr;
  bool is_ok = false;
  call->Finish(&answer, &status, &tag);
  if (!done.Next(&tag, &is_ok)) throw std::runtime_error("the call has no end");
  must(status);
  must(grpc::SerializationTraits<v1::ApplyResponse>::Deserialize(&answer, &reply));
}

Updates Controller::update(uint32_t count, uint32_t batch, uint32_t streams, Seconds duration, bool dry_run,
                           const GatewayProcess& gateway) {
  // Two versions of every batch, made and serialised before: what is measured is to send them.
  const uint32_t batches = std::max(1u, count / batch);
  // A step that is prime to the number of EIPs: batches are spread over all of them.
  uint32_t step = 2'654'435'761u % count | 1u;
  while (std::gcd(step, count) != 1) step += 2;
  const uint32_t wanted_versions[2] = {version_ + 1, version_ + 2};
  version_ += 2;
  std::vector<grpc::ByteBuffer> requests;
  for (uint32_t n = 0; n < 2 * batches; ++n) {
    v1::ApplyRequest request;
    request.set_dry_run(dry_run);
    for (uint64_t i = 0; i < batch; ++i)
      fill(*request.add_operations()->mutable_set_permit_list(),
           static_cast<uint32_t>((uint64_t{n % batches} * batch + i) * step % count),
           wanted_versions[n / batches]);
    requests.push_back(serialised(request));
  }
  return measure(streams, duration, gateway, [&](uint64_t n) {
    google::protobuf::Arena arena;
    auto& reply = *google::protobuf::Arena::CreateMessage<v1::ApplyResponse>(&arena);
    apply(requests[n % requests.size()], reply);
    if (reply.results_size() != static_cast<int>(batch))
      throw std::runtime_error("the gateway has answered for " + std::to_string(reply.results_size()) +
                               " lists of " + std::to_string(batch));
    return batch;
  });
}

Updates Controller::single(uint32_t count, Seconds duration, const GatewayProcess& gateway) {
  ++version_;
  return measure(1, duration, gateway, [&](uint64_t n) {
    v1::SetPermitListRequest request;
    fill(request, static_cast<uint32_t>(n % count), version_ + static_cast<uint32_t>(n / count));
    grpc::ClientContext context;
    v1::SetPermitListResponse reply;
    must(tenant_->SetPermitList(&context, request, &reply));
    return 1u;
  });
}

v1::Gateway Controller::gateway() {
  grpc::ClientContext context;
  v1::Gateway reply;
  must(observe_->GetGateway(&context, {}, &reply));
  return reply;
}

uint64_t Controller::passed_packets() {
  grpc::ClientContext context;
  v1::ListPortsResponse reply;
  must(observe_->ListPorts(&context, {}, &reply));
  for (const auto& port : reply.ports())
    if (port.name() == "ports/vms") return port.transmitted_packets();
  throw std::runtime_error("there is no port vms");
}

}  // namespace portcullis::bench
