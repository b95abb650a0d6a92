// What every call that changes something has beside its own: expected generations, request ids; and many
// calls as one.
#include <gtest/gtest.h>

#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

class Change : public Api {
 protected:
  void SetUp() override {
    Api::SetUp();
    populate();
  }
  std::chrono::milliseconds silence() const override { return std::chrono::milliseconds(300); }
  Answer set_tag(const std::string& tag, const std::string& more = "") {
    return call<v1::SetTagRequest>("TenantService/SetTag",
                                   "eip: 'tenants/acme/eips/203.0.113.1' tags: '" + tag + "' " + more);
  }
  Answer apply(const std::string& text) { return call<v1::ApplyRequest>("ProviderService/Apply", text); }
  uint64_t generation() {
    return get<v1::Gateway, v1::GetGatewayRequest>("ObserveService/GetGateway", "").generation();
  }
  std::string tag() {
    const auto eip =
        get<v1::Eip, v1::GetEipRequest>("TenantService/GetEip", "name: 'tenants/acme/eips/203.0.113.1'");
    return eip.tags_size() == 0 ? "" : eip.tags(0);
  }
};

TEST_F(Change, ARepeatOfARequestIsAnsweredAlike) {
  const Answer first = set_tag("a", "request_id: 'one'");
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  ASSERT_TRUE(set_tag("b").status.ok());
  const uint64_t now = generation();
  EXPECT_EQ(set_tag("a", "request_id: 'one'").bytes, first.bytes);
  EXPECT_EQ(tag(), "b");
  EXPECT_EQ(generation(), now);

  const Answer other = set_tag("c", "request_id: 'one'");
  EXPECT_EQ(other.status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(field_of(other), "request_id");
  for (const std::string& id : {std::string("with space"), std::string(65, 'x'), std::string("\xc3\xa4")})
    EXPECT_EQ(field_of(set_tag("c", "request_id: '" + id + "'")), "request_id") << id;
  EXPECT_TRUE(set_tag("c", "request_id: '" + std::string(64, 'x') + "'").status.ok());
}

TEST_F(Change, ADryRunIsNotRemembered) {
  const std::string operations =
      "operations { set_tag { eip: 'tenants/acme/eips/203.0.113.1' tags: 'a' } } request_id: 'one' ";
  ASSERT_TRUE(apply(operations + "dry_run: true").status.ok());
  EXPECT_EQ(tag(), "");
  ASSERT_TRUE(apply(operations).status.ok());
  EXPECT_EQ(tag(), "a");
}

TEST_F(Change, WhatIsOfTheWholeIsNotOfAnOperation) {
  EXPECT_EQ(field_of(apply("operations { delete_vm { name: 'tenants/acme/vms/web' request_id: 'x' } }")),
            "operations[0].delete_vm.request_id");
  EXPECT_EQ(
      field_of(apply("operations { delete_vm { name: 'tenants/acme/vms/web' expected_generation: 0 } }")),
      "operations[0].delete_vm.expected_generation");
  EXPECT_EQ(field_of(apply("operations { }")), "operations[0]");
}

TEST_F(Change, OneRefusedOperationIsTheEndOfAll) {
  const uint64_t before = generation();
  const Answer answer = apply(
      "operations { set_tag { eip: 'tenants/acme/eips/203.0.113.1' tags: 'a' } }"
      "operations { create_vm { vm { name: 'tenants/acme/vms/db' location { port: 'vm0' mac: "
      "'02:00:00:00:00:02' } dip: '10.0.0.2' } } }");
  EXPECT_EQ(answer.status.error_code(), grpc::ALREADY_EXISTS);
  EXPECT_EQ(field_of(answer), "operations[1].create_vm.vm.dip");
  EXPECT_EQ(tag(), "");
  EXPECT_EQ(generation(), before);
}

TEST_F(Change, AtMostAHundredThousandOperations) {
  v1::ApplyRequest request;
  for (int i = 0; i <= 100'000; ++i)
    request.add_operations()->mutable_set_tag()->set_eip("tenants/acme/eips/203.0.113.1");
  const Answer refused = call("ProviderService/Apply", request);
  EXPECT_EQ(refused.status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(field_of(refused), "operations");
  request.mutable_operations()->RemoveLast();
  EXPECT_TRUE(call("ProviderService/Apply", request).status.ok());
}

TEST_F(Change, OperationsOnALongListAreLimitedByWhatTheyWrite) {
  v1::SetPermitListRequest list;
  list.set_eip("tenants/acme/eips/203.0.113.1");
  for (int i = 0; i < 100; ++i) {
    auto& rule = *list.add_rules();
    rule.set_name("r" + std::to_string(i));
    rule.set_direction(v1::PermitRule::INBOUND);
    rule.mutable_remote()->set_any(true);
    rule.set_protocol("tcp");
    rule.mutable_local_ports()->set_first(1);
    rule.mutable_local_ports()->set_last(1);
  }
  ASSERT_TRUE(call("TenantService/SetPermitList", list).status.ok());
  v1::ApplyRequest request;
  const auto set_tag_times = [&](int times) {
    request.clear_operations();
    for (int i = 0; i < times; ++i) {
      auto& operation = *request.add_operations()->mutable_set_tag();
      operation.set_eip("tenants/acme/eips/203.0.113.1");
      operation.add_tags(i % 2 == 0 ? "even" : "odd");
    }
    return call("ProviderService/Apply", request);
  };
  const uint64_t before = generation();
  const Answer refused = set_tag_times(20'001);
  EXPECT_EQ(refused.status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(field_of(refused), "operations[20000].set_tag");
  EXPECT_EQ(generation(), before);
  EXPECT_EQ(tag(), "");
  EXPECT_TRUE(set_tag_times(20'000).status.ok());
  EXPECT_EQ(tag(), "odd");
}

TEST_F(Change, AnExportedStateIsImportedAsItWas) {
  ASSERT_TRUE(set_tag("a").status.ok());
  const auto document = get<v1::Document, v1::ExportRequest>("ProviderService/Export", "");
  v1::ImportRequest request;
  *request.mutable_document() = document;
  ASSERT_TRUE(call("ProviderService/Import", request).status.ok());
  EXPECT_EQ(generation(), document.generation());
  ASSERT_TRUE(set_tag("b").status.ok());
  request.set_expected_generation(document.generation());
  EXPECT_EQ(field_of(call("ProviderService/Import", request)), "expected_generation");
  request.clear_expected_generation();
  ASSERT_TRUE(call("ProviderService/Import", request).status.ok());
  EXPECT_EQ(tag(), "a");
}

// --- events ---

std::vector<v1::Event> events_of(const Answer& answer) {
  std::vector<v1::Event> events(answer.messages.size());
  for (size_t i = 0; i < events.size(); ++i) EXPECT_TRUE(events[i].ParseFromString(answer.messages[i]));
  return events;
}

TEST_F(Change, EventsComeInOrderAndWithoutAGap) {
  add_vm("other", "db", 3);
  ASSERT_TRUE(set_tag("a").status.ok());
  ASSERT_TRUE(set_tag("a").status.ok());  // changes nothing: no event
  const auto all = events_of(
      call<v1::WatchEventsRequest>("ObserveService/WatchEvents", "parent: 'tenants/-' until_now: true"));
  ASSERT_EQ(all.size(), generation());
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].generation(), i + 1);
  const auto own = events_of(call<v1::WatchEventsRequest>(
      "ObserveService/WatchEvents", "parent: 'tenants/acme' after_generation: 2 until_now: true"));
  ASSERT_EQ(own.size(), 2u) << "the EIP and its tag";
  EXPECT_EQ(own[1].generation(), generation());
  for (const v1::Event& event : own) {
    ASSERT_EQ(event.changes_size(), 1);
    EXPECT_EQ(event.changes(0).name(), "tenants/acme/eips/203.0.113.1");
  }
  const Answer beyond =
      call<v1::WatchEventsRequest>("ObserveService/WatchEvents", "parent: 'tenants/-' after_generation: 99");
  EXPECT_EQ(beyond.status.error_code(), grpc::OUT_OF_RANGE);
  EXPECT_EQ(field_of(beyond), "after_generation");
}

// So a tenant that watches knows from where to go on, however long nothing was its own.
TEST_F(Change, AWatcherWithoutEventsOfItsOwnIsToldHowFarItHasCome) {
  const uint64_t before = generation();
  add_vm("other", "db", 3);
  const std::string watch = "parent: 'tenants/acme' after_generation: " + std::to_string(before);
  const auto ended =
      events_of(call<v1::WatchEventsRequest>("ObserveService/WatchEvents", watch + " until_now: true"));
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].generation(), generation());
  EXPECT_EQ(ended[0].changes_size(), 0);
  const auto nothing = events_of(call<v1::WatchEventsRequest>(
      "ObserveService/WatchEvents",
      "parent: 'tenants/acme' until_now: true after_generation: " + std::to_string(generation())));
  EXPECT_TRUE(nothing.empty());

  const auto stub = v1::ObserveService::NewStub(channel_);
  grpc::ClientContext context;
  v1::WatchEventsRequest request;
  ASSERT_TRUE(TextFormat::ParseFromString(watch, &request));
  const auto reader = stub->WatchEvents(&context, request);
  v1::Event event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.generation(), generation());
  EXPECT_EQ(event.changes_size(), 0);
  ASSERT_TRUE(set_tag("a").status.ok());
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.changes_size(), 1);
  context.TryCancel();
}

TEST_F(Change, AWatcherIsToldOfWhatComesAndOfTheEnd) {
  const auto stub = v1::ObserveService::NewStub(channel_);
  grpc::ClientContext context;
  v1::WatchEventsRequest request;
  request.set_parent("tenants/acme");
  request.set_after_generation(generation());
  const auto reader = stub->WatchEvents(&context, request);
  ASSERT_TRUE(set_tag("a").status.ok());
  v1::Event event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.generation(), generation());
  const auto began = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_EQ(reader->Finish().error_code(), grpc::UNAVAILABLE);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(3));
}

}  // namespace
}  // namespace portcullis::service
