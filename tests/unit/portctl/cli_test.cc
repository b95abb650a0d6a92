// The command line as people call it: portctl runs as a process against a gateway that records each call and
// gives a prepared answer. So: which call each command makes, that the paper's names are aliases, what is
// printed, and the exit status.
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "portcullis/v1/observe_service.pb.h"
#include "portcullis/v1/provider_service.pb.h"
#include "portcullis/v1/tenant_service.pb.h"

namespace portcullis {
namespace {

using google::protobuf::Message;
using google::protobuf::TextFormat;

std::string to_string(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (buffer.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices)
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

struct Call {
  std::string method;  // "/portcullis.v1.TenantService/GetEip"
  std::string request;
  friend bool operator==(const Call&, const Call&) = default;
};

// Takes any method of any service.
class Recorder final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new Reactor(*this, context->method());
  }

  void answer(const std::string& method, const Message& reply) {
    const std::scoped_lock lock(mutex_);
    replies_[method].push_back(reply.SerializeAsString());
  }
  void refuse(const grpc::Status& status) {
    const std::scoped_lock lock(mutex_);
    status_ = status;
  }
  // From now on calls are taken and not answered.
  void fall_silent() {
    const std::scoped_lock lock(mutex_);
    is_silent_ = true;
  }
  std::vector<Call> take_calls() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(calls_, {});
  }

 private:
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    Reactor(Recorder& recorder, std::string method) : recorder_(recorder), method_(std::move(method)) {
      StartRead(&request_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::CANCELLED);
      const std::scoped_lock lock(recorder_.mutex_);
      recorder_.calls_.push_back({method_, to_string(request_)});
      if (recorder_.is_silent_) return;
      if (!recorder_.status_.ok()) return Finish(recorder_.status_);
      // The prepared answers in their order, then empty messages.
      std::string reply;
      std::vector<std::string>& replies = recorder_.replies_[method_];
      if (!replies.empty()) {
        reply = replies.front();
        replies.erase(replies.begin());
      }
      const grpc::Slice slice(reply);
      reply_ = grpc::ByteBuffer(&slice, 1);
      StartWriteAndFinish(&reply_, {}, grpc::Status::OK);
    }
    void OnCancel() override {
      const std::scoped_lock lock(recorder_.mutex_);
      if (recorder_.is_silent_) Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

   private:
    Recorder& recorder_;
    const std::string method_;
    grpc::ByteBuffer request_, reply_;
  };

  std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> replies_;
  grpc::Status status_;
  bool is_silent_ = false;
  std::vector<Call> calls_;
};

struct Outcome {
  int status = -1;
  std::string out, err;
};

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/portctl-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
    builder.RegisterCallbackGenericService(&gateway_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void TearDown() override {
    server_->Shutdown();
    std::filesystem::remove_all(directory_);
  }

  std::string socket() const { return directory_ + "/api.sock"; }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void write(const std::string& name, const std::string& text) { std::ofstream(path(name)) << text; }
  static std::string read(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // `arguments` as one types them into a shell, with the socket from the environment.
  Outcome run(const std::string& arguments) {
    const std::string command = "PORTCULLIS_SOCKET='" + socket() + "' '" + PORTCTL + "' " + arguments +
                                " >'" + path("out") + "' 2>'" + path("err") + "' </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(path("out")), read(path("err"))};
  }

  std::string directory_;
  Recorder gateway_;
  std::unique_ptr<grpc::Server> server_;
};

using google::protobuf::MethodDescriptor;

// Every method of the API, by its path.
std::map<std::string, const MethodDescriptor*> methods() {
  std::map<std::string, const MethodDescriptor*> all;
  for (const auto* file : {v1::GetEipRequest::descriptor()->file(), v1::GetVmRequest::descriptor()->file(),
                           v1::ListDropsRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        const MethodDescriptor* method = file->service(s)->method(m);
        all["/" + method->service()->full_name() + "/" + method->name()] = method;
      }
    }
  }
  return all;
}

struct Row {
  const char* arguments;
  const char* method;
  const char* request;  // text format
};

