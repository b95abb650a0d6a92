// The API over its socket. Every method of the services is called with what it takes and with what it
// refuses.
#include "tests/unit/service/api_fixture.h"

#include <google/protobuf/util/message_differencer.h>

#include <set>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace portcullis::service {
namespace {

using google::protobuf::util::MessageDifferencer;

struct Details {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
};

Details details_of(const grpc::Status& status) {
  google::rpc::Status wire;
  EXPECT_TRUE(wire.ParseFromString(status.error_details()));
  EXPECT_EQ(wire.code(), status.error_code());
  Details details;
  for (const auto& detail : wire.details()) {
    if (detail.Is<google::rpc::ErrorInfo>()) detail.UnpackTo(&details.info);
    if (detail.Is<google::rpc::BadRequest>()) detail.UnpackTo(&details.bad_request);
  }
  return details;
}

// One call after another on one gateway. Allowed: `expected` is the reply, or those fields of it that are not
// zero. Refused: `expected` is the field at fault.
struct CallRow {
  const char* method;
  const char* request;
  grpc::StatusCode code;
  const char* expected;
};

constexpr auto ok = grpc::OK;
constexpr auto invalid = grpc::INVALID_ARGUMENT;

const CallRow call_rows[] = {
    {"ObserveService/GetGateway", "", ok,
     "version: '" PORTCULLIS_VERSION "' eip_capacity: 16 permit_chunk_capacity: 16"},

    {"ProviderService/CreatePool", "pool { name: 'pools/public' prefix: '203.0.113.0/30' kind: LOCAL }", ok,
     "pool { name: 'pools/public' prefix: '203.0.113.0/30' kind: LOCAL used: 0 free: 2 } generation: 1"},
    {"ProviderService/CreatePool", "pool { name: 'pools/public' prefix: '203.0.113.0/30' kind: LOCAL }", ok,
     "pool { name: 'pools/public' } generation: 1"},
    {"ProviderService/CreatePool", "pool { name: 'pools/far' prefix: '198.18.0.0/15' kind: PROVIDER }", ok,
     "pool { name: 'pools/far' kind: PROVIDER } generation: 2"},
    {"ProviderService/CreatePool", "", invalid, "pool.name"},
    {"ProviderService/CreatePool", "pool { name: 'pools/x' prefix: '203.0.113.0/25' kind: LOCAL }",
     grpc::ALREADY_EXISTS, "pool.prefix"},
    {"ProviderService/GetPool", "name: 'pools/public'", ok,
     "name: 'pools/public' prefix: '203.0.113.0/30' free: 2"},
    {"ProviderService/GetPool", "name: 'public'", invalid, "name"},
    {"ProviderService/GetPool", "name: 'pools/none'", grpc::NOT_FOUND, "name"},
    {"ProviderService/ListPools", "", ok, "pools { name: 'pools/far' } pools { name: 'pools/public' }"},
    {"ProviderService/ListPools", "page_size: -1", invalid, "page_size"},
    {"ProviderService/ListPools", "page_token: 'x'", invalid, "page_token"},

    {"ProviderService/CreateVm",
     "vm { name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2' }",
     ok,
     "vm { name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2' }"
     "generation: 3"},
    {"ProviderService/CreateVm",
     "vm { name: 'tenants/acme/vms/db' location { port: 'vm0' mac: '02:00:00:00:00:02' } dip: '10.0.0.3' }",
     ok, "generation: 4"},
    {"ProviderService/CreateVm",
     "vm { name: 'tenants/acme/vms/x' location { port: 'vm0' mac: '02:00:00:00:00:zz' } dip: '10.0.0.4' }",
     invalid, "vm.location.mac"},
    {"ProviderService/CreateVm",
     "vm { name: 'tenants/acme/vms/x' location { port: 'vm9' mac: '02:00:00:00:00:03' } dip: '10.0.0.4' }",
     invalid, "vm.location.port"},
    {"ProviderService/CreateVm",
     "vm { name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.9' }",
     grpc::ALREADY_EXISTS, "vm.name"},
    {"ProviderService/GetVm", "name: 'tenants/acme/vms/web'", ok,
     "name: 'tenants/acme/vms/web' dip: '10.0.0.2'"},
    {"ProviderService/GetVm", "name: 'tenants/other/vms/web'", grpc::NOT_FOUND, "name"},
    {"ProviderService/GetVm", "name: ''", invalid, "name"},
    {"ProviderService/ListVms", "parent: 'tenants/-'", ok,
     "vms { name: 'tenants/acme/vms/db' } vms { name: 'tenants/acme/vms/web' }"},
    {"ProviderService/ListVms", "parent: 'acme'", invalid, "parent"},
    {"ProviderService/ListVms", "parent: 'tenants/acme' page_size: 10001", invalid, "page_size"},

    {"TenantService/RequestEip", "vm: 'tenants/acme/vms/web'", ok,
     "eip { name: 'tenants/acme/eips/203.0.113.1' address: '203.0.113.1' vm: 'tenants/acme/vms/web' "
     "bound_local: true }"
     "generation: 5"},
    {"TenantService/RequestEip", "vm: 'tenants/acme/vms/web' pool: 'pools/public'", ok,
     "eip { name: 'tenants/acme/eips/203.0.113.1' } generation: 5"},
    {"TenantService/RequestEip", "vm: 'tenants/acme/vms/db' pool: 'pools/public'", ok,
     "eip { name: 'tenants/acme/eips/203.0.113.2' } generation: 6"},
    {"TenantService/RequestEip", "vm: 'web'", invalid, "vm"},
    {"TenantService/RequestEip", "vm: 'tenants/acme/vms/web' pool: 'public'", invalid, "pool"},
    {"TenantService/RequestEip", "vm: 'tenants/acme/vms/none'", grpc::NOT_FOUND, "vm"},
    {"TenantService/RequestEip", "vm: 'tenants/acme/vms/db' pool: 'pools/far'", grpc::ALREADY_EXISTS, "pool"},
    {"TenantService/GetEip", "name: 'tenants/acme/eips/203.0.113.1'", ok, "vm: 'tenants/acme/vms/web'"},
    {"TenantService/GetEip", "name: 'tenants/other/eips/203.0.113.1'", grpc::NOT_FOUND, "name"},
    {"TenantService/GetEip", "name: 'tenants/acme/eips/x'", invalid, "name"},
    {"TenantService/ListEips", "parent: 'tenants/acme'", ok,
     "eips { address: '203.0.113.2' } eips { address: '203.0.113.1' }"},  // db, web
    {"TenantService/ListEips", "", invalid, "parent"},

    {"TenantService/SetPermitList",
     "eip: 'tenants/acme/eips/203.0.113.1'"
     "rules { name: 'web' direction: INBOUND remote { any: true } protocol: 'tcp' local_ports { first: 80 "
     "last: 80 } }"
     "rules { name: 'dns' direction: OUTBOUND remote { prefixes { prefixes: '192.0.2.53' } } protocol: 'udp' "
     "}",
     ok,
     "permit_list { name: 'tenants/acme/eips/203.0.113.1/permitList'"
     "  rules { name: 'dns' direction: OUTBOUND remote { prefixes { prefixes: '192.0.2.53/32' } } protocol: "
     "'udp' }"
     "  rules { name: 'web' direction: INBOUND remote { any: true } protocol: 'tcp' local_ports { first: 80 "
     "last: 80 } }"
     "} generation: 7"},
    {"TenantService/SetPermitList",
     "eip: 'tenants/acme/eips/203.0.113.1'"
     "rules { name: 'a' direction: INBOUND remote { any: true } }"
     "rules { name: 'b' direction: INBOUND remote { prefixes { prefixes: '10.0.0.0/8' prefixes: '10.0.0.1/8' "
     "} } }",
     invalid, "rules[1].remote.prefixes[1]"},
    {"TenantService/SetPermitList",
     "eip: 'tenants/acme/eips/203.0.113.1'"
     "rules { name: 'a' direction: INBOUND remote { any: true } protocol: 'icmp' local_ports { first: 1 "
     "last: 2 } }",
     invalid, "rules[0].local_ports"},
    {"TenantService/SetPermitList", "eip: 'tenants/acme/eips/203.0.113.1' keep_established: true",
     grpc::FAILED_PRECONDITION, "keep_established"},
    {"TenantService/SetPermitList", "eip: 'tenants/acme/eips/203.0.113.3'", grpc::NOT_FOUND, "eip"},
    {"TenantService/SetPermitList",
     "eip: 'tenants/acme/eips/203.0.113.2'"
     "rules { name: 'a' direction: INBOUND remote { any: true } protocol: 'tcp' tracked: true }",
     ok, "generation: 8"},
    {"TenantService/SetPermitList", "eip: 'tenants/acme/eips/203.0.113.2' keep_established: true", ok,
     "permit_list { name: 'tenants/acme/eips/203.0.113.2/permitList' } generation: 9"},
    {"TenantService/GetEip", "name: 'tenants/acme/eips/203.0.113.2'", ok,
     "bound_edge: true keep_established: true"},
    {"TenantService/GetPermitList", "eip: 'tenants/acme/eips/203.0.113.1'", ok,
     "name: 'tenants/acme/eips/203.0.113.1/permitList' rules { name: 'dns' } rules { name: 'web' tracked: "
     "false }"},
    {"TenantService/GetPermitList", "eip: 'tenants/other/eips/203.0.113.1'", grpc::NOT_FOUND, "eip"},
    {"TenantService/GetPermitList", "eip: '203.0.113.1'", invalid, "eip"},
    {"TenantService/GetEip", "name: 'tenants/acme/eips/203.0.113.1'", ok, "rule_count: 2 bound_edge: true"},
    {"TenantService/AddPermitRules",
     "eip: 'tenants/acme/eips/203.0.113.1'"
     "rules { name: 'web' direction: INBOUND remote { any: true } protocol: 'tcp' local_ports { first: 80 "
     "last: 80 } }",
     ok,
     "permit_list { name: 'tenants/acme/eips/203.0.113.1/permitList' rules { name: 'dns' } rules { name: "
     "'web' } } generation: 9"},
    {"TenantService/AddPermitRules",
     "eip: 'tenants/acme/eips/203.0.113.1'"
     "rules { name: 'new' direction: INBOUND remote { any: true } }"
     "rules { name: 'web' direction: INBOUND remote { any: true } }",
     grpc::ALREADY_EXISTS, "rules[1].name"},
    {"TenantService/AddPermitRules",
     "eip: 'tenants/acme/eips/203.0.113.1'"
     "rules { name: 'new' direction: INBOUND remote { any: true } local_ports { first: 1 last: 2 } }",
     invalid, "rules[0].local_ports"},
    {"TenantService/AddPermitRules", "eip: 'tenants/acme/eips/203.0.113.1'", invalid, "rules"},
    {"TenantService/AddPermitRules",
     "eip: 'tenants/acme/eips/203.0.113.3' rules { name: 'a' direction: "
     "INBOUND remote { any: true } }",
     grpc::NOT_FOUND, "eip"},
    {"TenantService/RemovePermitRules", "eip: 'tenants/acme/eips/203.0.113.1' names: 'none'", ok,
     "permit_list { name: 'tenants/acme/eips/203.0.113.1/permitList' rules { name: 'dns' } rules { name: "
     "'web' } } generation: 9"},
    {"TenantService/RemovePermitRules", "eip: 'tenants/acme/eips/203.0.113.1' names: 'web' names: 'Web'",
     invalid, "names[1]"},
    {"TenantService/RemovePermitRules", "eip: 'tenants/acme/eips/203.0.113.1'", invalid, "names"},
    {"TenantService/RemovePermitRules",
     "eip: 'tenants/acme/eips/203.0.113.1' names: 'web' keep_established: true", grpc::FAILED_PRECONDITION,
     "keep_established"},
    {"TenantService/RemovePermitRules", "eip: 'tenants/other/eips/203.0.113.1' names: 'web'", grpc::NOT_FOUND,
     "eip"},
    {"TenantService/SetTag", "eip: 'tenants/acme/eips/203.0.113.1' tags: 'web' tags: 'a' tags: 'web'", ok,
     "eip { name: 'tenants/acme/eips/203.0.113.1' tags: 'a' tags: 'web' rule_count: 2 bound_edge: true } "
     "generation: 10"},
    {"TenantService/SetTag", "eip: 'tenants/acme/eips/203.0.113.1' tags: 'Web'", invalid, "tags"},
    {"TenantService/SetTag", "eip: 'tenants/other/eips/203.0.113.1'", grpc::NOT_FOUND, "eip"},

    {"ObserveService/ListDrops", "", ok, ""},  // see CountersAreThoseOfTheWorkers
    {"ObserveService/ListPorts", "", ok,
     "ports { name: 'ports/wan' role: UPLINK device: 'net_ring0' mac: '02:00:00:00:ff:00' mtu: 9000 link_up: "
     "true"
     "        missed_packets: 40 next_hop: '198.51.100.254' }"
     "ports { name: 'ports/vm0' role: ENDPOINT device: 'net_ring1' mtu: 1500 numa_node: -1 missed_packets: "
     "41 }"},
    {"ObserveService/ListWorkers", "", ok,
     "workers { numa_node: -1 flow_capacity: 1024 ipv6_flow_capacity: 1024 fragment_capacity: 64 }"},
    // See next_hops_test.cc.
    {"ObserveService/ListNextHops", "", ok,
     "next_hops { port: 'ports/wan' family: IPV4 address: '198.51.100.254' state: UNRESOLVED }"},
    {"ObserveService/ListNextHops", "page_size: 10001", invalid, "page_size"},
    {"ObserveService/ListNextHops", "page_token: 'x'", invalid, "page_token"},
    {"ObserveService/GetEipStatistics", "eip: 'tenants/acme/eips/203.0.113.1'", ok,
     "eip: 'tenants/acme/eips/203.0.113.1' flow_quota: 100 rules { rule: 'dns' } rules { rule: 'web' }"},
    {"ObserveService/GetEipStatistics", "eip: 'tenants/other/eips/203.0.113.1'", grpc::NOT_FOUND, "eip"},
    {"ObserveService/GetEipStatistics", "eip: ''", invalid, "eip"},
    {"ObserveService/GetGateway", "", ok, "generation: 10 eips_known: 2 eips_local: 2 eips_bound_edge: 2"},

    // See flows_test.cc, capture_test.cc, trace_test.cc, explain_test.cc.
    {"ObserveService/ListFlows", "eip: 'tenants/acme/eips/203.0.113.1'", ok, ""},
    {"ObserveService/ListFlows", "eip: 'tenants/acme/eips/203.0.113.77'", grpc::NOT_FOUND, "eip"},
    {"ObserveService/ListFlows", "filter { remote: 'somewhere' }", invalid, "filter.remote"},
    {"ObserveService/ListFlows", "page_token: 'x'", invalid, "page_token"},
    {"ObserveService/ClearFlows", "eip: 'tenants/acme/eips/203.0.113.1'", ok, ""},
    {"ObserveService/ClearFlows", "filter { protocol: 'tpc' }", invalid, "filter.protocol"},
    {"ObserveService/ClearFlows", "filter { local_port: 65536 }", invalid, "filter.local_port"},
    {"ObserveService/Capture", "seconds: 1", ok, ""},
    {"ObserveService/Capture", "reasons: 'none'", invalid, "reasons[0]"},
    {"ObserveService/Trace", "seconds: 1", ok, ""},
    {"ObserveService/Trace", "fates: RECEIVED", invalid, "fates[0]"},
    {"ObserveService/Explain", "fields { source: '203.0.113.1' destination: '198.51.100.7' protocol: 'gre' }",
     ok, ""},
    {"ObserveService/Explain", "", invalid, "fields"},
    {"ObserveService/Explain", "frame { port: 'ports/wan' }", invalid, "frame.data"},
    {"ObserveService/Explain", "frame { port: 'ports/lan' data: 'x' }", grpc::NOT_FOUND, "frame.port"},
    {"ObserveService/Explain", "fields { destination: '203.0.113.1' protocol: 'tcp' }", invalid,
     "fields.source"},
    {"ObserveService/Explain", "fields { source: '2001:db8::1' destination: '203.0.113.1' protocol: 'tcp' }",
     invalid, "fields.source"},
    {"ObserveService/Explain",
     "fields { source: 'tenants/acme/vms/nobody' destination: '203.0.113.1' protocol: 'tcp' }",
     grpc::NOT_FOUND, "fields.source"},
    {"ObserveService/Explain",
     "fields { source: 'tenants/acme/vms/web' destination: '2001:db8::1' protocol: 'tcp' }", invalid,
     "fields.source"},
    {"ObserveService/Explain", "fields { source: '198.51.100.7' destination: 'web' protocol: 'tcp' }",
     invalid, "fields.destination"},
    {"ObserveService/Explain", "fields { source: '198.51.100.7' destination: '203.0.113.1' }", invalid,
     "fields.protocol"},
    {"ObserveService/Explain",
     "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'gre' destination_port: 1 }",
     invalid, "fields.destination_port"},
    {"ObserveService/Explain",
     "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'tcp' source_port: 65536 }",
     invalid, "fields.source_port"},
    {"ObserveService/Explain",
     "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'udp' tcp_flags: 2 }", invalid,
     "fields.tcp_flags"},
    {"ObserveService/Explain",
     "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'udp' icmp_code: 2 }", invalid,
     "fields.icmp_type"},
    {"ObserveService/Explain",
     "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'udp' ttl: 256 }", invalid,
     "fields.ttl"},
    {"ObserveService/Explain",
     "fields { source: '198.51.100.7' destination: '203.0.113.1' protocol: 'tcp' length: 39 }", invalid,
     "fields.length"},

    {"ProviderService/MoveVm",
     "name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:07' }", ok,
     "vm { name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:07' } dip: '10.0.0.2' "
     "eip: 'tenants/acme/eips/203.0.113.1' } generation: 11"},
    {"ProviderService/MoveVm",
     "name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:07' }", ok, "generation: 11"},
    {"ProviderService/MoveVm", "name: 'tenants/acme/vms/web' location { port: 'vm0' }", invalid,
     "location.mac"},
    {"ProviderService/MoveVm",
     "name: 'tenants/acme/vms/web' location { port: 'vm9' mac: '02:00:00:00:00:07' }", invalid,
     "location.port"},
    {"ProviderService/MoveVm",
     "name: 'tenants/other/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:07' }", grpc::NOT_FOUND,
     "name"},
    {"ProviderService/DeleteVm", "name: 'tenants/acme/vms/web'", grpc::FAILED_PRECONDITION, "name"},
    {"ProviderService/DeletePool", "name: 'pools/public'", grpc::FAILED_PRECONDITION, "name"},
    {"TenantService/ReleaseEip", "name: 'tenants/other/eips/203.0.113.1'", grpc::NOT_FOUND, "name"},
    {"TenantService/ReleaseEip", "name: 'tenants/acme/eips/203.0.113'", invalid, "name"},
    {"TenantService/ReleaseEip", "name: 'tenants/acme/eips/203.0.113.1'", ok, "generation: 12"},
    {"TenantService/ReleaseEip", "name: 'tenants/acme/eips/203.0.113.2'", ok, "generation: 13"},
    {"TenantService/RequestEip", "vm: 'tenants/acme/vms/web'", grpc::RESOURCE_EXHAUSTED, "pool"},
    {"ProviderService/DeleteVm", "name: 'tenants/acme/vms/web'", ok, "generation: 14"},
    {"ProviderService/DeleteVm", "name: 'tenants/acme/vms'", invalid, "name"},
    {"ProviderService/DeletePool", "name: 'pools/public'", ok, "generation: 15"},
    {"ProviderService/DeletePool", "name: 'pools'", invalid, "name"},
    {"ProviderService/DeletePool", "name: 'pools/far' expected_generation: 14", grpc::FAILED_PRECONDITION,
     "expected_generation"},

    {"ProviderService/Apply",
     "operations { create_pool { pool { name: 'pools/new' prefix: '198.51.100.0/24' kind: LOCAL } } }"
     "operations { request_eip { vm: 'tenants/acme/vms/db' } }",
     ok,
     "results { name: 'pools/new' changed: true }"
     "results { name: 'tenants/acme/eips/198.51.100.1' changed: true }"
     "changes { name: 'pools/new' kind: CREATED }"
     "changes { name: 'tenants/acme/eips/198.51.100.1' kind: CREATED } generation: 16"},
    {"ProviderService/Apply",
     "operations { set_tag { eip: 'tenants/acme/eips/198.51.100.1' tags: 'a' } }"
     "operations { set_tag { eip: 'tenants/acme/eips/198.51.100.1' tags: 'B' } }",
     invalid, "operations[1].set_tag.tags"},
    {"ProviderService/Export", "", ok,
     "generation: 16 pools { name: 'pools/far' kind: PROVIDER prefix: '198.18.0.0/15' }"
     "pools { name: 'pools/new' prefix: '198.51.100.0/24' kind: LOCAL }"
     "vms { name: 'tenants/acme/vms/db' dip: '10.0.0.3' }"
     "eips { name: 'tenants/acme/eips/198.51.100.1' vm: 'tenants/acme/vms/db' }"
     "resting { address: '203.0.113.1' } resting { address: '203.0.113.2' }"},
    {"ObserveService/WatchEvents", "parent: 'tenants/-' after_generation: 15 until_now: true", ok,
     "generation: 16 changes { name: 'pools/new' kind: CREATED }"
     "changes { name: 'tenants/acme/eips/198.51.100.1' kind: CREATED }"},
    {"ObserveService/WatchEvents", "parent: 'tenants/acme' until_now: true", ok,
     "generation: 3 changes { name: 'tenants/acme/vms/web' kind: CREATED }"},
    {"ObserveService/WatchEvents", "parent: 'tenants/-' after_generation: 17", grpc::OUT_OF_RANGE,
     "after_generation"},
    {"ObserveService/WatchEvents", "parent: 'pools/new'", invalid, "parent"},
    {"ProviderService/UpdatePool",
     "pool { name: 'pools/new' prefix: '198.51.100.0/24' kind: LOCAL } update_mask { paths: 'prefix' }", ok,
     "pool { name: 'pools/new' prefix: '198.51.100.0/24' kind: LOCAL used: 1 free: 253 } generation: 16"},
    {"ProviderService/UpdatePool",
     "pool { name: 'pools/new' kind: LOCAL } update_mask { paths: 'prefix' paths: 'kind' }", invalid,
     "update_mask.paths[1]"},
    {"ProviderService/UpdatePool", "pool { name: 'pools/new' prefix: '198.51.100.0/25' kind: PROVIDER }",
     invalid, "pool.kind"},
    {"ProviderService/UpdatePool", "pool { name: 'pools/new' prefix: '198.51.100.128/25' }",
     grpc::FAILED_PRECONDITION, "pool.prefix"},
    {"ProviderService/UpdatePool", "pool { name: 'pools/none' prefix: '198.51.100.128/25' }", grpc::NOT_FOUND,
     "pool.name"},
    {"ProviderService/SetTenantQuota", "tenant: 'tenants/acme' eips: 1 rules: 40", ok,
     "quota { name: 'tenants/acme/quota' eips { set: 1 limit: 1 used: 1 } rules { set: 40 limit: 40 } "
     "flows { limit: 4294967295 } } generation: 17"},
    {"ProviderService/SetTenantQuota", "tenant: 'tenants/acme' eips: 1", ok, "generation: 17"},
    {"ProviderService/SetTenantQuota", "tenant: 'tenants/acme' flows: 0", ok, "generation: 17"},
    {"ProviderService/SetTenantQuota", "tenant: 'tenants/acme'", invalid, "eips"},
    {"ProviderService/SetTenantQuota", "tenant: 'acme' eips: 1", invalid, "tenant"},
    {"ProviderService/SetTenantQuota", "tenant: 'tenants/acme' eips: 17", grpc::RESOURCE_EXHAUSTED, "eips"},
    {"ProviderService/Apply",
     "operations { create_vm { vm { name: 'tenants/acme/vms/more' location { port: 'vm0' mac: "
     "'02:00:00:00:00:09' } dip: '10.0.0.9' } } } operations { request_eip { vm: 'tenants/acme/vms/more' } }",
     grpc::RESOURCE_EXHAUSTED, "operations[1].request_eip.vm"},
    {"TenantService/GetTenantQuota", "tenant: 'tenants/acme'", ok,
     "name: 'tenants/acme/quota' eips { set: 1 limit: 1 used: 1 } rules { set: 40 limit: 40 } "
     "flows { limit: 4294967295 }"},
    {"TenantService/GetTenantQuota", "tenant: 'tenants/nobody'", ok,
     "name: 'tenants/nobody/quota' eips { limit: 16 } rules { limit: 4294967295 } flows { limit: 4294967295 "
     "used: 0 }"},
    {"TenantService/GetTenantQuota", "tenant: 'tenants/-'", invalid, "tenant"},
    {"ProviderService/ListTenantQuotas", "", ok, "quotas { name: 'tenants/acme/quota' }"},
    {"ProviderService/ListTenantQuotas", "page_token: 'x'", invalid, "page_token"},
    {"ProviderService/SetEipQuota", "eip: 'tenants/acme/eips/198.51.100.1' flows: 7", ok,
     "quota { name: 'tenants/acme/eips/198.51.100.1/quota' rules { limit: 100000 } flows { set: 7 limit: 7 } "
     "} generation: 18"},
    {"ProviderService/SetEipQuota", "eip: 'tenants/other/eips/198.51.100.1' flows: 7", grpc::NOT_FOUND,
     "eip"},
    {"ProviderService/SetEipQuota", "eip: 'tenants/acme/eips/198.51.100.1' rules: 100001",
     grpc::RESOURCE_EXHAUSTED, "rules"},
    {"TenantService/GetEipQuota", "eip: 'tenants/acme/eips/198.51.100.1'", ok,
     "name: 'tenants/acme/eips/198.51.100.1/quota' rules { limit: 100000 } flows { set: 7 limit: 7 }"},
    {"TenantService/GetEipQuota", "eip: '198.51.100.1'", invalid, "eip"},
    {"ObserveService/GetEipStatistics", "eip: 'tenants/acme/eips/198.51.100.1'", ok,
     "eip: 'tenants/acme/eips/198.51.100.1' flow_quota: 7"},
    {"ProviderService/Apply",
     "operations { set_tenant_quota { tenant: 'tenants/acme' eips: 2 flows: 900 } }"
     "operations { set_eip_quota { eip: 'tenants/acme/eips/198.51.100.1' rules: 3 } }",
     ok,
     "results { name: 'tenants/acme/quota' changed: true }"
     "results { name: 'tenants/acme/eips/198.51.100.1' changed: true }"
     "changes { name: 'tenants/acme/quota' kind: CHANGED }"
     "changes { name: 'tenants/acme/eips/198.51.100.1' kind: CHANGED } generation: 19"},
    {"ProviderService/Export", "", ok,
     "generation: 19 eips { name: 'tenants/acme/eips/198.51.100.1' rule_quota: 3 flow_quota: 7 }"
     "quotas { name: 'tenants/acme/quota' eips: 2 rules: 40 flows: 900 }"},
    {"ProviderService/Import", "", invalid, "document"},
    {"ProviderService/Import", "document { quotas { name: 'tenants/acme' eips: 2 } }", invalid,
     "document.quotas[0].name"},
    {"ProviderService/Import",
     "document { pools { name: 'pools/far' prefix: '198.18.0.0/15' kind: PROVIDER } }", ok,
     "changes { name: 'tenants/acme/eips/198.51.100.1' kind: DELETED } changes { name: 'tenants/acme/vms/db' "
     "kind: DELETED } changes { name: 'pools/new' kind: DELETED }"
     "changes { name: 'tenants/acme/quota' kind: DELETED } generation: 20"},
};

// If it is of a call that changes something, and has none.
bool give_id(Message& request, const std::string& id) {
  const auto& descriptor = *request.GetDescriptor();
  const auto* const field = descriptor.FindFieldByName("request_id");
  const auto* const dry_run = descriptor.FindFieldByName("dry_run");
  const auto& reflection = *request.GetReflection();
  if (field == nullptr || !reflection.GetString(request, field).empty()) return false;
  if (dry_run != nullptr && reflection.GetBool(request, dry_run)) return false;
  reflection.SetString(&request, field, id);
  return true;
}

TEST_F(Api, EveryMethodAllowsAndRefuses) {
  const auto generation_of_state = [&] {
    return get<v1::Gateway, v1::GetGatewayRequest>("ObserveService/GetGateway", "").generation();
  };
  google::protobuf::MessageFactory* factory = google::protobuf::MessageFactory::generated_factory();
  for (const CallRow& row : call_rows) {
    SCOPED_TRACE(std::string(row.method) + " " + row.request);
    const MethodDescriptor* method = methods().at(row.method);
    const std::unique_ptr<Message> request(factory->GetPrototype(method->input_type())->New());
    ASSERT_TRUE(TextFormat::ParseFromString(row.request, request.get()));
    const bool is_repeated = row.code == ok && give_id(*request, "row-" + std::to_string(&row - call_rows));
    const Answer answer = call(row.method, *request);
    if (is_repeated) {
      const uint64_t generation = generation_of_state();
      EXPECT_EQ(call(row.method, *request).bytes, answer.bytes) << "a repeat is answered alike";
      EXPECT_EQ(generation_of_state(), generation);
    }
    ASSERT_EQ(answer.status.error_code(), row.code) << answer.status.error_message();
    if (row.code == ok) {
      const std::unique_ptr<Message> reply(factory->GetPrototype(method->output_type())->New());
      const std::unique_ptr<Message> expected(reply->New());
      ASSERT_TRUE(reply->ParseFromString(answer.bytes));
      ASSERT_TRUE(TextFormat::ParseFromString(row.expected, expected.get()));
      MessageDifferencer differ;
      std::string differences;
      differ.ReportDifferencesToString(&differences);
      differ.set_scope(MessageDifferencer::PARTIAL);
      EXPECT_TRUE(differ.Compare(*expected, *reply)) << differences << reply->DebugString();
    } else {
      EXPECT_FALSE(answer.status.error_message().empty());
      const Details details = details_of(answer.status);
      EXPECT_EQ(details.info.domain(), "portcullis");
      ASSERT_EQ(details.bad_request.field_violations_size(), 1);
      EXPECT_EQ(details.bad_request.field_violations(0).field(), row.expected);
    }
  }
}

// A method that is added to the API must be added above: with a call that it takes and, if its request can
// say anything, with one that it refuses.
TEST(Rows, LeaveNoMethodOut) {
  std::set<std::string> allowed, refused;
  for (const CallRow& row : call_rows) (row.code == ok ? allowed : refused).insert(row.method);
  ASSERT_FALSE(methods().empty());
  for (const auto& [name, method] : methods()) {
    EXPECT_TRUE(allowed.contains(name)) << name;
    EXPECT_TRUE(refused.contains(name) || method->input_type()->field_count() == 0) << name;
  }
}

// One after the other: where a vm is made or moved to, and the field at fault if it is refused.
struct LocationRow {
  const char* location;  // of port hosts
  grpc::StatusCode code;
  const char* field;
  const char* words;
};

const LocationRow location_rows[] = {
    {"vlan { outer: 100 }", ok, "", ""},
    {"vlan { outer: 200 inner: 30 }", ok, "", ""},
    {"vxlan { remote: '192.0.2.7' vni: 5000 }", ok, "", ""},
    {"geneve { remote: '192.0.2.8' vni: 16777215 }", ok, "", ""},
    {"", grpc::FAILED_PRECONDITION, "location", "untagged"},
    {"vlan { outer: 4095 }", invalid, "location.vlan.outer", "VLAN identifier 4095"},
    {"vlan { outer: 100000 }", invalid, "location.vlan.outer", "VLAN identifier"},
    {"vlan { inner: 30 }", invalid, "location.vlan.outer", "VLAN 30"},
    {"vlan { outer: 1 inner: 4095 }", invalid, "location.vlan.inner", "VLAN identifier 4095"},
    {"vxlan { remote: '192.0.2' vni: 1 }", invalid, "location.vxlan.remote", "no address"},
    {"vxlan { remote: '192.0.2.7' vni: 16777216 }", invalid, "location.vxlan.vni", "24 bits"},
    {"geneve { remote: '192.0.2.1' vni: 1 }", invalid, "location.geneve.remote", "own tunnel address"},
    {"geneve { remote: '224.0.0.1' vni: 1 }", invalid, "location.geneve.remote", "unicast"},
    {"geneve { remote: '198.51.100.7' vni: 1 }", grpc::FAILED_PRECONDITION, "location.geneve.remote",
     "no next hop"},
    {"geneve { remote: '2001:db8::7' vni: 1 }", grpc::FAILED_PRECONDITION, "location.port",
     "no IPv6 tunnel address"},
};

TEST_F(Api, AVmIsBehindAVlanOrATunnelThatItsPortHas) {
  populate();
  int host = 10;
  for (const LocationRow& row : location_rows) {
    SCOPED_TRACE(row.location);
    const std::string location =
        "location { port: 'hosts' mac: '02:00:00:00:00:01' " + std::string(row.location) + " }";
    const std::string id = "vm" + std::to_string(host);
    const Answer created = call<v1::CreateVmRequest>("ProviderService/CreateVm",
                                                     "vm { name: 'tenants/acme/vms/" + id + "' " + location +
                                                         " dip: '10.0.0." + std::to_string(host++) + "' }");
    const Answer moved =
        call<v1::MoveVmRequest>("ProviderService/MoveVm", "name: 'tenants/acme/vms/web' " + location);
    EXPECT_EQ(created.status.error_code(), row.code) << created.status.error_message();
    EXPECT_EQ(moved.status.error_code(), row.code) << moved.status.error_message();
    if (row.code != grpc::OK) {
      EXPECT_NE(moved.status.error_message().find(row.words), std::string::npos)
          << moved.status.error_message();
      EXPECT_EQ(details_of(created.status).bad_request.field_violations(0).field(),
                "vm." + std::string(row.field));
      EXPECT_EQ(details_of(moved.status).bad_request.field_violations(0).field(), row.field);
      continue;
    }
    v1::MoveVmRequest expected;
    ASSERT_TRUE(TextFormat::ParseFromString(location, &expected));
    for (const std::string& name : {id, std::string("web")}) {
      const auto vm =
          get<v1::Vm, v1::GetVmRequest>("ProviderService/GetVm", "name: 'tenants/acme/vms/" + name + "'");
      EXPECT_EQ(vm.location().SerializeAsString(), expected.location().SerializeAsString())
          << vm.DebugString();
    }
    const BindingRecord* record = plane_.find(View::local, Ipv4Addr::of(203, 0, 113, 1));
    ASSERT_NE(record, nullptr);
    EXPECT_GE(record->link, max_ports) << "a link of its own";
  }
  const auto last = get<v1::MoveVmResponse, v1::MoveVmRequest>(
      "ProviderService/MoveVm",
      "name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' }");
  EXPECT_EQ(last.vm().location().encapsulation_case(), v1::Location::ENCAPSULATION_NOT_SET);
  EXPECT_EQ(plane_.find(View::local, Ipv4Addr::of(203, 0, 113, 1))->link, vm0);
}

TEST_F(Api, WhatIsNoMessageIsRefused) {
  for (const auto& [name, method] : methods())
    EXPECT_FALSE(call_raw(channel_, "/portcullis.v1." + name, "\xff\xff\xff").status.ok()) << name;
}

TEST_F(Api, AMissingObjectIsNamed) {
  populate();
  const Answer answer =
      call<v1::ReleaseEipRequest>("TenantService/ReleaseEip", "name: 'tenants/other/eips/203.0.113.1'");
  EXPECT_EQ(answer.status.error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(details_of(answer.status).info.metadata().at("object"), "tenants/other/eips/203.0.113.1");
}

TEST_F(Api, AStoppedControlThreadIsUnavailable) {
  control_.stop();
  const Answer answer = call<v1::ListPoolsRequest>("ProviderService/ListPools", "");
  EXPECT_EQ(answer.status.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(details_of(answer.status).info.reason(), "UNAVAILABLE");
}

TEST_F(Api, HealthAndReflectionAreOn) {
  for (const std::string service :
       {"", "portcullis.v1.TenantService", "portcullis.v1.ProviderService", "portcullis.v1.ObserveService"}) {
    // grpc.health.v1: HealthCheckRequest {string service = 1}, HealthCheckResponse {status = 1}, 1 is
    // SERVING.
    const std::string request =
        service.empty() ? "" : "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
    const Answer answer = call_raw(channel_, "/grpc.health.v1.Health/Check", request);
    EXPECT_TRUE(answer.status.ok()) << service << ": " << answer.status.error_message();
    EXPECT_EQ(answer.bytes, "\x08\x01") << service;
  }
  // ServerReflectionRequest {string list_services = 7}.
  const Answer answer =
      call_raw(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  for (const char* service :
       {"portcullis.v1.TenantService", "portcullis.v1.ProviderService", "portcullis.v1.ObserveService"})
    EXPECT_NE(answer.bytes.find(service), std::string::npos) << service;
}

}  // namespace
}  // namespace portcullis::service
