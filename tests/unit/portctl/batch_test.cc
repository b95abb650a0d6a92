// `portctl batch`: which calls its lines make, what it prints of them, and where it ends.
#include <sys/stat.h>

#include <future>
#include <sstream>
#include <thread>

#include "tests/unit/portctl/cli_fixture.h"

namespace portcullis {
namespace {

const std::string service = "/portcullis.v1.";

class Batch : public Cli {
 protected:
  Outcome run_lines(const std::string& lines, const std::string& options = "",
                    const std::string& flags = "") {
    write("lines", lines);
    return run(options + " batch '" + path("lines") + "' " + flags);
  }
  std::vector<std::string> called() {
    std::vector<std::string> methods;
    for (const Call& call : gateway_.take_calls()) methods.push_back(call.method.substr(service.size()));
    return methods;
  }
  void answer_pool(const std::string& id) {
    v1::Pool pool;
    pool.set_name("pools/" + id);
    pool.set_prefix("203.0.113.0/24");
    gateway_.answer(service + "ProviderService/GetPool", pool);
  }
};

using Methods = std::vector<std::string>;

TEST_F(Batch, EachLineIsACommand) {
  write("lines", R"(# whose
  tag set 203.0.113.1 a b   # two of them

permit set 203.0.113.1 'web=in tcp 80 from any' "in icmp from any type 8"
vm get web --tenant acme
)");
  const Outcome outcome = run("--tenant blue batch '" + path("lines") + "'");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<Call> calls = gateway_.take_calls();
  ASSERT_EQ(calls.size(), 3u);
  v1::SetTagRequest tags;
  ASSERT_TRUE(tags.ParseFromString(calls[0].request));
  EXPECT_EQ(tags.ShortDebugString(), R"(eip: "tenants/blue/eips/203.0.113.1" tags: "a" tags: "b")");
  v1::SetPermitListRequest list;
  ASSERT_TRUE(list.ParseFromString(calls[1].request));
  ASSERT_EQ(list.rules_size(), 2);
  EXPECT_EQ(list.rules(0).name(), "web");
  v1::GetVmRequest vm;
  ASSERT_TRUE(vm.ParseFromString(calls[2].request));
  EXPECT_EQ(vm.name(), "tenants/acme/vms/web") << "the line's own option";
}

TEST_F(Batch, StandardInputIsRead) {
  write("lines", "pool get a\npool get b\n");
  answer_pool("a");
  answer_pool("b");
  const int status = std::system(("'" + std::string(PORTCTL) + "' --socket '" + socket() + "' batch < '" +
                                  path("lines") + "' > '" + path("out") + "'")
                                     .c_str());
  EXPECT_EQ(status, 0);
  EXPECT_EQ(called(), (Methods{"ProviderService/GetPool", "ProviderService/GetPool"}));
  const std::string out = read(path("out"));
  EXPECT_LT(out.find("\na "), out.find("\nb ")) << out;
}

TEST_F(Batch, EndsAtTheFirstThatFails) {
  const std::string lines = "pool get a\npool got b\npool get c\n";
  const Outcome outcome = run_lines(lines);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(called(), Methods{"ProviderService/GetPool"});
  EXPECT_TRUE(outcome.err.starts_with("portctl: " + path("lines") + ":2: pool got b\n")) << outcome.err;
  EXPECT_NE(outcome.err.find("did you mean get?"), std::string::npos) << outcome.err;

  const Outcome on = run_lines(lines, "", "--keep-going");
  EXPECT_EQ(on.status, 2) << "that of the first failure";
  EXPECT_EQ(called(), (Methods{"ProviderService/GetPool", "ProviderService/GetPool"}));

  gateway_.refuse(grpc::Status(grpc::NOT_FOUND, "no such pool"));
  EXPECT_EQ(run_lines("pool get a\npool get b\n").status, 1);
  EXPECT_EQ(called(), Methods{"ProviderService/GetPool"});
}

TEST_F(Batch, JsonIsALineForEachCommand) {
  answer_pool("a");
  const Outcome outcome =
      run_lines("\npool get a\npool get \"b\nmanual\npool get c --json\nwatch --help\n", "--json", "-k");
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.err, "");
  std::vector<std::string> lines;
  std::istringstream out(outcome.out);
  for (std::string line; std::getline(out, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 5u) << outcome.out;
  EXPECT_TRUE(
      lines[0].starts_with(R"({"line":2,"status":0,"answer":{"name":"pools/a","prefix":"203.0.113.0/24",)"))
      << lines[0];
  EXPECT_EQ(lines[1], R"({"line":3,"status":2,"error":"portctl: a quote has no end\n"})");
  EXPECT_TRUE(lines[2].starts_with(R"({"line":4,"status":2,"error":"portctl: manual cannot be in a batch)"))
      << lines[2];
  EXPECT_TRUE(lines[3].starts_with(R"({"line":5,"status":0,"answer":{"name":"",)")) << lines[3];
  EXPECT_TRUE(lines[4].starts_with(R"({"line":6,"status":0,"answer":")")) << lines[4];

  gateway_.refuse(grpc::Status(grpc::NOT_FOUND, "no such pool"));
  EXPECT_EQ(run_lines("pool get a\n", "--json").out,
            "{\"line\":1,\"status\":1,\"error\":{\"code\":5,\"message\":\"no such pool\",\"details\":[]}}\n");
}

TEST_F(Batch, WhatHasNoEndIsRefused) {
  for (const std::string line : {"watch", "capture -w x", "trace", "batch", "manual", "completion bash",
                                 "events", "--tenant acme watch", "apply -f -", "complete vm"}) {
    EXPECT_EQ(run_lines(line + "\n").status, 2) << line;
    EXPECT_EQ(called(), Methods()) << line;
  }
}

TEST_F(Batch, OptionsOfOneChangeAreOfItsLine) {
  EXPECT_EQ(run_lines("tag set 203.0.113.1 a --request-id x --expected-generation 7\n").status, 0);
  EXPECT_EQ(called(), Methods{"TenantService/SetTag"});
  for (const std::string option : {"--request-id x", "--expected-generation 7"}) {
    const Outcome outcome = run_lines("tag set 203.0.113.1 a\n", option);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.err.find("one command"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(called(), Methods());
}

TEST_F(Batch, IsOfOneGateway) {
  EXPECT_EQ(run_lines("pool list\n", "--socket " + path("absent")).status, 3)
      << "whatever the environment says";
  for (const std::string option : {"--socket ", "--server ", "--tls-cert "})
    EXPECT_EQ(run_lines("pool list " + option + path("absent") + "\n").status, 2) << option;
  EXPECT_EQ(called(), Methods());
}

TEST_F(Batch, QuotesAreThoseOfAShell) {
  const Outcome outcome = run_lines(R"(permit set 203.0.113.1 web='in tcp 80'" from any" --socket"=x
tag set 203.0.113.1 a'b'"c" d#e #f
tag set "a\"b\\c\d" ''
tag set 'a\"b'
)",
                                    "", "-k");
  EXPECT_NE(outcome.err.find(":1: "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("a quote has no end"), std::string::npos) << outcome.err;
  const std::vector<Call> calls = gateway_.take_calls();
  ASSERT_EQ(calls.size(), 3u);
  v1::SetTagRequest request;
  ASSERT_TRUE(request.ParseFromString(calls[0].request));
  EXPECT_EQ(request.ShortDebugString(), R"(eip: "tenants/default/eips/203.0.113.1" tags: "abc" tags: "d#e")");
  ASSERT_TRUE(request.ParseFromString(calls[1].request));
  EXPECT_EQ(request.eip(), R"(tenants/default/eips/a"b\c\d)");
  ASSERT_TRUE(request.ParseFromString(calls[2].request));
  EXPECT_EQ(request.eip(), R"(tenants/default/eips/a\"b)");
}

TEST_F(Batch, WhatIsSaidBesidesIsOfItsLine) {
  const std::string seldom_meant = "permit set 203.0.113.1 'in tcp from any port 80'\n";
  const Outcome alone = run("permit set 203.0.113.1 'in tcp from any port 80'");
  ASSERT_TRUE(alone.err.starts_with("portctl: note: ")) << alone.err;
  const Outcome text = run_lines(seldom_meant);
  EXPECT_EQ(text.err, "portctl: " + path("lines") + ":1: " + seldom_meant + alone.err);
  const Outcome json = run_lines(seldom_meant, "--json");
  EXPECT_EQ(json.err, "");
  EXPECT_NE(json.out.find(R"("notes":"portctl: note: )"), std::string::npos) << json.out;
}

TEST_F(Batch, AGatewayThatIsStartedAgainIsReached) {
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  const std::string command = "'" + std::string(PORTCTL) + "' --socket '" + socket() + "' batch < '" +
                              path("fifo") + "' > '" + path("out") + "' 2>&1";
  auto status = std::async(std::launch::async, [&] { return std::system(command.c_str()); });
  std::ofstream lines(path("fifo"));
  Recorder later[2];  // one is of one server
  for (Recorder* gateway : {&gateway_, &later[0], &later[1]}) {
    if (gateway != &gateway_) {
      server_->Shutdown();
      server_->Wait();
      start_server(*gateway);
    }
    lines << "pool list" << std::endl;
    std::vector<Call> calls;
    for (int tries = 0; calls.empty() && tries < 500; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      calls = gateway->take_calls();
    }
    ASSERT_EQ(calls.size(), 1u);
  }
  lines.close();
  EXPECT_EQ(status.get(), 0) << read(path("out"));
  server_->Shutdown();  // before the last recorder goes
}

TEST_F(Batch, EndsWhenNobodyTakesItsAnswers) {
  write("lines", "pool list\npool list\n");
  EXPECT_EQ(WEXITSTATUS(std::system(("'" + std::string(PORTCTL) + "' --socket '" + socket() + "' batch '" +
                                     path("lines") + "' > /dev/full 2> '" + path("err") + "'")
                                        .c_str())),
            2);
  EXPECT_EQ(called().size(), 1u);
  EXPECT_NE(read(path("err")).find("standard output takes no more"), std::string::npos);
}

TEST_F(Batch, AFileThatCannotBeReadIsNamed) {
  for (const std::string& file : {path(""), path("absent")}) {
    const Outcome outcome = run("batch " + file);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.err.find("cannot read " + file), std::string::npos) << outcome.err;
  }
  // Standard input.
  EXPECT_EQ(WEXITSTATUS(std::system(("'" + std::string(PORTCTL) + "' batch < /tmp 2> /dev/null").c_str())),
            2);
}

}  // namespace
}  // namespace portcullis