const Row rows[] = {
    {"vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2", "ProviderService/CreateVm",
     "vm { name: 'tenants/default/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2' "
     "}"},
    {"vm create web --port vm0 --mac 02:00:00:00:00:01 --dip6 fd00::2", "ProviderService/CreateVm",
     "vm { name: 'tenants/default/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip6: 'fd00::2' "
     "}"},
    {"vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --dip6 fd00::2",
     "ProviderService/CreateVm",
     "vm { name: 'tenants/default/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2' "
     "dip6: 'fd00::2' }"},
    {"vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --vlan 100", "ProviderService/CreateVm",
     "vm { name: 'tenants/default/vms/web' dip: '10.0.0.2' location { port: 'vm0' mac: '02:00:00:00:00:01' "
     "vlan { outer: 100 } } }"},
    {"vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --vlan 200.30",
     "ProviderService/CreateVm",
     "vm { name: 'tenants/default/vms/web' dip: '10.0.0.2' location { port: 'vm0' mac: '02:00:00:00:00:01' "
     "vlan { outer: 200 inner: 30 } } }"},
    {"vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --vxlan 192.0.2.7,5000",
     "ProviderService/CreateVm",
     "vm { name: 'tenants/default/vms/web' dip: '10.0.0.2' location { port: 'vm0' mac: '02:00:00:00:00:01' "
     "vxlan { remote: '192.0.2.7' vni: 5000 } } }"},
    {"vm move web --port vm0 --mac 02:00:00:00:00:01 --geneve 2001:db8::7,16777215", "ProviderService/MoveVm",
     "name: 'tenants/default/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' "
     "geneve { remote: '2001:db8::7' vni: 16777215 } }"},
    {"vm move web --port vm0 --mac 02:00:00:00:00:01 --vlan 4095", "ProviderService/MoveVm",
     "name: 'tenants/default/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' vlan { outer: 4095 } "
     "}"},
    {"--tenant acme vm get web", "ProviderService/GetVm", "name: 'tenants/acme/vms/web'"},
    {"vm list --tenant -", "ProviderService/ListVms", "parent: 'tenants/-'"},
    {"vm move web --port vm1 --mac 02:00:00:00:00:01", "ProviderService/MoveVm",
     "name: 'tenants/default/vms/web' location { port: 'vm1' mac: '02:00:00:00:00:01' }"},
    {"vm delete tenants/acme/vms/web", "ProviderService/DeleteVm", "name: 'tenants/acme/vms/web'"},
    {"pool create public 203.0.113.0/24", "ProviderService/CreatePool",
     "pool { name: 'pools/public' prefix: '203.0.113.0/24' kind: LOCAL }"},
    {"pool create --provider far 198.51.100.0/24", "ProviderService/CreatePool",
     "pool { name: 'pools/far' prefix: '198.51.100.0/24' kind: PROVIDER }"},
    {"pool get public", "ProviderService/GetPool", "name: 'pools/public'"},
    {"pool list", "ProviderService/ListPools", ""},
    {"pool update public 203.0.112.0/23", "ProviderService/UpdatePool",
     "pool { name: 'pools/public' prefix: '203.0.112.0/23' } update_mask { paths: 'prefix' }"},
    {"pool delete pools/public", "ProviderService/DeletePool", "name: 'pools/public'"},
    {"eip request web", "TenantService/RequestEip", "vm: 'tenants/default/vms/web'"},
    {"eip request web --pool public", "TenantService/RequestEip",
     "vm: 'tenants/default/vms/web' pool: 'pools/public'"},
    {"eip request web --family 4", "TenantService/RequestEip", "vm: 'tenants/default/vms/web' family: IPV4"},
    {"eip request web --family 6 --pool public6", "TenantService/RequestEip",
     "vm: 'tenants/default/vms/web' pool: 'pools/public6' family: IPV6"},
    {"eip release 2001:db8:5::7", "TenantService/ReleaseEip", "name: 'tenants/default/eips/2001:db8:5::7'"},
    {"permit set 2001:db8:5::7 in icmpv6 from 2001:db8:1::/48 type 128", "TenantService/SetPermitList",
     "eip: 'tenants/default/eips/2001:db8:5::7' "
     "rules { name: 'in-icmpv6-from-2001-db8-1-48-type-128' direction: INBOUND protocol: 'icmpv6' "
     "        remote { prefixes { prefixes: '2001:db8:1::/48' } } icmp_type: 128 }"},
    {"eip release 203.0.113.1", "TenantService/ReleaseEip", "name: 'tenants/default/eips/203.0.113.1'"},
    {"eip get tenants/acme/eips/203.0.113.1", "TenantService/GetEip",
     "name: 'tenants/acme/eips/203.0.113.1'"},
    {"eip list", "TenantService/ListEips", "parent: 'tenants/default'"},
    {"permit set 203.0.113.1 'web=in tcp 80 from any' 'out udp to any port 53'",
     "TenantService/SetPermitList",
     "eip: 'tenants/default/eips/203.0.113.1'"
     "rules { name: 'web' direction: INBOUND remote { any: true } protocol: 'tcp' local_ports { first: 80 "
     "last: 80 } }"
     "rules { name: 'out-udp-to-any-port-53' direction: OUTBOUND remote { any: true } protocol: 'udp'"
     "        remote_ports { first: 53 last: 53 } }"},
    {"permit set 203.0.113.1 in icmp from tag:show --keep-established", "TenantService/SetPermitList",
     "eip: 'tenants/default/eips/203.0.113.1' keep_established: true "
     "rules { name: 'in-icmp-from-tag-show' direction: INBOUND remote { tags { tags: 'show' } } protocol: "
     "'icmp' }"},
    {"permit set 203.0.113.1 --empty", "TenantService/SetPermitList",
     "eip: 'tenants/default/eips/203.0.113.1'"},
    {"permit add 203.0.113.1 in tcp 80 from any 'ping=in icmp from any type 8'",
     "TenantService/AddPermitRules",
     "eip: 'tenants/default/eips/203.0.113.1'"
     "rules { name: 'in-tcp-80-from-any' direction: INBOUND remote { any: true } protocol: 'tcp'"
     "        local_ports { first: 80 last: 80 } }"
     "rules { name: 'ping' direction: INBOUND remote { any: true } protocol: 'icmp' icmp_type: 8 }"},
    {"permit remove 203.0.113.1 in-tcp-80-from-any ping --keep-established",
     "TenantService/RemovePermitRules",
     "eip: 'tenants/default/eips/203.0.113.1' names: 'in-tcp-80-from-any' names: 'ping' keep_established: "
     "true"},
    {"permit get 203.0.113.1", "TenantService/GetPermitList", "eip: 'tenants/default/eips/203.0.113.1'"},
    {"tag set 203.0.113.1 web show get", "TenantService/SetTag",
     "eip: 'tenants/default/eips/203.0.113.1' tags: 'web' tags: 'show' tags: 'get'"},
    {"tag set 203.0.113.1", "TenantService/SetTag", "eip: 'tenants/default/eips/203.0.113.1'"},
    {"quota set --tenant acme --eips 10 --rules 500", "ProviderService/SetTenantQuota",
     "tenant: 'tenants/acme' eips: 10 rules: 500"},
    {"quota set 203.0.113.1 --flows 20000", "ProviderService/SetEipQuota",
     "eip: 'tenants/default/eips/203.0.113.1' flows: 20000"},
    {"quota get --tenant acme", "TenantService/GetTenantQuota", "tenant: 'tenants/acme'"},
    {"quota get 203.0.113.1", "TenantService/GetEipQuota", "eip: 'tenants/default/eips/203.0.113.1'"},
    {"quota list", "ProviderService/ListTenantQuotas", ""},
    {"quota clear --tenant acme", "ProviderService/SetTenantQuota",
     "tenant: 'tenants/acme' eips: 0 rules: 0"},
    {"quota clear 203.0.113.1", "ProviderService/SetEipQuota",
     "eip: 'tenants/default/eips/203.0.113.1' rules: 0 flows: 0"},
    {"apply -f - --dry-run --expected-generation 7", "ProviderService/Apply",
     "dry_run: true expected_generation: 7"},
    {"vm delete web --request-id 6fa459ea-ee8a", "ProviderService/DeleteVm",
     "name: 'tenants/default/vms/web' request_id: '6fa459ea-ee8a'"},
    {"export", "ProviderService/Export", ""},
    {"import --empty --dry-run", "ProviderService/Import", "document {} dry_run: true"},
    {"tag set 203.0.113.1 --expected-generation 0", "TenantService/SetTag",
     "eip: 'tenants/default/eips/203.0.113.1' expected_generation: 0"},
    {"events --tenant - --after 7", "ObserveService/WatchEvents",
     "parent: 'tenants/-' after_generation: 7 until_now: true"},
    {"events --follow", "ObserveService/WatchEvents", "parent: 'tenants/default'"},
    {"capture -w -", "ObserveService/Capture", ""},
    {"capture --passed --dropped --received --reason unbound --reason not_ours --port uplink --eip "
     "203.0.113.1 "
     "--address 198.51.100.2 --count 9 --seconds 8 --snap-length 96 --one-in 7 -w -",
     "ObserveService/Capture",
     "fates: RECEIVED fates: TRANSMITTED fates: PUNTED fates: DROPPED reasons: 'unbound' reasons: 'not_ours' "
     "ports: 'ports/uplink' eip: 'tenants/default/eips/203.0.113.1' address: '198.51.100.2' packets: 9 "
     "seconds: 8 snap_length: 96 one_in: 7"},
    {"trace", "ObserveService/Trace", ""},
    {"trace --passed --dropped --reason unbound --port uplink --port ports/ep-web --eip 203.0.113.1 "
     "--address "
     "198.51.100.2 --count 9 --seconds 8 --one-in 7",
     "ObserveService/Trace",
     "fates: TRANSMITTED fates: PUNTED fates: DROPPED reasons: 'unbound' ports: 'ports/uplink' ports: "
     "'ports/ep-web' eip: 'tenants/default/eips/203.0.113.1' address: '198.51.100.2' packets: 9 seconds: 8 "
     "one_in: 7"},
    {"show drops", "ObserveService/ListDrops", ""},
    {"show ports", "ObserveService/ListPorts", ""},
    {"show workers", "ObserveService/ListWorkers", ""},
    {"show next-hops", "ObserveService/ListNextHops", ""},
    {"show eip 203.0.113.1", "ObserveService/GetEipStatistics", "eip: 'tenants/default/eips/203.0.113.1'"},
    {"show gateway", "ObserveService/GetGateway", ""},
    {"flows list", "ObserveService/ListFlows", ""},
    {"flows list 203.0.113.1 --remote 198.51.100.0/24 --protocol tcp --local-port 0 --remote-port 65535",
     "ObserveService/ListFlows",
     "eip: 'tenants/default/eips/203.0.113.1' filter { remote: '198.51.100.0/24' protocol: 'tcp' local_port: "
     "0 "
     "remote_port: 65535 }"},
    {"flows clear 203.0.113.1", "ObserveService/ClearFlows", "eip: 'tenants/default/eips/203.0.113.1'"},
    {"flows clear --all --protocol udp", "ObserveService/ClearFlows", "filter { protocol: 'udp' }"},
    {"explain --from 198.51.100.7 --to 203.0.113.1 tcp 80", "ObserveService/Explain",
     "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'tcp' destination_port: 80 }"},
    {"explain --from web --to 198.51.100.7 tcp 80 --flags syn,ack --source-port 80 --ttl 0 --length 60",
     "ObserveService/Explain",
     "fields { source: 'tenants/default/vms/web' destination: '198.51.100.7' protocol: 'tcp' "
     "destination_port: 80 source_port: 80 tcp_flags: 18 ttl: 0 length: 60 }"},
    {"explain --from tenants/acme/vms/web --to 2001:db8::1 icmpv6 --type 129 --code 0 --identifier 7",
     "ObserveService/Explain",
     "fields { source: 'tenants/acme/vms/web' destination: '2001:db8::1' protocol: 'icmpv6' icmp_type: 129 "
     "icmp_code: 0 icmp_identifier: 7 }"},
    {"explain --port wan --frame 02:00:0a", "ObserveService/Explain",
     "frame { port: 'ports/wan' data: '\\002\\000\\012' }"},
};

