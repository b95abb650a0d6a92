// Messages and model values: what decodes comes back equal, what does not is refused by the path of its
// field.
#include "control/service/convert.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <array>

#include "control/service/page.h"
#include "control/service/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace portcullis::service {
namespace {

using google::protobuf::TextFormat;
using google::protobuf::util::MessageDifferencer;

template <typename Message>
Message parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

v1::PermitList list_of(const std::string& text) {
  return parse<v1::PermitList>(text);
}

// --- rules ---

TEST(Rules, ComeBackEqual) {
  const char* const rows[] = {
      "name: 'a' direction: INBOUND remote { any: true } protocol: 'tcp' local_ports { first: 80 last: 90 }",
      "name: 'b' direction: OUTBOUND remote { prefixes { prefixes: '192.0.2.0/24' prefixes: "
      "'198.51.100.7/32' } }"
      "protocol: 'udp' remote_ports { first: 53 last: 53 }",
      "name: 'c' direction: INBOUND remote { tags { tags: 'web' tags: 'db' } } protocol: 'icmp' icmp_type: 8"
      "  icmp_code: 0",
      "name: 'd' direction: INBOUND remote { any: true } protocol: 'any' tracked: true",
      "name: 'e' direction: INBOUND remote { any: true } protocol: 'sctp' local_ports { first: 2905 last: "
      "2905 }",
  };
  for (const char* row : rows) {
    SCOPED_TRACE(row);
    const auto rules = to_model(list_of("rules { " + std::string(row) + " }").rules());
    ASSERT_TRUE(rules.has_value()) << rules.error().field;
    EXPECT_TRUE(MessageDifferencer::Equals(to_proto(rules->front()), parse<v1::PermitRule>(row)));
  }
}

TEST(Rules, HaveOneMeaningInSeveralSpellings) {
  const auto rules =
      to_model(list_of("rules { direction: INBOUND remote { any: true } }"
                       "rules { direction: INBOUND remote { any: true } protocol: 'any' }"
                       "rules { direction: INBOUND remote { any: true } protocol: '6' }"
                       "rules { direction: INBOUND remote { any: true } protocol: 'tcp'"
                       "        local_ports { first: 0 last: 65535 } }"
                       "rules { direction: INBOUND remote { prefixes { prefixes: '192.0.2.1' } } }"
                       "rules { direction: INBOUND remote { prefixes { prefixes: '192.0.2.1/32' } } }")
                   .rules());
  ASSERT_TRUE(rules.has_value());
  for (size_t i = 0; i < rules->size(); i += 2) EXPECT_EQ((*rules)[i], (*rules)[i + 1]) << i;
}

struct BadRule {
  const char* rule;
  const char* field;
  const char* message;
};

TEST(Rules, AreRefusedByTheirField) {
  const BadRule rows[] = {
      {"remote { any: true }", "direction", "INBOUND or OUTBOUND"},
      {"direction: 7 remote { any: true }", "direction", "INBOUND or OUTBOUND"},
      {"direction: INBOUND", "remote", "any, prefixes or tags"},
      {"direction: INBOUND remote { any: false }", "remote.any", "make it true"},
      {"direction: INBOUND remote { prefixes { prefixes: '192.0.2.0/24' prefixes: '192.0.2.1/24' } }",
       "remote.prefixes[1]", "'192.0.2.1/24' is no prefix"},
      {"direction: INBOUND remote { prefixes { prefixes: '' } }", "remote.prefixes[0]", "is no prefix"},
      {"direction: INBOUND remote { prefixes { prefixes: '::1/0' } }", "remote.prefixes[0]", "is no prefix"},
      {"direction: INBOUND remote { any: true } protocol: 'TCP'", "protocol", "'TCP' is no protocol"},
      {"direction: INBOUND remote { any: true } protocol: '256'", "protocol", "is no protocol"},
      {"direction: INBOUND remote { any: true } protocol: '6 '", "protocol", "is no protocol"},
      {"direction: INBOUND remote { any: true } protocol: '-1'", "protocol", "is no protocol"},
      {"direction: INBOUND remote { any: true } local_ports { first: 65536 last: 65536 }",
       "local_ports.first", "65536 is no port"},
      {"direction: INBOUND remote { any: true } remote_ports { first: 1 last: 70000 }", "remote_ports.last",
       "70000 is no port"},
      {"direction: INBOUND remote { any: true } icmp_type: 256", "icmp_type", "256 is out of range"},
      {"direction: INBOUND remote { any: true } icmp_type: 8 icmp_code: 300", "icmp_code",
       "300 is out of range"},
  };
  for (const BadRule& row : rows) {
    SCOPED_TRACE(row.rule);
    const std::string good = "rules { direction: INBOUND remote { any: true } }";
    const auto rules = to_model(list_of(good + good + "rules { " + row.rule + " }").rules());
    ASSERT_FALSE(rules.has_value());
    EXPECT_EQ(rules.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(rules.error().field, "rules[2]." + std::string(row.field));
    EXPECT_NE(rules.error().message.find(row.message), std::string::npos) << rules.error().message;
  }
}

// --- names ---

TEST(Names, OfVms) {
  EXPECT_EQ(*vm_key("tenants/acme/vms/web-1", "name"), (model::VmKey{"acme", "web-1"}));
  for (const char* wrong :
       {"", "web", "tenants/acme", "tenants/acme/vms", "tenants/acme/vms/", "tenants//vms/web",
        "tenants/acme/eips/web", "tenants/acme/vms/web/", "/tenants/acme/vms/web", "tenants/-/vms/web",
        "tenants/ACME/vms/web", "tenants/acme/vms/-web", "pools/public"}) {
    const auto key = vm_key(wrong, "vm");
    ASSERT_FALSE(key.has_value()) << wrong;
    EXPECT_EQ(key.error().code, ErrorCode::invalid_argument) << wrong;
    EXPECT_EQ(key.error().field, "vm") << wrong;
  }
}

TEST(Names, OfEips) {
  const auto key = eip_key("tenants/acme/eips/203.0.113.7", "eip");
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->tenant, "acme");
  EXPECT_EQ(key->address, Ipv4Addr::of(203, 0, 113, 7));
  EXPECT_EQ(eip_key("tenants/acme/eips/2001:DB8:0::1", "eip")->address, *Ipv6Addr::parse("2001:db8::1"));
  for (const char* wrong :
       {"203.0.113.7", "tenants/acme/eips/203.0.113", "tenants/acme/eips/203.0.113.7/permitList",
        "tenants/acme/eips/2001:db8:::1", "tenants/-/eips/203.0.113.7", "tenants/acme/vms/web"}) {
    const auto bad = eip_key(wrong, "eip");
    ASSERT_FALSE(bad.has_value()) << wrong;
    EXPECT_EQ(bad.error().field, "eip") << wrong;
  }
}

TEST(Names, OfPoolsAndParents) {
  EXPECT_EQ(*pool_id("pools/public", "pool"), "public");
  for (const char* wrong : {"public", "pools/", "pools/a/b", "pools/A", "tenants/acme"})
    EXPECT_FALSE(pool_id(wrong, "pool").has_value()) << wrong;
  EXPECT_EQ(*parent_tenant("tenants/acme"), "acme");
  EXPECT_EQ(*parent_tenant("tenants/-"), std::nullopt);
  for (const char* wrong : {"", "tenants", "tenants/", "tenants/A", "acme", "tenants/acme/vms", "-"})
    EXPECT_EQ(parent_tenant(wrong).error().field, "parent") << wrong;
}

// --- vms and pools ---

TEST(Vms, Decode) {
  const auto vm = to_model(parse<v1::Vm>(
      "name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2'"));
  ASSERT_TRUE(vm.has_value());
  EXPECT_EQ(*vm,
            (model::Vm{"acme", "web", {"vm0", *Mac::parse("02:00:00:00:00:01")}, Ipv4Addr::of(10, 0, 0, 2)}));
}

TEST(Vms, AreRefusedByTheirField) {
  const std::pair<const char*, const char*> rows[] = {
      {"location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2'", "vm.name"},
      {"name: 'tenants/acme/vms/web' dip: '10.0.0.2'", "vm.location.port"},
      {"name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00' } dip: '10.0.0.2'",
       "vm.location.mac"},
      {"name: 'tenants/acme/vms/web' location { port: 'vm0' mac: '02:00:00:00:00:01' } dip: '10.0.0.2/32'",
       "vm.dip"},
  };
  for (const auto& [text, field] : rows) {
    const auto vm = to_model(parse<v1::Vm>(text));
    ASSERT_FALSE(vm.has_value()) << text;
    EXPECT_EQ(vm.error().field, field);
  }
}

struct Place {
  const char* text;  // of the message, beside port and MAC
  Encapsulation encapsulation;
};

const Place places[] = {
    {"", {}},
    {"vlan { outer: 100 }", VlanTags{100, 0}},
    {"vlan { outer: 4094 inner: 1 }", VlanTags{4094, 1}},
    {"vxlan { remote: '192.0.2.7' vni: 5000 }",
     Tunnel{TunnelProtocol::vxlan, Ipv4Addr::of(192, 0, 2, 7), 5000}},
    {"vxlan { remote: '2001:db8::7' vni: 16777215 }",
     Tunnel{TunnelProtocol::vxlan, *Ipv6Addr::parse("2001:db8::7"), 16777215}},
    {"geneve { remote: '192.0.2.7' }", Tunnel{TunnelProtocol::geneve, Ipv4Addr::of(192, 0, 2, 7), 0}},
    {"geneve { remote: '2001:db8::7' vni: 1 }",
     Tunnel{TunnelProtocol::geneve, *Ipv6Addr::parse("2001:db8::7"), 1}},
};

TEST(Locations, GoBothWays) {
  for (const Place& row : places) {
    SCOPED_TRACE(row.text);
    const auto message = parse<v1::Location>("port: 'vm0' mac: '02:00:00:00:00:01' " + std::string(row.text));
    const auto location = to_model(message, "location");
    ASSERT_TRUE(location.has_value()) << location.error().message;
    EXPECT_EQ(*location, (model::Location{"vm0", *Mac::parse("02:00:00:00:00:01"), row.encapsulation}));
    const model::Model model({}, {});
    const v1::Vm back = to_proto(
        model, {.tenant = "acme", .id = "web", .location = *location, .dip = Ipv4Addr::of(10, 0, 0, 2)});
    EXPECT_TRUE(MessageDifferencer::Equals(back.location(), message)) << back.location().DebugString();
  }
}

TEST(Locations, AreRefusedByTheirField) {
  const std::array<const char*, 3> rows[] = {
      {"vlan { outer: 65536 }", "there.vlan.outer", "65536 is no VLAN identifier; give one of 1 to 4094"},
      {"vlan { outer: 1 inner: 4294967295 }", "there.vlan.inner", "4294967295 is no VLAN identifier"},
      {"vxlan { vni: 1 }", "there.vxlan.remote", "'' is no address"},
      {"vxlan { remote: '192.0.2.7/32' }", "there.vxlan.remote", "'192.0.2.7/32' is no address"},
      {"geneve { remote: 'host' vni: 1 }", "there.geneve.remote", "'host' is no address"},
  };
  for (const auto& [text, field, words] : rows) {
    const auto location =
        to_model(parse<v1::Location>("port: 'vm0' mac: '02:00:00:00:00:01' " + std::string(text)), "there");
    ASSERT_FALSE(location.has_value()) << text;
    EXPECT_EQ(location.error().code, ErrorCode::invalid_argument) << text;
    EXPECT_EQ(location.error().field, field);
    EXPECT_NE(location.error().message.find(words), std::string::npos) << location.error().message;
  }
}

TEST(Pools, DecodeOrAreRefusedByTheirField) {
  const auto pool = to_model(parse<v1::Pool>("name: 'pools/p' prefix: '203.0.113.0/24' kind: PROVIDER"));
  ASSERT_TRUE(pool.has_value());
  EXPECT_EQ(*pool, (model::Pool{"p", *Ipv4Prefix::parse("203.0.113.0/24"), model::PoolKind::provider}));
  const std::pair<const char*, const char*> rows[] = {
      {"prefix: '203.0.113.0/24' kind: LOCAL", "pool.name"},
      {"name: 'pools/p' kind: LOCAL", "pool.prefix"},
      {"name: 'pools/p' prefix: '203.0.113.1/24' kind: LOCAL", "pool.prefix"},
      {"name: 'pools/p' prefix: '203.0.113.0/24'", "pool.kind"},
  };
  for (const auto& [text, field] : rows) {
    const auto wrong = to_model(parse<v1::Pool>(text));
    ASSERT_FALSE(wrong.has_value()) << text;
    EXPECT_EQ(wrong.error().field, field);
  }
}

// --- pages ---

TEST(Pages, HaveASize) {
  EXPECT_EQ(page_of(0, "", "pools")->size, default_page_size);
  EXPECT_EQ(page_of(1, "", "pools")->size, 1u);
  EXPECT_EQ(page_of(10000, "", "pools")->size, max_page_size);
  for (const int32_t wrong : {-1, 10001, INT32_MAX, INT32_MIN})
    EXPECT_EQ(page_of(wrong, "", "pools").error().field, "page_size") << wrong;
}

TEST(Pages, AreOfOneList) {
  const std::string token = page_token("eips of tenants/acme", "203.0.113.7");
  EXPECT_EQ(token.find("203"), std::string::npos) << "a token is opaque";
  EXPECT_EQ(page_of(0, token, "eips of tenants/acme")->after, "203.0.113.7");
  for (const std::string& wrong : {token + "0", token.substr(2), std::string("x"), std::string("zz"),
                                   std::string("00"), page_token("eips of tenants/other", "203.0.113.7"),
                                   page_token("pools", "p"), page_token("eips of tenants/acme", "")})
    EXPECT_EQ(page_of(0, wrong, "eips of tenants/acme").error().field, "page_token") << wrong;
}

// --- errors ---

TEST(Status, CarriesFieldAndObject) {
  const grpc::Status status = to_status(
      Error{ErrorCode::failed_precondition, "tenants/a/vms/web has an EIP", "name", "tenants/a/vms/web"});
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "tenants/a/vms/web has an EIP");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(details.message(), status.error_message());
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "FAILED_PRECONDITION");
  EXPECT_EQ(info.domain(), "portcullis");
  EXPECT_EQ(info.metadata().at("object"), "tenants/a/vms/web");
  google::rpc::BadRequest bad_request;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad_request));
  ASSERT_EQ(bad_request.field_violations_size(), 1);
  EXPECT_EQ(bad_request.field_violations(0).field(), "name");
  EXPECT_EQ(bad_request.field_violations(0).description(), status.error_message());
}

TEST(Status, OfAnErrorWithoutFieldOrObject) {
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(to_status(Error{ErrorCode::unavailable, "try again"}).error_details()));
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_TRUE(info.metadata().empty());
}

TEST(Status, HasOneCodeForEach) {
  const std::pair<ErrorCode, grpc::StatusCode> rows[] = {
      {ErrorCode::invalid_argument, grpc::INVALID_ARGUMENT},
      {ErrorCode::not_found, grpc::NOT_FOUND},
      {ErrorCode::already_exists, grpc::ALREADY_EXISTS},
      {ErrorCode::failed_precondition, grpc::FAILED_PRECONDITION},
      {ErrorCode::resource_exhausted, grpc::RESOURCE_EXHAUSTED},
      {ErrorCode::unavailable, grpc::UNAVAILABLE},
      {ErrorCode::internal, grpc::INTERNAL},
  };
  for (const auto& [code, expected] : rows) EXPECT_EQ(to_status(Error{code, "x"}).error_code(), expected);
}

}  // namespace
}  // namespace portcullis::service
