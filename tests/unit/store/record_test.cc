#include "control/store/record.h"

#include <gtest/gtest.h>

#include "control/store/record.pb.h"
#include "tests/unit/store/workload.h"

namespace portcullis::store {
namespace {

std::string refusal(const ChangeSet& record) {
  const auto decoded = decode(record.SerializeAsString());
  return decoded ? "" : decoded.error().message;
}

TEST(Record, EveryKindOfChangeComesBack) {
  for (model::Generation generation = 1; generation <= 12; ++generation) {
    const model::ChangeSet changes = change_set(generation, 8);
    const auto decoded = decode(encode(changes));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, changes);
  }
}

TEST(Record, ExtremesComeBack) {
  model::Eip eip;
  eip.address = Ipv4Addr::of(255, 255, 255, 255);
  eip.created = UINT64_MAX;
  model::PermitRule rule;
  rule.name = "r";
  rule.protocol = 255;
  rule.icmp_type = 0;
  rule.icmp_code = 255;
  rule.local_ports = {65535, 65535};
  rule.remote_ports = {0, 0};
  rule.remote = std::vector<IpPrefix>{Ipv4Prefix()};
  eip.permit = {rule};
  const model::ChangeSet changes{
      UINT64_MAX, {model::PutEip{eip}, model::DeleteEip{Ipv4Addr(), INT64_MIN}, model::PutVm{}}};
  const auto decoded = decode(encode(changes));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, changes);
}

TEST(Record, EmptyChangeSetComesBack) {
  const auto decoded = decode(encode({9, {}}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, (model::ChangeSet{9, {}}));
}

TEST(Record, WhatWasNeverWrittenIsRefused) {
  EXPECT_FALSE(decode("\xff\xff\xff"));
  ChangeSet record;
  record.add_changes();
  EXPECT_NE(refusal(record).find("kind that this release does not know"), std::string::npos);

  record.mutable_changes(0)->mutable_put_vm()->set_mac("12345");
  EXPECT_NE(refusal(record).find("MAC"), std::string::npos);

  Prefix& prefix = *record.mutable_changes(0)->mutable_put_pool()->mutable_prefix();
  prefix.set_address(0x0a000001);
  prefix.set_length(8);
  EXPECT_NE(refusal(record).find("10.0.0.1/8"), std::string::npos);
  prefix.set_length(33);
  EXPECT_NE(refusal(record).find("10.0.0.1/33"), std::string::npos);

  PermitRule& rule = *record.mutable_changes(0)->mutable_put_eip()->add_permit();
  EXPECT_EQ(refusal(record), "");
  rule.set_protocol(256);
  EXPECT_NE(refusal(record).find("protocol 256"), std::string::npos);
  rule.clear_protocol();
  record.mutable_changes(0)->mutable_put_eip()->set_address6("15 bytes, no 16");
  EXPECT_NE(refusal(record).find("an IPv6 address of 15 bytes"), std::string::npos);
  record.mutable_changes(0)->mutable_put_eip()->set_address6("these are 16 ...");
  record.mutable_changes(0)->mutable_put_eip()->set_address(1);
  EXPECT_NE(refusal(record).find("both families"), std::string::npos);
  record.mutable_changes(0)->mutable_put_eip()->clear_address6();
  rule.mutable_local_ports()->set_last(65536);
  EXPECT_NE(refusal(record).find("port 65536"), std::string::npos);
  rule.clear_local_ports();
  rule.add_tags("web");
  rule.add_prefixes();
  EXPECT_NE(refusal(record).find("two remotes"), std::string::npos);
}

TEST(Record, ChecksumSeesEveryChangedByte) {
  const std::string record = encode(change_set(4));
  for (size_t i = 0; i < record.size(); ++i) {
    std::string changed = record;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_NE(checksum(changed), checksum(record));
  }
}

}  // namespace
}  // namespace portcullis::store