TEST_F(Cli, EachCommandMakesItsCall) {
  google::protobuf::MessageFactory* factory = google::protobuf::MessageFactory::generated_factory();
  for (const Row& row : rows) {
    SCOPED_TRACE(row.arguments);
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const std::vector<Call> calls = gateway_.take_calls();
    ASSERT_EQ(calls.size(), 1u);
    EXPECT_EQ(calls[0].method, std::string("/portcullis.v1.") + row.method);
    const MethodDescriptor* method = methods().at(calls[0].method);
    const std::unique_ptr<Message> request(factory->GetPrototype(method->input_type())->New());
    const std::unique_ptr<Message> expected(request->New());
    ASSERT_TRUE(request->ParseFromString(calls[0].request));
    ASSERT_TRUE(TextFormat::ParseFromString(row.request, expected.get()));
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*request, *expected))
        << request->DebugString();
  }
}

TEST_F(Cli, WhatIsNoPacketIsNotAskedAbout) {
  struct Wrong {
    const char* words;
    const char* said;
  };
  for (const Wrong& wrong :
       {Wrong{"explain", "--from, --to and a protocol"}, Wrong{"explain --from web tcp 80", "--to"},
        Wrong{"explain --from web --to 203.0.113.1", "a protocol"},
        Wrong{"explain --from web --to 203.0.113.1 tcp 80 --flags syn,x", "expected some of fin, syn"},
        Wrong{"explain --from web --to 203.0.113.1 tcp -1", "PORT"}, Wrong{"explain --frame 00", "--port"},
        Wrong{"explain --port wan", "--frame"}, Wrong{"explain --port wan --frame 0", "two for each byte"},
        Wrong{"explain --port wan --frame 0g", "two for each byte"},
        Wrong{"explain --port wan --frame 00 --from web", "--from"}}) {
    SCOPED_TRACE(wrong.words);
    const Outcome outcome = run(wrong.words);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.err.find(wrong.said), std::string::npos) << outcome.err;
    EXPECT_TRUE(gateway_.take_calls().empty());
  }
}

TEST_F(Cli, AnExplanationIsATableAndAnEnd) {
  v1::Explanation reply;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "fate: ANSWERED reason: 'ttl_exceeded' description: 'TTL would reach zero'"
      "stages { stage: 'parse' verdict: PASSED } stages { stage: 'hand_over' verdict: HANDED_OVER detail: "
      "'to "
      "worker 1' }"
      "stages { stage: 'route' worker: 1 verdict: ANSWERED reason: 'ttl_exceeded' detail: 'TTL would reach "
      "zero' }"
      "sent { port: 'ports/wan' data: '1234' }",
      &reply));
  gateway_.answer("/portcullis.v1.ObserveService/Explain", reply);
  EXPECT_EQ(run("explain --from web --to 203.0.113.1 tcp 80").out,
            "STAGE      WORKER  VERDICT      WHY\n"
            "parse           0  passed       -\n"
            "hand_over       0  handed over  to worker 1\n"
            "route           1  answered     TTL would reach zero\n"
            "answered by wan, 4 bytes: ttl_exceeded (TTL would reach zero)\n");
}

