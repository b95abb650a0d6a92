// The real server, control thread, model, publisher and tables; the store is memory and no worker polls.
#pragma once

#include <google/protobuf/text_format.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/service/server.h"
#include "control/store/store.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis::service {

using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::TextFormat;

class MemoryStore final : public store::Store {
 public:
  Expected<model::State> load() override { return model::State(); }
  Expected<void> append(std::span<const store::Entry> entries) override {
    for (const store::Entry& entry : entries)
      if (entry.request != nullptr)
        requests_.insert_or_assign({entry.request->caller, entry.request->id}, *entry.request);
    return {};
  }
  Expected<std::optional<store::AnsweredRequest>> recall(const std::string& caller,
                                                         const std::string& id) override {
    const auto found = requests_.find({caller, id});
    return found == requests_.end() ? std::nullopt : std::optional(found->second);
  }
  Expected<void> forget_requests(int64_t) override { return {}; }
  Expected<bool> compact(const model::State&, size_t) override { return false; }
  bool is_compacting() const override { return false; }
  void preserve(std::span<const model::Change>) override {}
  Size log_size() const override { return {}; }
  uint64_t snapshot_bytes() const override { return 0; }

 private:
  std::map<std::pair<std::string, std::string>, store::AnsweredRequest> requests_;
};

inline constexpr uint32_t flow_quota = 100;
inline constexpr PortId uplink = 0, vm0 = 1, hosts = 2;
inline constexpr uint64_t now_ms = 1'000'000;  // of the worker

struct Answer {
  grpc::Status status;
  std::string bytes;                  // the first message
  std::vector<std::string> messages;  // of a stream all of them
};

inline std::string bytes_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (buffer.Dump(&slices).ok())
    for (const grpc::Slice& part : slices)
      bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
  return bytes;
}

// Any method, by its path and the bytes of its request, to the end of its answer.
inline Answer call_raw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                       const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  grpc::CompletionQueue queue;
  const auto is_done = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const grpc::Slice slice(request);
  const grpc::ByteBuffer buffer(&slice, 1);
  const auto stream = stub.PrepareCall(&context, path, &queue);
  Answer answer;
  stream->StartCall(nullptr);
  if (is_done()) {
    stream->WriteLast(buffer, {}, nullptr);
    static_cast<void>(is_done());
    for (grpc::ByteBuffer reply; stream->Read(&reply, nullptr), is_done();)
      answer.messages.push_back(bytes_of(reply));
  }
  stream->Finish(&answer.status, nullptr);
  static_cast<void>(is_done());
  if (answer.status.ok() && !answer.messages.empty()) answer.bytes = answer.messages.front();
  return answer;
}

// Every method of the three services, by its path without the package: "TenantService/GetEip".
inline std::map<std::string, const MethodDescriptor*> methods() {
  std::map<std::string, const MethodDescriptor*> all;
  for (const auto* file : {v1::GetEipRequest::descriptor()->file(), v1::GetVmRequest::descriptor()->file(),
                           v1::ListDropsRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m)
        all[file->service(s)->name() + "/" + file->service(s)->method(m)->name()] =
            file->service(s)->method(m);
    }
  }
  return all;
}

class Api : public testing::Test {
 protected:
  Api()
      : plane_({.eips = 16,
                .spare_records = 8,
                .spare = 8,
                .spare_chunks = 8,
                .index_pages = 4,
                .permit_chunks = 16,
                .tag_sets = 16}),
        control_(
            {.tick = std::chrono::hours(1)},
            model::Model({.eips = 16, .index_pages = 4, .permit_chunks = 16, .flows_per_eip = flow_quota},
                         {{"vm0", {}}, {"hosts", tunnels()}}),
            std::make_unique<MemoryStore>(), publisher()) {}

  void SetUp() override {
    char pattern[] = "/tmp/portcullis-api-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    prepare();
    PortTable& ports = plane_.tables->ports;
    ports.ports[uplink] = {.role = PortRole::uplink,
                           .mac = *Mac::parse("02:00:00:00:ff:00"),
                           .mtu = 9000,
                           .next_hop = Ipv4Addr::of(198, 51, 100, 254)};
    ports.ports[vm0] = {.role = PortRole::endpoint, .mac = *Mac::parse("02:00:00:00:ff:01")};
    ports.uplink = uplink;
    ports.ports[hosts] = {.role = PortRole::endpoint,
                          .mac = *Mac::parse("02:00:00:00:ff:02"),
                          .tunnel = {.ipv4 = Ipv4Addr::of(192, 0, 2, 1), .ipv4_length = 24}};
    ports.in_use = {uplink, vm0, hosts};
    ASSERT_TRUE(control_.start());
    auto server = start_server();
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = std::move(*server);
    channel_ = grpc::CreateChannel("unix:" + socket(), grpc::InsecureChannelCredentials());
  }
  void TearDown() override {
    server_ = nullptr;
    control_.stop();
    std::filesystem::remove_all(directory_);
  }

