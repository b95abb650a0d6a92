// The command line as people call it (cli_fixture.h): which call each command makes, that the paper's names
// are aliases, what is refused, and the exit status. What is printed: cli_output_test.cc.
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/unit/portctl/cli_fixture.h"

namespace portcullis {
namespace {

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
    {"quota set --tenant acme --flows 500", "ProviderService/SetTenantQuota",
     "tenant: 'tenants/acme' flows: 500"},
    {"quota get --tenant acme", "TenantService/GetTenantQuota", "tenant: 'tenants/acme'"},
    {"quota get 203.0.113.1", "TenantService/GetEipQuota", "eip: 'tenants/default/eips/203.0.113.1'"},
    {"quota list", "ProviderService/ListTenantQuotas", ""},
    {"quota clear --tenant acme", "ProviderService/SetTenantQuota",
     "tenant: 'tenants/acme' eips: 0 rules: 0 flows: 0"},
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
     "fates: TRANSMITTED fates: PUNTED fates: DROPPED fates: RECEIVED reasons: 'unbound' reasons: 'not_ours' "
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

TEST_F(Cli, AQuotaIsOfATenantOrOfAnEip) {
  for (const auto* words : {"quota set", "quota set 203.0.113.1", "quota set 203.0.113.1 --eips 3",
                            "quota set --flows 0", "quota set --eips 0", "quota set --eips many"}) {
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
    const Outcome by_noun = run(std::string(noun).append(" ").append(arguments));
    const std::vector<Call> calls = gateway_.take_calls();
    const Outcome by_alias = run(std::string(alias).append(" ").append(arguments));
    EXPECT_EQ(gateway_.take_calls(), calls);
    EXPECT_EQ(by_alias.status, by_noun.status);
    EXPECT_EQ(by_alias.out, by_noun.out);
    EXPECT_EQ(by_alias.err, by_noun.err);
  }
}

TEST_F(Cli, ARuleThatIsSeldomMeantIsCarriedOutWithANote) {
  const Outcome outcome = run("permit set 203.0.113.1 'in tcp from any port 80' 'in tcp 443 from any'");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err.find("portctl: note: 'in tcp from any port 80' permits every port"), 0u)
      << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << "one note: " << outcome.err;
  EXPECT_EQ(gateway_.take_calls().size(), 1u);
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