TEST_F(Cli, QuotasAreTables) {
  v1::EipQuota of_eip;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "name: 'tenants/acme/eips/203.0.113.1/quota' rules { limit: 100000 used: 3 } flows { set: 20000 limit: "
      "20000 used: 17 }",
      &of_eip));
  gateway_.answer("/portcullis.v1.TenantService/GetEipQuota", of_eip);
  EXPECT_EQ(run("quota get 203.0.113.1 --tenant acme").out,
            "QUOTA         USED      OF  FROM\n"
            "rules            3  100000  default\n"
            "flow entries    17   20000  set\n");
  v1::ListTenantQuotasResponse list;
  ASSERT_TRUE(
      TextFormat::ParseFromString("quotas { name: 'tenants/acme/quota' eips { set: 10 limit: 10 used: 12 } "
                                  "rules { limit: 4294967295 used: "
                                  "7 } }",
                                  &list));
  gateway_.answer("/portcullis.v1.ProviderService/ListTenantQuotas", list);
  EXPECT_EQ(run("quota list").out,
            "TENANT  EIPS  OF  RULES  OF\n"
            "acme      12  10      7   -\n");
  v1::SetTenantQuotaResponse set;
  *set.mutable_quota() = list.quotas(0);
  set.set_generation(5);
  gateway_.answer("/portcullis.v1.ProviderService/SetTenantQuota", set);
  EXPECT_EQ(run("quota set --tenant acme --eips 10").out,
            "acme: 10 EIPs, any number of rules at most (generation 5)\n");
}

TEST_F(Cli, AQuotaIsOfATenantOrOfAnEip) {
  for (const auto* words : {"quota set", "quota set 203.0.113.1", "quota set 203.0.113.1 --eips 3",
                            "quota set --flows 3", "quota set --eips 0", "quota set --eips many"}) {
    SCOPED_TRACE(words);
    EXPECT_EQ(run(words).status, 2);
    EXPECT_TRUE(gateway_.take_calls().empty());
  }
}

TEST_F(Cli, EveryMethodHasACommand) {
  std::set<std::string> reached;
  for (const Row& row : rows) reached.insert(std::string("/portcullis.v1.") + row.method);
  ASSERT_FALSE(methods().empty());
  for (const auto& [path, method] : methods()) EXPECT_TRUE(reached.contains(path)) << path << " is in no row";
}

TEST_F(Cli, ThePapersNamesAreAliases) {
  const std::array<std::array<std::string, 3>, 5> aliases{{
      {"eip request", "request-eip", "web --pool public"},
      {"eip release", "release-eip", "203.0.113.1"},
      {"permit set", "set-permit-list", "203.0.113.1 'in tcp 80 from any' --keep-established"},
      {"permit set", "set-permit-list", "203.0.113.1"},  // refused: no rule
      {"tag set", "set-tag", "203.0.113.1 web batch"},
  }};
  for (const auto& [noun, alias, arguments] : aliases) {
    SCOPED_TRACE(alias);
    const Outcome by_noun = run(noun + " " + arguments);
    const std::vector<Call> calls = gateway_.take_calls();
    const Outcome by_alias = run(alias + " " + arguments);
    EXPECT_EQ(gateway_.take_calls(), calls);
    EXPECT_EQ(by_alias.status, by_noun.status);
    EXPECT_EQ(by_alias.out, by_noun.out);
    EXPECT_EQ(by_alias.err, by_noun.err);
  }
}

TEST_F(Cli, RulesFromAFile) {
  write("rules",
        "# the list of the web server\nweb=in tcp 80 from any  # everybody\n\n  in icmp from any type 8\n");
  EXPECT_EQ(run("permit set 203.0.113.1 -f '" + path("rules") + "'").status, 0);
  const std::vector<Call> calls = gateway_.take_calls();
  ASSERT_EQ(calls.size(), 1u);
  v1::SetPermitListRequest request;
  ASSERT_TRUE(request.ParseFromString(calls[0].request));
  ASSERT_EQ(request.rules_size(), 2);
  EXPECT_EQ(request.rules(0).name(), "web");
  EXPECT_EQ(request.rules(1).name(), "in-icmp-from-any-type-8");

  write("rules", "web=in tcp 80 from any\nin tcp 80 form any\n");
  const Outcome wrong = run("permit set 203.0.113.1 -f '" + path("rules") + "'");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_NE(wrong.err.find(path("rules") + ":2: "), std::string::npos) << wrong.err;
  EXPECT_NE(wrong.err.find("\n  in tcp 80 form any\n            ^^^^\n"), std::string::npos) << wrong.err;
  EXPECT_TRUE(gateway_.take_calls().empty());

  write("rules", "# nothing\n");
  EXPECT_EQ(run("permit set 203.0.113.1 -f '" + path("rules") + "'").status, 2);
  EXPECT_EQ(run("permit set 203.0.113.1 -f '" + path("absent") + "'").status, 2);
  EXPECT_TRUE(gateway_.take_calls().empty());
}

TEST_F(Cli, ChangesFromAFile) {
  const std::string text =
      "operations { set_tag { eip: 'tenants/acme/eips/203.0.113.1' tags: 'a' } }  # web\n";
  const std::string json =
      R"( {"operations": [{"setTag": {"eip": "tenants/acme/eips/203.0.113.1", "tags": ["a"]}}]})";
  v1::ApplyRequest expected;
  ASSERT_TRUE(TextFormat::ParseFromString(text, &expected));
  v1::ApplyResponse reply;
  ASSERT_TRUE(
      TextFormat::ParseFromString("generation: 9 changes { name: 'tenants/acme/eips/203.0.113.1' kind: "
                                  "CHANGED } changes { name: 'pools/p' "
                                  "kind: CREATED } changes { name: 'pools/q' kind: DELETED }",
                                  &reply));
  for (const std::string& file : {text, json}) {
    write("changes", file);
    gateway_.answer("/portcullis.v1.ProviderService/Apply", reply);
    const Outcome outcome = run("apply -f " + path("changes"));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out,
              "changed tenants/acme/eips/203.0.113.1\ncreated pools/p\ndeleted pools/q\n"
              "3 objects changed (generation 9)\n");
    EXPECT_EQ(gateway_.take_calls().at(0).request, expected.SerializeAsString());
  }
  write("changes", "operations { set_tag { eip: 'x' } }\noperations { set_tags {} }\n");
  const Outcome unknown = run("apply -f " + path("changes"));
  EXPECT_EQ(unknown.status, 2);
  EXPECT_NE(unknown.err.find("changes:2:23: "), std::string::npos) << unknown.err;
  write("changes", "{\"operation\": []}");
  EXPECT_EQ(run("apply -f " + path("changes")).status, 2);
  EXPECT_EQ(run("import -f " + path("none")).status, 2);
  EXPECT_EQ(run("eip list --expected-generation 7").status, 2);
  EXPECT_EQ(run("eip list --request-id x").status, 2);
  EXPECT_EQ(run("events --request-id x").status, 2);
  EXPECT_EQ(run("events --expected-generation 7").status, 2);
  EXPECT_TRUE(gateway_.take_calls().empty());
}