  // Before the server starts: what its configuration names.
  virtual void prepare() {}

  Expected<std::unique_ptr<Server>> start_server() { return Server::start(config(), control_, sources()); }
  Sources sources() {
    return {.tables = plane_.tables.get(),
            .workers = {plane_.worker.get()},
            .ports = port_facts(),
            .link =
                [](PortId port) {
                  return LinkState{port == uplink, uint64_t{port} + 40};
                },
            .captures = captures_.get(),
            .ask = [this](const Worker&, Errand& errand) { return ask(errand); },
            .patience = patience(),
            .silence = silence(),
            .next_hop_patience = next_hop_patience()};
  }
  virtual std::vector<PortFacts> port_facts() const {
    return {{uplink, "wan", "net_ring0", 0}, {vm0, "vm0", "net_ring1", -1}};
  }
  // Any thread but control's.
  virtual Expected<void> ask(Errand& errand) {
    plane_.worker->carry_out(errand, now_ms);
    return {};
  }
  virtual std::chrono::milliseconds patience() const { return std::chrono::seconds(30); }
  virtual std::chrono::milliseconds silence() const { return std::chrono::seconds(10); }
  virtual std::chrono::milliseconds next_hop_patience() const { return std::chrono::milliseconds(0); }
  virtual ServerConfig config() const { return {.socket = socket()}; }
  std::string socket() const { return directory_ + "/run/api.sock"; }

  Answer call(const std::string& method, const Message& request) {
    return call_raw(channel_, "/portcullis.v1." + method, request.SerializeAsString());
  }
  template <typename Request>
  Answer call(const std::string& method, const std::string& text) {
    Request request;
    EXPECT_TRUE(TextFormat::ParseFromString(text, &request)) << text;
    return call(method, request);
  }
  template <typename Reply, typename Request>
  Reply get(const std::string& method, const std::string& text) {
    const Answer answer = call<Request>(method, text);
    EXPECT_TRUE(answer.status.ok()) << method << ": " << answer.status.error_message();
    Reply reply;
    EXPECT_TRUE(reply.ParseFromString(answer.bytes));
    return reply;
  }
  // Of a refusal: the field that it names first, or nothing.
  static std::string field_of(const Answer& answer) {
    google::rpc::Status details;
    google::rpc::BadRequest bad_request;
    EXPECT_TRUE(details.ParseFromString(answer.status.error_details()));
    for (const auto& detail : details.details()) detail.UnpackTo(&bad_request);
    return bad_request.field_violations_size() == 0 ? "" : bad_request.field_violations(0).field();
  }
  struct Refusal {
    const char* request;  // in text format
    grpc::StatusCode code;
    const char* field;
  };
  // `call`: of a request, an Answer.
  template <typename Call>
  static void expect_refused(std::initializer_list<Refusal> refusals, Call&& call) {
    for (const Refusal& expected : refusals) {
      const Answer answer = call(expected.request);
      EXPECT_EQ(answer.status.error_code(), expected.code)
          << expected.request << ": " << answer.status.error_message();
      EXPECT_EQ(field_of(answer), expected.field) << expected.request;
      EXPECT_TRUE(answer.messages.empty());
    }
  }
  // A vm "web" of tenant acme with the EIP 203.0.113.1.
  void populate() {
    get<v1::CreatePoolResponse, v1::CreatePoolRequest>(
        "ProviderService/CreatePool", "pool { name: 'pools/public' prefix: '203.0.113.0/24' kind: LOCAL }");
    add_vm("acme", "web", 2);
  }
  void add_vm(const std::string& tenant, const std::string& id, int host) {
    get<v1::CreateVmResponse, v1::CreateVmRequest>(
        "ProviderService/CreateVm", "vm { name: 'tenants/" + tenant + "/vms/" + id +
                                        "' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0." +
                                        std::to_string(host) + "' }");
    get<v1::RequestEipResponse, v1::RequestEipRequest>("TenantService/RequestEip",
                                                       "vm: 'tenants/" + tenant + "/vms/" + id + "'");
  }

  DataPlane plane_;
  std::unique_ptr<Captures> captures_ = *Captures::create(*plane_.tables, plane_.rcu.get(), {-1}, 1500);
  Control control_;
  std::string directory_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;

 private:
  static model::EndpointPort tunnels() {
    return {.ipv4 = model::TunnelEnd{Ipv4Addr::of(192, 0, 2, 1), *IpPrefix::parse("192.0.2.0/24"), false},
            .ipv6 = {}};
  }
  publish::Publisher publisher() {
    publish::Publisher publisher(*plane_.tables, plane_.rcu.get(),
                                 {{"wan", uplink}, {"vm0", vm0}, {"hosts", hosts}}, flow_quota);
    publisher.add_worker(plane_.worker.get());
    return publisher;
  }
};

}  // namespace portcullis::service
