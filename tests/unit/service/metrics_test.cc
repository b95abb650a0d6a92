// The page for Prometheus over HTTP: what ObserveService says, and as Prometheus' own tool wants it.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <rte_cycles.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "dataplane/worker_state.h"
#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

class MetricsTest : public Api {
 protected:
  ServerConfig config() const override { return {.socket = socket(), .metrics = "127.0.0.1:0"}; }

  // The body of the page.
  std::string page() const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server_->metrics()->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int connection = ::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
    EXPECT_EQ(write(connection, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t got = 0; (got = read(connection, buffer, sizeof buffer)) > 0;)
      answer.append(buffer, static_cast<size_t>(got));
    close(connection);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << answer.substr(0, 200);
    return answer.substr(answer.find("\r\n\r\n") + 4);
  }
  static bool has_line(const std::string& page, const std::string& line) {
    return ("\n" + page).find("\n" + line + "\n") != std::string::npos;
  }
};

TEST_F(MetricsTest, SaysWhatTheApiSays) {
  populate();
  plane_.counters().dropped[static_cast<size_t>(Drop::unbound)].add(7);
  plane_.counters().ports[vm0].received_bytes.add(1234567890123);
  plane_.worker->state().fragments.insert({.expires_ms = now_ms}, Ipv4Addr(), 0);
  const uint64_t hz = rte_get_tsc_hz(), began = rte_rdtsc() + 3600 * hz;  // so that no gap is under way
  plane_.worker->state().poll_gap.begin(began);
  plane_.worker->state().poll_gap.turn(began + hz / 4);
  const std::string text = page();
  for (const char* line : {
           "portcullis_dropped_packets_total{reason=\"unbound\",stage=\"identify\"} 7",
           "portcullis_port_received_bytes_total{port=\"vm0\"} 1234567890123",
           "portcullis_port_received_bytes_total{port=\"wan\"} 0",
           "portcullis_port_missed_packets_total{port=\"vm0\"} 41",
           "portcullis_port_up{port=\"wan\"} 1",
           "portcullis_port_up{port=\"vm0\"} 0",
           "portcullis_worker_dropped_packets_total{worker=\"0\"} 7",
           "portcullis_worker_flow_entries{worker=\"0\",family=\"ipv6\"} 0",
           "portcullis_worker_flow_capacity{worker=\"0\",family=\"ipv4\"} 1024",
           "portcullis_worker_flow_capacity{worker=\"0\",family=\"ipv6\"} 1024",
           "portcullis_worker_fragmented_datagrams{worker=\"0\",family=\"ipv4\"} 1",
           "portcullis_worker_fragmented_datagrams{worker=\"0\",family=\"ipv6\"} 0",
           "portcullis_worker_fragment_capacity{worker=\"0\",family=\"ipv6\"} 64",
           "portcullis_next_hops{port=\"wan\",state=\"resolved\"} 0",
           "portcullis_next_hops{port=\"wan\",state=\"unresolved\"} 1",
           "portcullis_next_hops{port=\"wan\",state=\"fixed\"} 0",
           "portcullis_next_hops{port=\"vm0\",state=\"unresolved\"} 0",
           "portcullis_generation 3",
           "portcullis_eips 1",
           "portcullis_eip_capacity 16",
       })
    EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;

  for (const std::string name : {"longest", "recent_longest"}) {
    const std::string metric = "\nportcullis_worker_" + name + "_gap_seconds{worker=\"0\"} ";
    const size_t at = text.find(metric);
    ASSERT_NE(at, std::string::npos) << text;
    EXPECT_NEAR(std::stod(text.substr(at + metric.size())), 0.25, 1e-6);
  }
  // Three changes, of which none takes seconds.
  for (const std::string name : {"storing", "publishing"}) {
    const std::string metric = "portcullis_change_" + name + "_seconds";
    for (const char* bound : {"5", "+Inf"})
      EXPECT_TRUE(has_line(text, metric + "_bucket{le=\"" + bound + "\"} 3")) << text;
    EXPECT_TRUE(has_line(text, metric + "_count 3")) << text;
    const size_t at = text.find("\n" + metric + "_sum ");
    ASSERT_NE(at, std::string::npos) << text;
    const double sum = std::stod(text.substr(at + metric.size() + 6));
    EXPECT_GT(sum, 0);
    EXPECT_LT(sum, 15);
  }
  EXPECT_NE(text.find("portcullis_build_info{version=\"" PORTCULLIS_VERSION "\"} 1\n"), std::string::npos);

  const auto drops = get<v1::ListDropsResponse, v1::ListDropsRequest>("ObserveService/ListDrops", "");
  for (const v1::DropCounter& drop : drops.drops())
    EXPECT_NE(text.find("{reason=\"" + drop.reason() + "\",stage=\"" + drop.stage() + "\"}"),
              std::string::npos)
        << drop.reason();
  EXPECT_EQ(text.find("acme"), std::string::npos);  // no tenant's name
}

TEST_F(MetricsTest, PrometheusHasNothingToSayAgainstIt) {
  if (std::system("promtool --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no promtool";
  populate();
  const std::string file = directory_ + "/page";
  std::ofstream(file) << page();
  const std::string command = "promtool check metrics <'" + file + "' >'" + file + ".said' 2>&1";
  const int status = std::system(command.c_str());
  std::ifstream said(file + ".said");
  EXPECT_EQ(status, 0) << std::string(std::istreambuf_iterator<char>(said), {});
}

TEST_F(MetricsTest, AnAddressThatIsTakenIsRefused) {
  const ServerConfig second{.socket = directory_ + "/second.sock",
                            .metrics = "127.0.0.1:" + std::to_string(server_->metrics()->port())};
  const auto server = Server::start(second, control_, {});
  ASSERT_FALSE(server.has_value());
  EXPECT_EQ(server.error().field, "metrics.listen");
}

}  // namespace
}  // namespace portcullis::service