// What is no regular file, or may not be read.
TEST_F(Cli, AFileThatCannotBeReadIsNamed) {
  const std::string tls = "show drops --server 127.0.0.1:1 --tls-cert ";
  for (const std::string& file : {path(""), path("absent"), std::string("/proc/self/mem")}) {
    for (const std::string command : {"apply -f ", "import -f ", "permit set 203.0.113.1 -f "}) {
      const Outcome outcome = run(command + file);
      EXPECT_EQ(outcome.status, 2) << command << file;
      EXPECT_EQ(outcome.err, "portctl: cannot read " + file + "\n") << command;
    }
    const Outcome outcome = run(tls + file);
    EXPECT_EQ(outcome.status, 2) << file;
    EXPECT_EQ(outcome.err, "portctl: --tls-cert: " + file + " cannot be read\n");
  }
  EXPECT_TRUE(gateway_.take_calls().empty());
}

TEST_F(Cli, NothingIsDeletedForWantOfADocument) {
  const std::string hint = "\n  hint:   --empty makes the state empty\n";
  for (const char* nothing : {"", " \n\t\n", "# a comment\n", "{}", "generation: 7\n"}) {
    write("state", nothing);
    const Outcome outcome = run("import -f " + path("state"));
    EXPECT_EQ(outcome.status, 2) << nothing;
    EXPECT_EQ(outcome.err, "portctl: " + path("state") + " holds no object" + hint);
  }
  EXPECT_EQ(run("import -f -").err, "portctl: - holds no object" + hint);
  EXPECT_EQ(run("import").err, "portctl: no document is given; -f FILE names one" + hint);
  EXPECT_EQ(run("import --empty -f " + path("state")).status, 2);
  EXPECT_TRUE(gateway_.take_calls().empty());
}

TEST_F(Cli, EventsAreLines) {
  v1::Event event;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "generation: 9 changes { name: 'pools/p' kind: CREATED } changes { name: 'pools/q' kind: DELETED }",
      &event));
  for (int i = 0; i < 2; ++i) gateway_.answer("/portcullis.v1.ObserveService/WatchEvents", event);
  EXPECT_EQ(run("events").out, "9 created pools/p\n9 deleted pools/q\n");
  EXPECT_EQ(run("events --json").out, R"({"generation":"9","changes":[{"name":"pools/p","kind":"CREATED"},)"
                                      R"({"name":"pools/q","kind":"DELETED"}]})"
                                      "\n");
}

TEST_F(Cli, ACaptureIsAFileAndWhatIsSaidOfItStandsApart) {
  v1::CaptureChunk chunk;
  chunk.set_pcapng(std::string("block\0", 6));
  chunk.set_packets(2);
  chunk.set_lost(1);
  const auto capture = [&](const std::string& options) {
    gateway_.answer("/portcullis.v1.ObserveService/Capture", chunk);
    return run("capture " + options);
  };
  const std::string file("block\0", 6);
  const Outcome piped = capture("-w -");
  EXPECT_EQ(piped.out, file);
  EXPECT_EQ(piped.err, "2 packets, 1 lost\n");
  const Outcome written = capture("--json -w " + path("packets"));
  EXPECT_EQ(written.out, R"({"packets":2,"lost":1,"file":")" + path("packets") + "\"}\n");
  std::ifstream packets(path("packets"), std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(packets), {}), file);

  const Outcome nowhere = capture("-w " + path("none/packets"));
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_NE(nowhere.err.find("cannot write " + path("none/packets")), std::string::npos) << nowhere.err;
  gateway_.refuse(grpc::Status(grpc::FAILED_PRECONDITION, "another capture goes on"));
  EXPECT_EQ(run("capture -w " + path("refused")).status, 1);
  EXPECT_FALSE(std::filesystem::exists(path("refused")));
  EXPECT_EQ(run("capture --dropped").status, 2);
  EXPECT_EQ(run("capture --seconds 0 -w -").status, 2);
}

TEST_F(Cli, ATraceIsABlockForEachPacketOrALine) {
  v1::TraceChunk chunk;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "packets { time_ns: 1795781106000123456 explanation { fate: TRANSMITTED stages { stage: 'admit' "
      "worker: 1 "
      "verdict: PASSED detail: '203.0.113.1 in: rule http' } stages { stage: 'transmit' worker: 1 verdict: "
      "TRANSMITTED } received { port: 'ports/uplink' data: 'xy' length: 74 headers: 'a > b tcp' } sent { "
      "port: "
      "'ports/ep-web' data: 'xy' length: 70 headers: 'a > c tcp' } } } "
      "packets { explanation { fate: DROPPED reason: 'unbound' description: 'why' received { port: "
      "'ports/uplink' "
      "length: 60 headers: 'a > d udp' } } } told: 2 lost: 1",
      &chunk));
  const auto trace = [&](const std::string& options) {
    gateway_.answer("/portcullis.v1.ObserveService/Trace", chunk);
    return run("trace " + options);
  };
  const Outcome table = trace("");
  EXPECT_EQ(table.out,
            "2026-11-27T12:05:06.000123Z uplink, 74 bytes, a > b tcp\n"
            "STAGE     WORKER  VERDICT      WHY\n"
            "admit          1  passed       203.0.113.1 in: rule http\n"
            "transmit       1  transmitted  -\n"
            "transmitted by ep-web, 70 bytes, a > c tcp\n"
            "\n"
            "1970-01-01T00:00:00.000000Z uplink, 60 bytes, a > d udp\n"
            "STAGE  WORKER  VERDICT  WHY\n"
            "dropped: unbound (why)\n"
            "\n");
  EXPECT_EQ(table.err, "tracing; Ctrl-C ends it\n2 packets, 1 lost\n");
  const Outcome lines = trace("--json");
  EXPECT_EQ(std::ranges::count(lines.out, '\n'), 2);
  EXPECT_TRUE(lines.out.starts_with(R"({"timeNs":"1795781106000123456","explanation":{"fate":"TRANSMITTED")"))
      << lines.out;
  EXPECT_EQ(lines.err, table.err);
  gateway_.refuse(grpc::Status(grpc::FAILED_PRECONDITION, "another capture or trace goes on"));
  EXPECT_EQ(run("trace").status, 1);
  EXPECT_EQ(run("trace --count 0").status, 2);
  EXPECT_EQ(run("trace --received").status, 2);
}

