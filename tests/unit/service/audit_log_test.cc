#include "control/service/audit_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

namespace portcullis::service {
namespace {

using Json = nlohmann::json;

class Audit : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/portcullis-audit-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name = "audit.log") const { return directory_ + "/" + name; }
  static std::vector<Json> lines_of(const std::string& path) {
    std::vector<Json> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  static AuditRecord record(uint64_t generation) {
    return {.who = "provider",
            .certificate = {},
            .peer = "unix:",
            .call = "SetTag",
            .object = "tenants/acme/eips/203.0.113.1",
            .status = "OK",
            .message = {},
            .generation = generation};
  }

  std::string directory_;
};

TEST_F(Audit, GrowsWithEachLifeOfTheProcess) {
  for (uint64_t life = 1; life <= 2; ++life) {
    auto log = AuditLog::open(path("made/by/it/audit.log"));
    ASSERT_TRUE(log.has_value()) << log.error().message;
    ASSERT_TRUE((*log)->ready());
    (*log)->append(record(life));
  }
  const std::vector<Json> lines = lines_of(path("made/by/it/audit.log"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].at("generation"), 2);
  struct stat status {};
  ASSERT_EQ(stat(path("made/by/it/audit.log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u & ~umask(umask(0)));
}

TEST_F(Audit, WhatAClientSentIsOneLineOfBoundedLength) {
  auto log = AuditLog::open(path());
  ASSERT_TRUE(log.has_value());
  AuditRecord hostile = record(0);
  hostile.object = "a\n{\"who\":\"provider\"}\xff\"" + std::string(1 << 20, 'x');
  hostile.status = "NOT_FOUND";
  hostile.message = hostile.object;
  (*log)->append(hostile);
  const std::vector<Json> lines = lines_of(path());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("who"), "provider");
  EXPECT_EQ(lines[0].at("status"), "NOT_FOUND");
  EXPECT_LT(std::filesystem::file_size(path()), 4096u);
}

TEST_F(Audit, NamesAreWrittenAsTheyAreOrEscaped) {
  auto log = AuditLog::open(path());
  ASSERT_TRUE(log.has_value());
  const std::vector<std::string> names{
      "tenants/acme/eips/2001:db8::5", "a\"b", "a\\b", "a\tb", "\x7f", "", std::string(512, 'x')};
  std::vector<AuditedObject> objects;
  objects.reserve(names.size());
  for (const std::string& name : names) objects.push_back({name, "CREATED"});
  (*log)->append(record(1), objects);
  const std::vector<Json> lines = lines_of(path());
  ASSERT_EQ(lines.size(), names.size() + 1);
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(lines[i + 1].at("object"), names[i]);
    EXPECT_EQ(lines[i + 1].at("change"), "CREATED");
  }
}

TEST_F(Audit, ARotatedFileIsLeftAndANewOneBegun) {
  auto log = AuditLog::open(path());
  ASSERT_TRUE(log.has_value());
  (*log)->append(record(1));
  std::filesystem::rename(path(), path("audit.log.1"));
  ASSERT_TRUE((*log)->ready());
  (*log)->append(record(2));
  std::filesystem::remove(path());
  ASSERT_TRUE((*log)->ready());
  (*log)->append(record(3));
  EXPECT_EQ(lines_of(path("audit.log.1")).size(), 1u);
  ASSERT_EQ(lines_of(path()).size(), 1u);
  EXPECT_EQ(lines_of(path())[0].at("generation"), 3);
}

TEST_F(Audit, ALineThatCannotBeWrittenIsKeptAndChangesAreRefusedUntilItCould) {
  std::filesystem::create_symlink("/dev/full", path());
  auto log = AuditLog::open(path());
  ASSERT_TRUE(log.has_value());
  ASSERT_TRUE((*log)->ready());
  (*log)->append(record(1));
  const auto refused = (*log)->ready();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
  EXPECT_NE(refused.error().message.find("No space left"), std::string::npos) << refused.error().message;
  std::filesystem::remove(path());
  ASSERT_TRUE((*log)->ready());
  (*log)->append(record(2));
  ASSERT_EQ(lines_of(path()).size(), 2u);
  EXPECT_EQ(lines_of(path())[0].at("generation"), 1);
}

TEST_F(Audit, LinesOfManyThreadsAreWhole) {
  auto log = AuditLog::open(path());
  ASSERT_TRUE(log.has_value());
  {
    std::array<std::jthread, 4> threads;
    for (std::jthread& thread : threads)
      thread = std::jthread([&] {
        for (uint64_t i = 0; i < 250; ++i) (*log)->append(record(i));
      });
  }
  EXPECT_EQ(lines_of(path()).size(), 1000u);
}

TEST_F(Audit, APathThatCannotBeIsRefused) {
  const auto directory = AuditLog::open(directory_);
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code, ErrorCode::failed_precondition);
  EXPECT_FALSE(AuditLog::open("/dev/null/audit.log").has_value());
}

}  // namespace
}  // namespace portcullis::service
