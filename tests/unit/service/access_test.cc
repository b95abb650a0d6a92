// Who may do what, over TLS with real certificates: every method of the API, as the services' descriptors
// list them, is called by another tenant and by the tenant itself. And what the audit log says of it.
#include "control/service/access.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <thread>
#include <utility>

#include "control/service/reflection_seats.h"
#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

using Json = nlohmann::json;

std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Tls : public Api {
 protected:
  void prepare() override {
    authority("ca");
    certificate("server", "DNS:localhost,IP:127.0.0.1");
    certificate("provider", "URI:portcullis://provider");
    certificate("acme", "URI:https://example.net/acme,URI:portcullis://tenant/acme");
    certificate("other", "URI:portcullis://tenant/other");
  }
  ServerConfig config() const override {
    return {.socket = socket(),
            .tls = TlsConfig{"127.0.0.1:0", file("server.pem"), file("server.key"), file("ca.pem")},
            .audit_log = file("audit.log")};
  }
  std::string file(const std::string& name) const { return directory_ + "/" + name; }

  void openssl(const std::string& arguments) const {
    const std::string command = "cd '" + directory_ + "' && openssl " + arguments + " 2>openssl.log";
    ASSERT_EQ(std::system(command.c_str()), 0) << command << "\n" << text_of_file(file("openssl.log"));
  }
  void authority(const std::string& name) const {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=" + name +
            " -keyout " + name + ".key -out " + name + ".pem");
  }
  void certificate(const std::string& name, const std::string& alternative_names,
                   const std::string& issuer = "ca") const {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=" + name +
            " -CA " + issuer + ".pem -CAkey " + issuer + ".key -extensions usr_cert -addext subjectAltName=" +
            alternative_names + " -keyout " + name + ".key -out " + name + ".pem");
  }

  // A connection of its own with that certificate; empty: none.
  std::shared_ptr<grpc::Channel> channel(const std::string& certificate) const {
    grpc::SslCredentialsOptions options{.pem_root_certs = text_of_file(file("ca.pem"))};
    if (!certificate.empty()) {
      options.pem_private_key = text_of_file(file(certificate + ".key"));
      options.pem_cert_chain = text_of_file(file(certificate + ".pem"));
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("ipv4:127.0.0.1:" + std::to_string(server_->tls_port()),
                                     grpc::SslCredentials(options), arguments);
  }
  template <typename Request>
  grpc::Status call_as(const std::string& certificate, const std::string& method, const std::string& text) {
    Request request;
    EXPECT_TRUE(TextFormat::ParseFromString(text, &request)) << text;
    return call_raw(channel(certificate), "/portcullis.v1." + method, request.SerializeAsString()).status;
  }
  uint64_t generation() {
    return get<v1::Gateway, v1::GetGatewayRequest>("ObserveService/GetGateway", "").generation();
  }
  // Of calls.
  std::vector<Json> audited() const {
    std::vector<Json> lines;
    std::ifstream log(file("audit.log"));
    for (std::string line; std::getline(log, line);)
      if (Json read = Json::parse(line); read.at("call") != "Start") lines.push_back(std::move(read));
    return lines;
  }
};

// A method of the API: a request about what acme has, and what becomes of it when another tenant and acme
// itself make it. The provider may make all.
struct MethodAccess {
  const char* request;
  grpc::StatusCode other;
  grpc::StatusCode own;
};

constexpr MethodAccess for_the_provider(const char* request) {
  return {request, grpc::PERMISSION_DENIED, grpc::PERMISSION_DENIED};
}
constexpr MethodAccess for_its_tenant(const char* request) {
  return {request, grpc::NOT_FOUND, grpc::OK};
}