TEST_F(Cli, WhatExportPrintsImportReads) {
  v1::Document document;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "generation: 3 pools { name: 'pools/p' prefix: '203.0.113.0/24' kind: LOCAL } eips { name: "
      "'tenants/a/eips/203.0.113.1' vm: 'tenants/a/vms/w' rules { name: 'r' direction: INBOUND remote { any: "
      "true } icmp_type: 0 } } resting { address: '203.0.113.2' until_ms: 9 }",
      &document));
  v1::ImportRequest expected;
  *expected.mutable_document() = document;
  for (const std::string how : {"export", "--json export"}) {
    gateway_.answer("/portcullis.v1.ProviderService/Export", document);
    const Outcome exported = run(how);
    EXPECT_EQ(exported.status, 0) << exported.err;
    gateway_.take_calls();
    write("state", exported.out);
    EXPECT_EQ(run("import -f " + path("state")).out, "0 objects changed (generation 0)\n");
    EXPECT_EQ(gateway_.take_calls().at(0).request, expected.SerializeAsString()) << exported.out;
  }
}

TEST_F(Cli, ListsAreAskedForToTheirLastPage) {
  v1::ListEipsResponse page;
  page.add_eips()->set_name("tenants/default/eips/203.0.113.1");
  page.set_next_page_token("next");
  gateway_.answer("/portcullis.v1.TenantService/ListEips", page);
  page.mutable_eips(0)->set_name("tenants/default/eips/203.0.113.2");
  page.clear_next_page_token();
  gateway_.answer("/portcullis.v1.TenantService/ListEips", page);
  const Outcome outcome = run("eip list --json");
  const std::vector<Call> calls = gateway_.take_calls();
  ASSERT_EQ(calls.size(), 2u);
  v1::ListEipsRequest second;
  ASSERT_TRUE(second.ParseFromString(calls[1].request));
  EXPECT_EQ(second.page_token(), "next");
  EXPECT_NE(outcome.out.find("203.0.113.1"), std::string::npos);
  EXPECT_NE(outcome.out.find("203.0.113.2"), std::string::npos);
  EXPECT_NE(outcome.out.find("\"nextPageToken\": \"\""), std::string::npos);
}

TEST_F(Cli, TablesAreAligned) {
  v1::ListDropsResponse reply;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "drops { reason: 'unbound' stage: 'identify' description: 'no binding' packets: 7 }"
      "drops { reason: 'fragment' stage: 'parse' description: 'a fragment' packets: 0 }"
      "drops { reason: 'destination_not_permitted' stage: 'admit' description: 'no way in' packets: 1234 }",
      &reply));
  gateway_.answer("/portcullis.v1.ObserveService/ListDrops", reply);
  EXPECT_EQ(run("show drops").out,
            "REASON                     STAGE     PACKETS  MEANING\n"
            "unbound                    identify        7  no binding\n"
            "destination_not_permitted  admit        1234  no way in\n");
  gateway_.answer("/portcullis.v1.ObserveService/ListDrops", reply);
  EXPECT_NE(run("show drops --all").out.find("fragment"), std::string::npos);
  EXPECT_EQ(run("show drops").out, "no packet was dropped\n");
}

TEST_F(Cli, NextHopsAreShownByWhatIsKnownOfThem) {
  v1::ListNextHopsResponse reply;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "next_hops { port: 'ports/wan' family: IPV4 address: '198.51.100.254' state: RESOLVED "
      "            mac: '02:00:00:00:00:fe' answered_seconds_ago: 12.3 }"
      "next_hops { port: 'ports/wan' family: IPV6 state: FIXED mac: '02:00:00:00:00:fe' }"
      "next_hops { port: 'ports/hv' family: IPV4 address: '192.0.2.7' state: UNRESOLVED tunnels: 1 "
      "            remotes: '192.0.2.7' }"
      "next_hops { port: 'ports/hv' family: IPV4 address: '192.0.2.9' state: RESOLVED "
      "            mac: '02:00:00:00:00:09' answered_seconds_ago: 0.5 tunnels: 6 remotes: '198.51.100.1' "
      "            remotes: '198.51.100.2' remotes: '198.51.100.3' remotes: '198.51.100.4' "
      "            remotes: '198.51.100.5' }",
      &reply));
  gateway_.answer("/portcullis.v1.ObserveService/ListNextHops", reply);
  EXPECT_EQ(run("show next-hops").out,
            "PORT  NEXT-HOP        STATE       MAC                ANSWERED  TUNNELS  REMOTES\n"
            "wan   198.51.100.254  resolved    02:00:00:00:00:fe    12.3 s        -  -\n"
            "wan   IPv6            fixed       02:00:00:00:00:fe         -        -  -\n"
            "hv    192.0.2.7       unresolved  -                         -        1  192.0.2.7\n"
            "hv    192.0.2.9       resolved    02:00:00:00:00:09    500 ms        6  "
            "198.51.100.1,198.51.100.2,198.51.100.3,+2\n");
  gateway_.answer("/portcullis.v1.ObserveService/ListNextHops", reply);
  const std::string json = run("--json show next-hops").out;
  EXPECT_NE(json.find("\"198.51.100.5\""), std::string::npos) << json;
  EXPECT_EQ(run("show next-hops").out, "no next hop\n");
}

TEST_F(Cli, AWorkersTablesAreShownByFamily) {
  v1::ListWorkersResponse reply;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "workers { core: 1 numa_node: -1 flow_entries: 1 flow_capacity: 16384 ipv6_flow_entries: 2 "
      "          ipv6_flow_capacity: 8192 fragmented_datagrams: 3 ipv6_fragmented_datagrams: 4 "
      "          fragment_capacity: 4096 }",
      &reply));
  gateway_.answer("/portcullis.v1.ObserveService/ListWorkers", reply);
  const std::string out = run("show workers").out;
  EXPECT_NE(out.find("FLOWS     OF  IPV6-FLOWS    OF  FRAGMENTED  IPV6-FRAGMENTED    OF  "),
            std::string::npos)
      << out;
  EXPECT_NE(out.find("    1  16384           2  8192           3                4  4096  "),
            std::string::npos)
      << out;
}

TEST_F(Cli, AWorkersGapsAreShownInUnitsOfTheirSize) {
  const std::pair<const char*, const char*> durations[] = {
      {"0", "0.00 us"},        {"999", "1.00 us"},        {"54321", "54.3 us"},       {"999499", "999 us"},
      {"999500", "1.00 ms"},   {"9994999", "9.99 ms"},    {"9995001", "10.0 ms"},     {"123456789", "123 ms"},
      {"999500000", "1.00 s"}, {"12345678901", "12.3 s"}, {"3600000000000", "3600 s"}};
  for (const auto& [nanoseconds, text] : durations) {
    v1::ListWorkersResponse reply;
    ASSERT_TRUE(TextFormat::ParseFromString(
        "workers { core: 1 numa_node: -1 polls: 4 busy_polls: 1 flow_capacity: 16384 "
        "          longest_gap_nanoseconds: 2000000000 recent_longest_gap_nanoseconds: " +
            std::string(nanoseconds) + " }",
        &reply));
    gateway_.answer("/portcullis.v1.ObserveService/ListWorkers", reply);
    const std::string out = run("show workers").out;
    EXPECT_NE(out.find(" LONGEST-GAP  RECENT-GAP\n"), std::string::npos) << out;
    EXPECT_TRUE(out.ends_with("  " + std::string(text) + "\n")) << out;
    EXPECT_NE(out.find("2.00 s  "), std::string::npos) << out;
  }
}

