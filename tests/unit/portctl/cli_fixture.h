// portctl runs as a process against a gateway that records each call and gives a prepared answer.
#pragma once

#include <google/protobuf/text_format.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "portcullis/v1/observe_service.pb.h"
#include "portcullis/v1/provider_service.pb.h"
#include "portcullis/v1/tenant_service.pb.h"

namespace portcullis {

using google::protobuf::Message;
using google::protobuf::TextFormat;

inline std::string to_string(const grpc::ByteBuffer& buffer) {
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
    start_server(gateway_);
  }
  void TearDown() override {
    server_->Shutdown();
    std::filesystem::remove_all(directory_);
  }

  void start_server(Recorder& gateway) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
    builder.RegisterCallbackGenericService(&gateway);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
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

}  // namespace portcullis