const std::map<std::string, MethodAccess> method_rows{
    {"TenantService/RequestEip", for_its_tenant("vm: 'tenants/acme/vms/web'")},
    {"TenantService/ReleaseEip", for_its_tenant("name: 'tenants/acme/eips/203.0.113.2'")},
    {"TenantService/GetEip", for_its_tenant("name: 'tenants/acme/eips/203.0.113.1'")},
    {"TenantService/ListEips", for_its_tenant("parent: 'tenants/acme'")},
    {"TenantService/SetPermitList",
     for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1' rules { name: 'web' direction: INBOUND protocol: "
                    "'tcp' remote { any: true } }")},
    {"TenantService/AddPermitRules",
     for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1' rules { name: 'open' direction: INBOUND remote { "
                    "any: true } }")},
    {"TenantService/RemovePermitRules", for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1' names: 'web'")},
    {"TenantService/GetPermitList", for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1'")},
    {"TenantService/SetTag", for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1' tags: 'stolen'")},
    {"TenantService/GetTenantQuota", for_its_tenant("tenant: 'tenants/acme'")},
    {"TenantService/GetEipQuota", for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1'")},

    {"ProviderService/CreateVm",
     for_the_provider("vm { name: 'tenants/acme/vms/x' location { port: 'vm0' mac: '02:00:00:00:00:09' } "
                      "dip: '10.0.0.9' }")},
    {"ProviderService/GetVm", for_the_provider("name: 'tenants/acme/vms/web'")},
    {"ProviderService/ListVms", for_the_provider("parent: 'tenants/acme'")},
    {"ProviderService/MoveVm", for_the_provider("name: 'tenants/acme/vms/web' location { port: 'vm0' mac: "
                                                "'02:00:00:00:00:09' }")},
    {"ProviderService/DeleteVm", for_the_provider("name: 'tenants/acme/vms/idle'")},
    {"ProviderService/CreatePool", for_the_provider("pool { name: 'pools/x' prefix: '198.18.0.0/24' kind: "
                                                    "LOCAL }")},
    {"ProviderService/GetPool", for_the_provider("name: 'pools/public'")},
    {"ProviderService/ListPools", for_the_provider("")},
    {"ProviderService/UpdatePool",
     for_the_provider("pool { name: 'pools/public' prefix: '203.0.112.0/23' }")},
    {"ProviderService/DeletePool", for_the_provider("name: 'pools/spare'")},
    {"ProviderService/SetTenantQuota", for_the_provider("tenant: 'tenants/acme' eips: 9")},
    {"ProviderService/ListTenantQuotas", for_the_provider("")},
    {"ProviderService/SetEipQuota", for_the_provider("eip: 'tenants/acme/eips/203.0.113.1' flows: 9")},

    {"ProviderService/Apply",
     for_its_tenant("operations { set_tag { eip: 'tenants/acme/eips/203.0.113.1' tags: 'stolen' } }")},
    {"ProviderService/Export", for_the_provider("")},
    {"ProviderService/Import", for_the_provider("document { } dry_run: true")},

    {"ObserveService/ListDrops", for_the_provider("")},
    {"ObserveService/ListPorts", for_the_provider("")},
    {"ObserveService/ListWorkers", for_the_provider("")},
    {"ObserveService/ListNextHops", for_the_provider("")},
    {"ObserveService/GetEipStatistics", for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1'")},
    {"ObserveService/GetGateway", for_the_provider("")},
    {"ObserveService/Capture", for_the_provider("seconds: 1")},
    {"ObserveService/Trace", for_the_provider("seconds: 1")},
    {"ObserveService/Explain",
     for_the_provider("fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'udp' }")},
    {"ObserveService/ListFlows", for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1'")},
    {"ObserveService/ClearFlows", for_its_tenant("eip: 'tenants/acme/eips/203.0.113.1'")},
    {"ObserveService/WatchEvents", for_its_tenant("parent: 'tenants/acme' until_now: true")},
};

std::string serialized(const MethodDescriptor& method, const std::string& text) {
  const std::unique_ptr<Message> request(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(method.input_type())->New());
  EXPECT_TRUE(TextFormat::ParseFromString(text, request.get())) << method.full_name() << ": " << text;
  return request->SerializeAsString();
}

TEST_F(Tls, EveryMethodIsClosedToAnotherTenantAndOpenToWhomItIsFor) {
  populate();
  add_vm("acme", "db", 3);
  get<v1::CreatePoolResponse, v1::CreatePoolRequest>(
      "ProviderService/CreatePool", "pool { name: 'pools/spare' prefix: '198.19.0.0/24' kind: LOCAL }");
  get<v1::CreateVmResponse, v1::CreateVmRequest>(
      "ProviderService/CreateVm",
      "vm { name: 'tenants/acme/vms/idle' location { port: 'vm0' mac: '02:00:00:00:00:05' } dip: '10.0.0.5' "
      "}");
  const uint64_t before = generation();
  const auto refuses = [&](const std::string& certificate, grpc::StatusCode MethodAccess::*expected) {
    const auto client = channel(certificate);
    for (const auto& [path, method] : methods()) {
      const auto row = method_rows.find(path);
      ASSERT_NE(row, method_rows.end()) << path << " has no row: say who may call it";
      const grpc::Status status =
          call_raw(client, "/portcullis.v1." + path, serialized(*method, row->second.request)).status;
      EXPECT_EQ(status.error_code(), row->second.*expected) << path << ": " << status.error_message();
    }
  };
  refuses("other", &MethodAccess::other);
  EXPECT_EQ(generation(), before);
  refuses("acme", &MethodAccess::own);
  EXPECT_GT(generation(), before);

  const auto provider = channel("provider");
  for (const auto& [path, method] : methods()) {
    if (method_rows.at(path).own == grpc::OK) continue;  // done already
    const grpc::Status status =
        call_raw(provider, "/portcullis.v1." + path, serialized(*method, method_rows.at(path).request))
            .status;
    EXPECT_TRUE(status.ok()) << path << ": " << status.error_message();
  }
}

// So no service has calls that the tests above do not make.
TEST_F(Tls, EveryServiceIsEnumerated) {
  const Answer told = call_raw(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                               std::string("\x3a\0", 2));  // list_services
  ASSERT_TRUE(told.status.ok()) << told.status.error_message();
  const std::regex name("(portcullis\\.[a-z0-9.]+)\\.([A-Za-z]+)");
  std::set<std::string> served, enumerated;
  for (std::sregex_iterator found(told.bytes.begin(), told.bytes.end(), name), end; found != end; ++found) {
    EXPECT_EQ((*found)[1], "portcullis.v1");
    served.insert((*found)[2]);
  }
  for (const auto& [path, method] : methods()) enumerated.insert(method->service()->name());
  EXPECT_EQ(served, enumerated);
}

class SmallMessages : public Tls {
 protected:
  ServerConfig config() const override {
    ServerConfig small = Tls::config();
    small.messages.by_tls = 50;
    return small;
  }
};

TEST_F(SmallMessages, WhatWouldHaveNoRoomInAnAnswerIsRefusedBeforeItIsDone) {
  populate();
  const uint64_t before = generation();
  const auto refused = [&](const std::string& method, const Message& request) {
    const Answer answer = call_raw(channel("provider"), "/portcullis.v1.ProviderService/" + method,
                                   request.SerializeAsString());
    EXPECT_EQ(answer.status.error_code(), grpc::RESOURCE_EXHAUSTED) << method;
    EXPECT_NE(answer.status.error_message().find("by the gateway's UNIX socket"), std::string::npos)
        << answer.status.error_message();
  };
  refused("Export", v1::ExportRequest());
  v1::ImportRequest nothing;
  nothing.mutable_document();
  refused("Import", nothing);
  nothing.set_request_id("once");
  refused("Import", nothing);
  EXPECT_EQ(generation(), before);
  const Answer kept = call("ProviderService/Export", v1::ExportRequest());
  v1::Document document;
  ASSERT_TRUE(document.ParseFromString(kept.bytes));
  EXPECT_EQ(document.vms_size(), 1);

  // What was refused was not remembered.
  EXPECT_TRUE(call("ProviderService/Import", nothing).status.ok());
  EXPECT_EQ(generation(), before + 1);
}

// A stream of server reflection that its caller leaves open.
class OpenReflection {
 public:
  explicit OpenReflection(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(2));
    stream_ = stub_.PrepareCall(&context_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                &queue_);
    stream_->StartCall(nullptr);
    if (!is_done()) return;
    const grpc::Slice list_services(std::string("\x3a\0", 2));
    stream_->Write(grpc::ByteBuffer(&list_services, 1), nullptr);
    if (!is_done()) return;
    grpc::ByteBuffer reply;
    stream_->Read(&reply, nullptr);
    is_answered_ = is_done();
  }
  ~OpenReflection() { static_cast<void>(end()); }
  OpenReflection(const OpenReflection&) = delete;
  OpenReflection& operator=(const OpenReflection&) = delete;

  [[nodiscard]] bool is_answered() const { return is_answered_; }
  grpc::StatusCode end() {
    if (stream_ == nullptr) return status_.error_code();
    if (is_answered_) context_.TryCancel();
    stream_->Finish(&status_, nullptr);
    static_cast<void>(is_done());
    stream_ = nullptr;
    return status_.error_code();
  }

 private:
  bool is_done() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  grpc::Status status_;
  bool is_answered_ = false;
};

TEST_F(Tls, OneCallerHasFewStreamsOfReflection) {
  certificate("nobody", "URI:https://example.net");
  std::vector<std::unique_ptr<OpenReflection>> open;
  for (uint32_t i = 0; i < most_reflection.of_tenant; ++i) {
    open.push_back(std::make_unique<OpenReflection>(channel("acme")));
    ASSERT_TRUE(open.back()->is_answered()) << i;
  }
  OpenReflection more(channel("acme"));
  EXPECT_FALSE(more.is_answered());
  EXPECT_EQ(more.end(), grpc::CANCELLED);
  EXPECT_TRUE(OpenReflection(channel("other")).is_answered());
  EXPECT_FALSE(OpenReflection(channel("nobody")).is_answered());
  EXPECT_TRUE(OpenReflection(channel_).is_answered()) << "the provider's, by the socket";

  open.pop_back();
  bool has_seat = false;
  for (const auto began = std::chrono::steady_clock::now();
       !has_seat && std::chrono::steady_clock::now() - began < std::chrono::seconds(15);
       std::this_thread::sleep_for(std::chrono::milliseconds(20)))
    has_seat = OpenReflection(channel("acme")).is_answered();
  EXPECT_TRUE(has_seat) << "a seat that was left is had again";
}

TEST(Access, WhatIsWrittenAtARequestIsWhole) {
  for (const auto& [path, method] : methods()) {
    const v1::Access& access = access_of(*method->input_type());
    const bool has_generation = method->output_type()->FindFieldByName("generation") != nullptr;
    const bool is_answer = method->output_type()->name() == method->name() + "Response";
    EXPECT_EQ(access.changes(), has_generation && is_answer) << path;
    EXPECT_FALSE(access.changes() && access.acts()) << path;
    EXPECT_TRUE(!access.tenant() || !access.object().empty() || !access.calls().empty()) << path;
    for (const char* field : {"expected_generation", "request_id"})
      EXPECT_EQ(access.changes(), method->input_type()->FindFieldByName(field) != nullptr) << path << field;
  }
}

TEST(Access, EveryCallThatChangesSomethingMayBeOneOfMany) {
  std::set<std::string> known{"ApplyRequest", "ImportRequest"};
  const auto& operation = *v1::Operation::descriptor();
  for (int i = 0; i < operation.field_count(); ++i) known.insert(operation.field(i)->message_type()->name());
  for (const auto& [path, method] : methods()) {
    const bool changes = access_of(*method->input_type()).changes();
    EXPECT_TRUE(!changes || known.contains(method->input_type()->name())) << path;
  }
}

TEST(Access, AnObjectIsFoundByItsPath) {
  v1::CreateVmRequest request;
  EXPECT_EQ(object_of(request), "");
  request.mutable_vm()->set_name("tenants/acme/vms/web");
  EXPECT_EQ(object_of(request), "tenants/acme/vms/web");
  EXPECT_EQ(object_of(v1::ListPoolsRequest()), "");
}

TEST(Access, ATenantHasWhatIsBelowItsNameAndNothingElse) {
  const Identity acme{"acme"};
  v1::GetEipRequest request;
  for (const char* own : {"tenants/acme/eips/203.0.113.1", "tenants/acme/nonsense", "tenants/acme"}) {
    request.set_name(own);
    EXPECT_TRUE(authorise(acme, request)) << own;
  }
  for (const char* strange :
       {"", "tenants", "tenants/", "tenants/-", "tenants/acm/eips/203.0.113.1", "pools/public",
        "tenants/acme2/eips/203.0.113.1", " tenants/acme/eips/203.0.113.1", "Tenants/acme/eips/203.0.113.1",
        "tenants//acme/eips/203.0.113.1", "tenants/other/eips/203.0.113.1"}) {
    request.set_name(strange);
    const auto allowed = authorise(acme, request);
    ASSERT_FALSE(allowed.has_value()) << strange;
    EXPECT_EQ(allowed.error().code, ErrorCode::not_found) << strange;
    EXPECT_EQ(allowed.error().field, "name") << strange;
    EXPECT_TRUE(authorise({}, request)) << strange;
  }
}

TEST(Access, EachOfManyCallsIsJudgedByItself) {
  const Identity acme{"acme"};
  v1::ApplyRequest request;
  request.add_operations()->mutable_set_tag()->set_eip("tenants/acme/eips/203.0.113.1");
  request.add_operations();  // none: the handler refuses it
  EXPECT_TRUE(authorise(acme, request));
  request.add_operations()->mutable_release_eip()->set_name("tenants/other/eips/203.0.113.2");
  const auto strange = authorise(acme, request);
  ASSERT_FALSE(strange);
  EXPECT_EQ(strange.error().code, ErrorCode::not_found);
  EXPECT_EQ(strange.error().field, "operations[2].release_eip.name");
  request.mutable_operations(2)->mutable_delete_vm()->set_name("tenants/acme/vms/web");
  const auto too_much = authorise(acme, request);
  ASSERT_FALSE(too_much);
  EXPECT_EQ(too_much.error().code, ErrorCode::permission_denied);
  EXPECT_EQ(too_much.error().field, "operations[2].delete_vm");
  EXPECT_TRUE(authorise({}, request));
}

TEST(IdentityOf, ExactlyOneUriSaysWhoItIs) {
  using Uris = std::vector<std::string>;
  EXPECT_EQ(identity_of(Uris{"portcullis://provider"}).value(), Identity{});
  EXPECT_EQ(identity_of(Uris{"spiffe://x/y", "portcullis://tenant/acme"}).value(), Identity{"acme"});
  for (const Uris& uris :
       {Uris{}, Uris{"https://example.net"}, Uris{"portcullis://tenant/"}, Uris{"portcullis://tenant/-"},
        Uris{"portcullis://tenant/acme/eips"}, Uris{"portcullis://tenant/Acme"}, Uris{"portcullis://tenant"},
        Uris{"portcullis://provider/"}, Uris{"portcullis://admin"}, Uris{"Portcullis://provider"},
        Uris{"portcullis://tenant/acme", "portcullis://tenant/other"},
        Uris{"portcullis://provider", "portcullis://provider"}}) {
    const auto identity = identity_of(uris);
    ASSERT_FALSE(identity.has_value()) << (uris.empty() ? "none" : uris.front());
    EXPECT_EQ(identity.error().code, ErrorCode::unauthenticated);
  }
}

TEST_F(Tls, ACertificateThatHasExpiredMakesNoConnection) {
  const auto issue = [&](const std::string& name, int days) {
    openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=" + name +
            " -addext subjectAltName=URI:portcullis://provider -keyout " + name + ".key -out " + name +
            ".csr");
    openssl("x509 -req -copy_extensions copy -in " + name + ".csr -CA ca.pem -CAkey ca.key -days " +
            std::to_string(days) + " -out " + name + ".pem");
  };
  issue("fresh", 1);
  issue("expired", -1);
  EXPECT_TRUE(call_as<v1::ListPoolsRequest>("fresh", "ProviderService/ListPools", "").ok());
  EXPECT_EQ(call_as<v1::ListPoolsRequest>("expired", "ProviderService/ListPools", "").error_code(),
            grpc::UNAVAILABLE);
}

// Calls under way are bounded, and those of one tenant take none of another's or of the provider's.
TEST_F(Tls, ATenantHasSoManyCallsUnderWayAndOthersHaveTheirs) {
  populate();
  add_vm("other", "db", 3);
  std::promise<void> goes_on;
  std::jthread holds([&, may_go_on = goes_on.get_future()]() mutable {
    static_cast<void>(control_.run([&](Control::View) { may_go_on.wait(); }));
  });
  const auto get_eip = [&](const std::string& who, const std::string& eip) {
    return std::async(std::launch::async, [=, this] {
      return call_as<v1::GetEipRequest>(who, "TenantService/GetEip", "name: '" + eip + "'");
    });
  };
  const std::string own = "tenants/acme/eips/203.0.113.1";
  constexpr uint32_t more = 4;
  std::vector<std::future<grpc::Status>> calls;
  for (uint32_t n = 0; n < most_calls.of_tenant + more; ++n) calls.push_back(get_eip("acme", own));
  // Those that are too many are answered while control stands still.
  std::vector<grpc::Status> refused;
  const auto began = std::chrono::steady_clock::now();
  while (refused.size() < more && std::chrono::steady_clock::now() - began < std::chrono::seconds(15))
    std::erase_if(calls, [&](std::future<grpc::Status>& call) {
      if (call.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) return false;
      refused.push_back(call.get());
      return true;
    });
  ASSERT_EQ(refused.size(), more);
  for (const grpc::Status& status : refused) {
    EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
    EXPECT_EQ(status.error_message(),
              "tenants/acme has 32 calls under way already, and no more may one caller; wait until one has "
              "ended");
  }
  auto of_other = get_eip("other", "tenants/other/eips/203.0.113.2");
  auto of_provider = get_eip("provider", own);
  EXPECT_TRUE(call_as<v1::ListDropsRequest>("provider", "ObserveService/ListDrops", "").ok());
  // They wait for control, and are not refused.
  EXPECT_EQ(of_other.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  EXPECT_EQ(of_provider.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  goes_on.set_value();
  EXPECT_TRUE(of_other.get().ok());
  EXPECT_TRUE(of_provider.get().ok());
  for (auto& call : calls) EXPECT_TRUE(call.get().ok());
  EXPECT_TRUE(get_eip("acme", own).get().ok());
}

TEST_F(Tls, WithoutACertificateOfTheAuthorityThereIsNoConnection) {
  EXPECT_TRUE(call_as<v1::ListPoolsRequest>("provider", "ProviderService/ListPools", "").ok());
  EXPECT_EQ(call_as<v1::ListPoolsRequest>("", "ProviderService/ListPools", "").error_code(),
            grpc::UNAVAILABLE);
  authority("impostor");
  certificate("false-provider", "URI:portcullis://provider", "impostor");
  EXPECT_EQ(call_as<v1::ListPoolsRequest>("false-provider", "ProviderService/ListPools", "").error_code(),
            grpc::UNAVAILABLE);
  certificate("nobody", "DNS:nobody.example.net");
  EXPECT_EQ(call_as<v1::ListPoolsRequest>("nobody", "ProviderService/ListPools", "").error_code(),
            grpc::UNAUTHENTICATED);
  // A name of another kind is no identity, whatever it says.
  certificate("by-dns", "DNS:portcullis.provider,email:portcullis@provider");
  EXPECT_EQ(call_as<v1::ListPoolsRequest>("by-dns", "ProviderService/ListPools", "").error_code(),
            grpc::UNAUTHENTICATED);
}

TEST_F(Tls, AnAddressThatIsTakenIsRefused) {
  ServerConfig second = config();
  second.socket = file("second.sock");
  second.tls->listen = "127.0.0.1:" + std::to_string(server_->tls_port());
  const auto server = Server::start(second, control_, {});
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().field, "api.tls.listen");
}

TEST_F(Tls, TheAuditLogNamesEachObjectOfManyChanges) {
  populate();
  const size_t before = audited().size();
  const char* operations =
      "operations { set_tag { eip: 'tenants/acme/eips/203.0.113.1' tags: 'web' } }"
      "operations { add_permit_rules { eip: 'tenants/acme/eips/203.0.113.1' rules { name: 'a' direction: "
      "INBOUND remote { any: true } } } }";
  EXPECT_TRUE(
      call_as<v1::ApplyRequest>("acme", "ProviderService/Apply", std::string(operations) + " dry_run: true")
          .ok());
  EXPECT_EQ(audited().size(), before);
  EXPECT_TRUE(call_as<v1::ApplyRequest>("acme", "ProviderService/Apply", operations).ok());
  const std::vector<Json> lines = audited();
  ASSERT_EQ(lines.size(), before + 2);
  EXPECT_EQ(lines[before].at("call"), "Apply");
  EXPECT_EQ(lines[before + 1].at("object"), "tenants/acme/eips/203.0.113.1");
  EXPECT_EQ(lines[before + 1].at("change"), "CHANGED");
  EXPECT_FALSE(lines[before].contains("change"));
  EXPECT_EQ(lines[before + 1].at("who"), "tenants/acme");
  EXPECT_EQ(lines[before + 1].at("generation"), generation());
}

TEST_F(Tls, EachChangeIsInTheAuditLogAndEachRefusalOfOne) {
  populate();
  const uint64_t populated = generation();
  EXPECT_EQ(audited().size(), populated);
  const char* tags = "eip: 'tenants/acme/eips/203.0.113.1' tags: 'web'";
  EXPECT_TRUE(call_as<v1::SetTagRequest>("acme", "TenantService/SetTag", tags).ok());
  EXPECT_FALSE(call_as<v1::SetTagRequest>("other", "TenantService/SetTag", tags).ok());
  EXPECT_FALSE(
      call_as<v1::DeletePoolRequest>("acme", "ProviderService/DeletePool", "name: 'pools/public'").ok());
  EXPECT_TRUE(call_as<v1::GetEipRequest>("acme", "TenantService/GetEip",
                                         "name: 'tenants/acme/eips/203.0.113.1'")
                  .ok());  // changes nothing: no line

  std::vector<Json> lines = audited();
  ASSERT_EQ(lines.size(), populated + 3);
  EXPECT_EQ(lines[0].at("who"), "provider");
  EXPECT_TRUE(lines[0].at("peer").get<std::string>().starts_with("unix:"));
  EXPECT_FALSE(lines[0].contains("certificate"));
  EXPECT_EQ(lines[0].at("call"), "CreatePool");
  EXPECT_EQ(lines[0].at("object"), "pools/public");
  EXPECT_EQ(lines[0].at("generation"), 1);

  const Json& allowed = lines[populated];
  EXPECT_EQ(allowed.at("who"), "tenants/acme");
  EXPECT_TRUE(allowed.at("peer").get<std::string>().starts_with("ipv4:127.0.0.1:"));
  EXPECT_EQ(allowed.at("certificate"), "CN=acme");
  EXPECT_EQ(allowed.at("call"), "SetTag");
  EXPECT_EQ(allowed.at("object"), "tenants/acme/eips/203.0.113.1");
  EXPECT_EQ(allowed.at("status"), "OK");
  EXPECT_EQ(allowed.at("generation"), populated + 1);
  EXPECT_TRUE(allowed.at("time").get<std::string>().ends_with("Z"));

  EXPECT_EQ(lines[populated + 1].at("who"), "tenants/other");
  EXPECT_EQ(lines[populated + 1].at("status"), "NOT_FOUND");
  EXPECT_FALSE(lines[populated + 1].contains("generation"));
  EXPECT_EQ(lines[populated + 2].at("status"), "PERMISSION_DENIED");
  EXPECT_EQ(generation(), populated + 1);
}

// What a kill or a power cut has kept from the log shows as a gap before it.
TEST_F(Tls, TheAuditLogSaysWhichStateAStartBeginsWith) {
  populate();
  const std::string first = text_of_file(file("audit.log"));
  const Json begun = Json::parse(first.substr(0, first.find('\n')));
  EXPECT_EQ(begun.at("call"), "Start");
  EXPECT_EQ(begun.at("who"), "gateway");
  EXPECT_FALSE(begun.contains("generation")) << "an empty state";
  const uint64_t populated = generation();
  server_ = nullptr;
  server_ = std::move(*start_server());
  const std::string all = text_of_file(file("audit.log"));
  const Json again = Json::parse(all.substr(all.rfind('\n', all.size() - 2) + 1));
  EXPECT_EQ(again.at("call"), "Start");
  EXPECT_EQ(again.at("generation"), populated);
}

TEST_F(Tls, NothingIsChangedWhileTheAuditLogCannotBeOpened) {
  populate();
  const uint64_t before = generation();
  std::filesystem::rename(file("audit.log"), file("audit.log.1"));
  std::filesystem::create_directory(file("audit.log"));
  const char* tags = "eip: 'tenants/acme/eips/203.0.113.1' tags: 'web'";
  const grpc::Status refused = call<v1::SetTagRequest>("TenantService/SetTag", tags).status;
  EXPECT_EQ(refused.error_code(), grpc::UNAVAILABLE);
  EXPECT_NE(refused.error_message().find("Is a directory"), std::string::npos) << refused.error_message();
  EXPECT_EQ(generation(), before);
  std::filesystem::remove(file("audit.log"));
  EXPECT_TRUE(call<v1::SetTagRequest>("TenantService/SetTag", tags).status.ok());
  EXPECT_EQ(audited().size(), 1u);
}

}  // namespace
}  // namespace portcullis::service
