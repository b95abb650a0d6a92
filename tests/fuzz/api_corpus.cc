// A conversation with every method of the API, whole and each call by itself after what it needs.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>

#include "tests/fuzz/api_script.h"
#include "tests/fuzz/corpus.h"

namespace portcullis::fuzz {
namespace {

struct Line {
  Caller caller;
  const char* method;
  const char* request;
};

constexpr auto provider = Caller::provider;
constexpr auto acme = Caller::acme;
constexpr auto other = Caller::other;

constexpr std::array town{
    Line{provider, "CreatePool", "pool { name: 'pools/public' prefix: '203.0.113.0/29' kind: LOCAL }"},
    Line{provider, "CreatePool", "pool { name: 'pools/six' prefix: '2001:db8:1::/64' kind: LOCAL }"},
    Line{provider, "CreatePool", "pool { name: 'pools/far' prefix: '198.18.0.0/23' kind: PROVIDER }"},
    Line{provider, "CreateVm",
         "vm { name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2'"
         " dip6: 'fd00::2' }"},
    Line{provider, "CreateVm",
         "vm { name: 'tenants/other/vms/web' location { port: 'vm1' mac: '02:00:00:00:00:02' } dip: "
         "'10.0.0.2' }"},
    Line{acme, "RequestEip", "vm: 'tenants/acme/vms/web' pool: 'pools/public' family: IPV4"},
    Line{acme, "RequestEip", "vm: 'tenants/acme/vms/web' family: IPV6"},
    Line{other, "RequestEip", "vm: 'tenants/other/vms/web'"},
};

constexpr std::array calls{
    Line{acme, "SetTag", "eip: 'tenants/acme/eips/203.0.113.1' tags: 'web' tags: 'db'"},
    Line{acme, "SetPermitList",
         "eip: 'tenants/acme/eips/203.0.113.1'"
         "rules { name: 'web' direction: INBOUND remote { any: true } protocol: 'tcp'"
         "        local_ports { first: 80 last: 80 } remote_ports { first: 1024 last: 65535 } tracked: true }"
         "rules { name: 'ping' direction: INBOUND remote { prefixes { prefixes: '192.0.2.0/24' } }"
         "        protocol: 'icmp' icmp_type: 8 icmp_code: 0 }"
         "rules { name: 'db' direction: OUTBOUND remote { tags { tags: 'db' tags: 'web' } } }"},
    Line{acme, "AddPermitRules",
         "eip: 'tenants/acme/eips/203.0.113.1'"
         "rules { name: 'ssh' direction: INBOUND remote { any: true } protocol: 'tcp'"
         "        local_ports { first: 22 last: 22 } }"},
    Line{acme, "RemovePermitRules", "eip: 'tenants/acme/eips/203.0.113.1' names: 'web' names: 'ping'"},
    Line{acme, "SetPermitList", "eip: 'tenants/acme/eips/203.0.113.1' keep_established: true"},
    Line{acme, "SetTag", "eip: 'tenants/acme/eips/203.0.113.1' tags: 'db' request_id: 'web'"},
    Line{acme, "GetPermitList", "eip: 'tenants/acme/eips/203.0.113.1'"},
    Line{acme, "GetEip", "name: 'tenants/acme/eips/203.0.113.1'"},
    Line{acme, "ListEips", "parent: 'tenants/acme' page_size: 1"},
    Line{acme, "GetEipStatistics", "eip: 'tenants/acme/eips/203.0.113.1'"},
    Line{other, "SetTag", "eip: 'tenants/acme/eips/203.0.113.1' tags: 'stolen'"},
    Line{other, "ReleaseEip", "name: 'tenants/acme/eips/203.0.113.1'"},
    Line{other, "ReleaseEip", "name: 'tenants/other/eips/203.0.113.2'"},
    Line{provider, "MoveVm",
         "name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:03' }"},
    Line{provider, "GetVm", "name: 'tenants/acme/vms/web'"},
    Line{provider, "ListVms", "parent: 'tenants/-'"},
    Line{provider, "DeleteVm", "name: 'tenants/other/vms/web'"},
    Line{provider, "GetPool", "name: 'pools/public'"},
    Line{provider, "ListPools", "page_size: 2"},
    Line{provider, "UpdatePool",
         "pool { name: 'pools/public' prefix: '203.0.113.0/24' } update_mask { paths: 'prefix' }"},
    Line{provider, "DeletePool", "name: 'pools/far'"},
    Line{provider, "SetTenantQuota", "tenant: 'tenants/acme' eips: 2 rules: 5 flows: 9"},
    Line{provider, "SetEipQuota", "eip: 'tenants/acme/eips/203.0.113.1' rules: 2 flows: 7"},
    Line{provider, "ListTenantQuotas", "page_size: 1"},
    Line{acme, "GetTenantQuota", "tenant: 'tenants/acme'"},
    Line{acme, "GetEipQuota", "eip: 'tenants/acme/eips/203.0.113.1'"},
    Line{other, "SetTenantQuota", "tenant: 'tenants/other' eips: 8"},
    Line{provider, "Apply",
         "operations { set_tenant_quota { tenant: 'tenants/acme' eips: 0 } }"
         "operations { set_eip_quota { eip: 'tenants/acme/eips/203.0.113.1' flows: 0 } }"},
    Line{provider, "Apply",
         "operations { create_vm { vm { name: 'tenants/acme/vms/db' location { port: 'vm0' mac:"
         " '02:00:00:00:00:04' } dip: '10.0.0.4' } } }"
         "operations { request_eip { vm: 'tenants/acme/vms/db' } }"
         "operations { add_permit_rules { eip: 'tenants/acme/eips/203.0.113.1' rules { name: 'a' direction:"
         " OUTBOUND remote { any: true } } } }"},
    Line{acme, "Apply",
         "operations { set_tag { eip: 'tenants/acme/eips/203.0.113.1' tags: 'db' } }"
         "operations { release_eip { name: 'tenants/acme/eips/203.0.113.1' } } dry_run: true"},
    Line{acme, "Apply", "operations { release_eip { name: 'tenants/acme/eips/203.0.113.7' } }"},
    Line{provider, "Export", ""},
    Line{
        provider, "Import",
        "document { pools { name: 'pools/public' prefix: '203.0.113.0/29' kind: LOCAL }"
        "vms { name: 'tenants/acme/vms/web' location { port: 'vm1' mac: '02:00:00:00:00:01' } dip: '10.0.0.2'"
        " dip6: 'fd00::2' }"
        "eips { name: 'tenants/acme/eips/203.0.113.1' vm: 'tenants/acme/vms/web' tags: 'web' rules { name: "
        "'a'"
        " direction: INBOUND remote { any: true } } flow_quota: 9 }"
        "resting { address: '203.0.113.3' until_ms: 99999999999999 }"
        "quotas { name: 'tenants/acme/quota' eips: 3 } }"},
    Line{provider, "ListDrops", ""},
    Line{provider, "ListPorts", ""},
    Line{provider, "ListWorkers", ""},
    Line{provider, "ListNextHops", "page_size: 1"},
    Line{provider, "GetGateway", ""},
    Line{provider, "ListFlows",
         "filter { remote: '192.0.2.0/24' protocol: 'tcp' remote_port: 80 } page_size: 1"},
    Line{acme, "ClearFlows", "eip: 'tenants/acme/eips/203.0.113.1'"},
    Line{provider, "Explain",
         "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'tcp' destination_port: 80 }"},
    Line{provider, "Explain",
         "fields { source: 'tenants/acme/vms/web' destination: '203.0.113.2' protocol: 'icmp' }"},
    Line{provider, "Explain", "frame { port: 'ports/vm0' data: '\\002\\000\\000\\000\\000\\001' }"},
    Line{provider, "Explain", "fields { source: 'nobody' destination: '203.0.113.1' protocol: 'any' }"},
    Line{acme, "Explain", "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'udp' }"},
    Line{acme, "WatchEvents", "parent: 'tenants/acme' after_generation: 3 until_now: true"},
    Line{provider, "WatchEvents", "parent: 'tenants/-'"},
    Line{provider, "Capture",
         "fates: DROPPED reasons: 'unbound' ports: 'ports/wan' address: '198.51.100.2'"
         " eip: 'tenants/acme/eips/203.0.113.1' snap_length: 64 packets: 1 seconds: 1 one_in: 2"},
    Line{acme, "Capture", "eip: 'tenants/acme/eips/203.0.113.1' seconds: 1"},
    Line{provider, "Capture", "reasons: 'none'"},
    Line{provider, "Trace",
         "fates: DROPPED reasons: 'unbound' ports: 'ports/wan' address: '198.51.100.2'"
         " eip: 'tenants/acme/eips/203.0.113.1' packets: 1 seconds: 1 one_in: 2"},
    Line{acme, "Trace", "eip: 'tenants/acme/eips/203.0.113.1' seconds: 1"},
    Line{provider, "Trace", "packets: 100001"},
    Line{acme, "ListWorkers", ""},
};

Call call_of(const Line& line) {
  const auto method =
      std::ranges::find(methods(), std::string(line.method), [](const auto* known) { return known->name(); });
  if (method == methods().end()) std::abort();
  Call call = call_of(line.caller, **method);
  if (!google::protobuf::TextFormat::ParseFromString(line.request, call.request.get())) std::abort();
  return call;
}

Script script_of(std::span<const Line> lines) {
  Script script;
  for (const Line& line : town) script.push_back(call_of(line));
  for (const Line& line : lines) script.push_back(call_of(line));
  return script;
}

// Every method by a tenant that says nothing, which is refused.
Script nothing_said() {
  Script script;
  for (const auto* method : methods()) script.push_back(call_of(other, *method));
  return script;
}

}  // namespace
}  // namespace portcullis::fuzz

int main(int argc, char** argv) {
  using namespace portcullis::fuzz;
  std::vector<std::string> inputs{encode(script_of(calls))};
  inputs.push_back(encode(nothing_said()));
  for (const Line& line : calls) inputs.push_back(encode(script_of({&line, 1})));
  return write_corpus(argc, argv, inputs);
}
