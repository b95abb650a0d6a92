// The socket of the API: whose it is, and what else may be at its path.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

TEST_F(Api, TheSocketIsForOwnerAndGroupAndGoesWithTheServer) {
  struct stat status {};
  ASSERT_EQ(stat(socket().c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  server_->stop();
  EXPECT_FALSE(std::filesystem::exists(socket()));
  server_->stop();
}

TEST_F(Api, ASecondServerIsRefusedAndTheFirstGoesOn) {
  const auto second = start_server();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::failed_precondition);
  EXPECT_NE(second.error().message.find("somebody listens"), std::string::npos) << second.error().message;
  EXPECT_TRUE(call<v1::ListPoolsRequest>("ProviderService/ListPools", "").status.ok());
}

TEST_F(Api, AStaleSocketIsReplaced) {
  server_ = nullptr;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  close(fd);
  ASSERT_TRUE(std::filesystem::exists(socket()));
  auto server = start_server();
  ASSERT_TRUE(server.has_value()) << server.error().message;
  server_ = std::move(*server);
  EXPECT_TRUE(call<v1::ListPoolsRequest>("ProviderService/ListPools", "").status.ok());
}

TEST_F(Api, AnythingElseAtThePathIsLeftAlone) {
  server_ = nullptr;
  std::ofstream(socket()) << "precious";
  const auto server = start_server();
  ASSERT_FALSE(server.has_value());
  EXPECT_NE(server.error().message.find("is no socket"), std::string::npos) << server.error().message;
  EXPECT_EQ(std::filesystem::file_size(socket()), 8u);
}

TEST_F(Api, APathThatCannotBeIsRefused) {
  server_ = nullptr;
  directory_ += "/" + std::string(120, 'x');
  EXPECT_EQ(start_server().error().field, "api.socket");
  directory_ = std::filesystem::path(directory_).parent_path();
  std::ofstream(directory_ + "/file") << "";
  const std::string directory = directory_;
  directory_ += "/file";
  const auto below_a_file = start_server();
  ASSERT_FALSE(below_a_file.has_value());
  EXPECT_NE(below_a_file.error().message.find("cannot make directory"), std::string::npos);
  directory_ = directory;
}

}  // namespace
}  // namespace portcullis::service
