// What portctl prints: tables, lines, JSON, and what goes into files (cli_fixture.h).
#include <google/protobuf/text_format.h>

#include <regex>

#include "tests/unit/portctl/cli_fixture.h"

namespace portcullis {
namespace {

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
                                  "rules { limit: 4294967295 used: 7 } "
                                  "flows { set: 500 limit: 500 used: 17 } }",
                                  &list));
  gateway_.answer("/portcullis.v1.ProviderService/ListTenantQuotas", list);
  EXPECT_EQ(run("quota list").out,
            "TENANT  EIPS  OF  RULES  OF  FLOWS   OF\n"
            "acme      12  10      7   -     17  500\n");
  v1::SetTenantQuotaResponse set;
  *set.mutable_quota() = list.quotas(0);
  set.set_generation(5);
  gateway_.answer("/portcullis.v1.ProviderService/SetTenantQuota", set);
  EXPECT_EQ(run("quota set --tenant acme --eips 10").out,
            "acme: 10 EIPs, any number of rules, 500 flow entries at most (generation 5)\n");
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

TEST_F(Cli, DurationsAreShownByTheBoundThatHoldsNinetyNineOfAHundred) {
  constexpr const char* method = "/portcullis.v1.ObserveService/GetGateway";
  const auto shown = [&](const char* buckets) -> std::string {
    v1::Gateway gateway;
    const std::string text = "publishing { total_nanoseconds: 1 " + std::string(buckets) + " }";
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &gateway));
    gateway_.answer(method, gateway);
    const std::string out = run("show gateway").out;
    std::smatch line;
    return std::regex_search(out, line, std::regex("99 % then enforced within +(.*[^ ]) +-")) ? line[1].str()
                                                                                              : out;
  };
  EXPECT_EQ(
      shown("buckets { up_to_microseconds: 200 times: 99 } buckets { up_to_microseconds: 1000 times: 1 }"),
      "200 us");
  EXPECT_EQ(
      shown("buckets { up_to_microseconds: 200 times: 98 } buckets { up_to_microseconds: 1000 times: 2 }"),
      "1.00 ms");
  EXPECT_EQ(shown("buckets { up_to_microseconds: 200 times: 98 } buckets { times: 2 }"), "longer");
  gateway_.answer(method, v1::Gateway());
  EXPECT_EQ(run("show gateway").out.find("99 %"), std::string::npos) << "no change, nothing to tell";
}

TEST_F(Cli, JsonHasZeroFieldsToo) {
  const Outcome outcome = run("show gateway --json");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.out.find("\"eipsKnown\": \"0\""), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace portcullis