TEST_F(Cli, AVmShowsTheAddressesOfBothFamilies) {
  v1::ListVmsResponse reply;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "vms { name: 'tenants/default/vms/a' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2' "
      "}"
      "vms { name: 'tenants/default/vms/b' location { port: 'vm0' mac: '02:00:00:00:00:02' } dip6: 'fd00::2'"
      "      eip6: 'tenants/default/eips/2001:db8:5::7' }"
      "vms { name: 'tenants/default/vms/c' location { port: 'vm0' mac: '02:00:00:00:00:03' } dip: '10.0.0.3'"
      "      dip6: 'fd00::3' eip: 'tenants/default/eips/203.0.113.1'"
      "      eip6: 'tenants/default/eips/2001:db8:5::8' }",
      &reply));
  gateway_.answer("/portcullis.v1.ProviderService/ListVms", reply);
  EXPECT_EQ(run("vm list").out,
            "TENANT   VM  PORT  LINK  MAC                DIP               EIP\n"
            "default  a   vm0   -     02:00:00:00:00:01  10.0.0.2          -\n"
            "default  b   vm0   -     02:00:00:00:00:02  fd00::2           2001:db8:5::7\n"
            "default  c   vm0   -     02:00:00:00:00:03  10.0.0.3,fd00::3  203.0.113.1,2001:db8:5::8\n");
}

TEST_F(Cli, AVmShowsItsVlanOrTunnel) {
  v1::ListVmsResponse reply;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "vms { name: 'tenants/default/vms/a' location { port: 'vm0' mac: '02:00:00:00:00:01' "
      "      vlan { outer: 100 } } dip: '10.0.0.2' }"
      "vms { name: 'tenants/default/vms/b' location { port: 'vm0' mac: '02:00:00:00:00:02' "
      "      vlan { outer: 200 inner: 30 } } dip: '10.0.0.2' }"
      "vms { name: 'tenants/default/vms/c' location { port: 'vm0' mac: '02:00:00:00:00:03' "
      "      vxlan { remote: '192.0.2.7' vni: 5000 } } dip: '10.0.0.2' }"
      "vms { name: 'tenants/default/vms/d' location { port: 'vm0' mac: '02:00:00:00:00:04' "
      "      geneve { remote: '2001:db8::7' } } dip: '10.0.0.2' }",
      &reply));
  gateway_.answer("/portcullis.v1.ProviderService/ListVms", reply);
  EXPECT_EQ(run("vm list").out,
            "TENANT   VM  PORT  LINK                  MAC                DIP       EIP\n"
            "default  a   vm0   vlan 100              02:00:00:00:00:01  10.0.0.2  -\n"
            "default  b   vm0   vlan 200.30           02:00:00:00:00:02  10.0.0.2  -\n"
            "default  c   vm0   vxlan 192.0.2.7,5000  02:00:00:00:00:03  10.0.0.2  -\n"
            "default  d   vm0   geneve 2001:db8::7,0  02:00:00:00:00:04  10.0.0.2  -\n");
  gateway_.answer("/portcullis.v1.ProviderService/GetVm", reply.vms(3));
  EXPECT_NE(run("vm get d").out.find("geneve 2001:db8::7,0"), std::string::npos);
  gateway_.answer("/portcullis.v1.ProviderService/GetVm", reply.vms(2));
  const std::string json = run("vm get c --json").out;
  EXPECT_NE(json.find("\"vxlan\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"remote\": \"192.0.2.7\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"vni\": 5000"), std::string::npos) << json;
  EXPECT_EQ(json.find("geneve"), std::string::npos) << json;
  v1::MoveVmResponse moved;
  *moved.mutable_vm() = reply.vms(1);
  moved.set_generation(7);
  gateway_.answer("/portcullis.v1.ProviderService/MoveVm", moved);
  EXPECT_EQ(run("vm move b --port vm0 --mac 02:00:00:00:00:02 --vlan 200.30").out,
            "vm b is at vm0 vlan 200.30 (generation 7)\n");
}

TEST_F(Cli, APlaceIsBehindOneLinkThatMakesSense) {
  const std::string place = " web --port vm0 --mac 02:00:00:00:00:01 ";
  const std::array<const char*, 2> wrong_places[] = {
      {"--vlan 100 --vxlan 192.0.2.7,5000", "--vlan"},
      {"--vxlan 192.0.2.7,5000 --geneve 192.0.2.7,5000", "--geneve"},
      {"--vlan ten", "--vlan: expected 100, or 200.30 for two tags"},
      {"--vlan ''", "--vlan"},
      {"--vlan 100.", "--vlan"},
      {"--vlan .30", "--vlan"},
      {"--vlan 100.0", "--vlan"},
      {"--vlan -1", "--vlan"},
      {"--vlan 1.2.3", "--vlan"},
      {"--vlan 100,30", "--vlan"},
      {"--vlan 4294967296", "--vlan"},
      {"--vxlan 192.0.2.7", "--vxlan: expected REMOTE,VNI such as 192.0.2.7,5000"},
      {"--vxlan ,5000", "--vxlan"},
      {"--vxlan 192.0.2.7,", "--vxlan"},
      {"--geneve 192.0.2.7,x", "--geneve: expected REMOTE,VNI"},
      {"--geneve 192.0.2.7,5000,1", "--geneve"},
      {"--geneve 192.0.2.7,-1", "--geneve"},
  };
  for (const auto& [options, words] : wrong_places)
    for (const char* verb : {"vm create --dip 10.0.0.2", "vm move"}) {
      const Outcome outcome = run(verb + place + options);
      EXPECT_EQ(outcome.status, 2) << verb << " " << options;
      EXPECT_NE(outcome.err.find(words), std::string::npos) << options << ": " << outcome.err;
    }
  EXPECT_TRUE(gateway_.take_calls().empty());
}

TEST_F(Cli, RequestPrintsTheAddress) {
  v1::RequestEipResponse reply;
  reply.mutable_eip()->set_address("203.0.113.1");
  reply.set_generation(5);
  gateway_.answer("/portcullis.v1.TenantService/RequestEip", reply);
  EXPECT_EQ(run("eip request web").out, "203.0.113.1\n");
}

TEST_F(Cli, RulesComeOutAsTheyGoIn) {
  v1::PermitList list;
  ASSERT_TRUE(TextFormat::ParseFromString(
      "rules { name: 'web' direction: INBOUND remote { any: true } protocol: 'tcp' local_ports { first: 80 "
      "last: 80 } }"
      "rules { name: 'x' direction: OUTBOUND remote { tags { tags: 'db' } } protocol: 'any' }",
      &list));
  gateway_.answer("/portcullis.v1.TenantService/GetPermitList", list);
  EXPECT_EQ(run("permit get 203.0.113.1").out,
            "NAME  RULE\n"
            "web   in tcp 80 from any\n"
            "x     out any to tag:db\n");
  gateway_.answer("/portcullis.v1.TenantService/GetPermitList", list);
  EXPECT_EQ(run("permit get 203.0.113.1 --rules").out, "web=in tcp 80 from any\nx=out any to tag:db\n");
}

TEST_F(Cli, JsonHasZeroFieldsToo) {
  const Outcome outcome = run("show gateway --json");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("\"eipsKnown\": \"0\""), std::string::npos) << outcome.out;
}

TEST_F(Cli, ARefusalSaysWhatWhereAndWhatToDo) {
  google::rpc::ErrorInfo info;
  info.set_reason("NOT_FOUND");
  info.set_domain("portcullis");
  (*info.mutable_metadata())["object"] = "tenants/default/vms/web";
  google::rpc::BadRequest bad_request;
  bad_request.add_field_violations()->set_field("vm");
  google::rpc::Status details;
  details.set_code(grpc::NOT_FOUND);
  details.set_message("tenants/default/vms/web does not exist");
  details.add_details()->PackFrom(info);
  details.add_details()->PackFrom(bad_request);
  gateway_.refuse({grpc::NOT_FOUND, details.message(), details.SerializeAsString()});

  const Outcome outcome = run("eip request web");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "portctl: NOT_FOUND: tenants/default/vms/web does not exist\n"
            "  field:  vm\n"
            "  object: tenants/default/vms/web\n"
            "  hint:   portctl vm list shows the vms; --tenant T chooses the tenant\n");

  const Outcome json = run("eip request web --json");
  EXPECT_EQ(json.status, 1);
  EXPECT_NE(json.err.find("\"field\": \"vm\""), std::string::npos) << json.err;
  EXPECT_NE(json.err.find("\"code\": 5"), std::string::npos) << json.err;
}

TEST_F(Cli, AGatewayThatIsUnavailableHasAnsweredNoLess) {
  google::rpc::ErrorInfo info;
  info.set_domain("portcullis");
  google::rpc::Status details;
  details.set_code(grpc::UNAVAILABLE);
  details.add_details()->PackFrom(info);
  gateway_.refuse({grpc::UNAVAILABLE, "the disk is full", details.SerializeAsString()});
  EXPECT_EQ(run("eip request web").status, 1);
}

TEST_F(Cli, AGatewayThatDoesNotKnowTheCallIsOfAnotherVersion) {
  gateway_.refuse({grpc::UNIMPLEMENTED, ""});  // as gRPC says it: no details
  const Outcome outcome = run("show drops");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("compare portctl --version and portctl show gateway"), std::string::npos)
      << outcome.err;
}

TEST_F(Cli, AGatewayThatDoesNotAnswerIsNotReached) {
  gateway_.refuse({grpc::UNAVAILABLE, "Socket closed"});  // as gRPC says it: no details
  const Outcome gone = run("show drops");
  EXPECT_EQ(gone.status, 3);
  EXPECT_NE(gone.err.find("went away: Socket closed"), std::string::npos) << gone.err;
  gateway_.fall_silent();
  const Outcome late = run("show drops --timeout 0.3");
  EXPECT_EQ(late.status, 3);
  EXPECT_NE(late.err.find("did not answer in time"), std::string::npos) << late.err;
}

TEST_F(Cli, ExitStatus) {
  EXPECT_EQ(run("--help").status, 0);
  EXPECT_EQ(run("permit set --help").status, 0);
  EXPECT_EQ(run("--version").status, 0);
  for (const char* wrong :
       {"", "frobnicate", "vm", "vm frobnicate", "vm create", "vm create web",
        "vm create web --port vm0 --mac 02:00:00:00:00:01", "eip request", "eip request web --family 5",
        "eip request web --family six", "permit set 203.0.113.1",
        "permit set 203.0.113.1 --empty in tcp 80 from any", "permit set 203.0.113.1 'in tcp 80 to any'",
        "show drops extra", "show drops --frobnicate", "--timeout 0 show drops", "--timeout x show drops"}) {
    const Outcome outcome = run(wrong);
    EXPECT_EQ(outcome.status, 2) << wrong;
    EXPECT_NE(outcome.err, "") << wrong;
    EXPECT_EQ(outcome.out, "") << wrong;
  }
  EXPECT_TRUE(gateway_.take_calls().empty());
  for (const std::string& nobody : {path("absent"), path("")}) {
    const Outcome outcome = run("--socket '" + nobody + "' show drops");
    EXPECT_EQ(outcome.status, 3) << nobody;
    EXPECT_NE(outcome.err.find("hint:"), std::string::npos) << outcome.err;
  }
}

TEST_F(Cli, AServerNeedsThreePemFiles) {
  write("cert.pem", "-----BEGIN CERTIFICATE-----\n");
  write("note", "to do\n");
  const std::string server = "show drops --server 127.0.0.1:1";
  const std::string certificate = server + " --tls-cert '" + path("cert.pem") + "'";
  const std::array<std::pair<std::string, std::string>, 4> wrong{{
      {server, "--server needs --tls-cert FILE, or PORTCULLIS_TLS_CERT"},
      {certificate, "--server needs --tls-key FILE, or PORTCULLIS_TLS_KEY"},
      {certificate + " --tls-key '" + path("note") + "'", "--tls-key: " + path("note") + " is no PEM file"},
      {certificate + " --tls-key '" + path("cert.pem") + "' --tls-ca '" + path("absent") + "'",
       "--tls-ca: " + path("absent") + " cannot be read"},
  }};
  for (const auto& [arguments, message] : wrong) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_EQ(outcome.err, "portctl: " + message + "\n");
  }
  EXPECT_TRUE(gateway_.take_calls().empty());
}

TEST_F(Cli, AWrongWordIsNamed) {
  EXPECT_NE(run("frobnicate").err.find("frobnicate"), std::string::npos);
  EXPECT_NE(run("vm frobnicate").err.find("frobnicate"), std::string::npos);
}

}  // namespace
}  // namespace portcullis
