// What is remembered for a time: answers to requests, and addresses that rest.
#include "tests/unit/control/control_fixture.h"

namespace portcullis {
namespace {

// --- request ids ---

struct Once {
  Gateway& gateway;
  int carried_out = 0;

  Expected<std::string> set_tag(const std::string& tag, const RequestId& request) {
    return gateway.control.change_once({}, request, [&](model::Draft& draft) {
      ++carried_out;
      return draft.carry_out(draft.model().plan_set_tag("acme", web_eip, {tag})).map([&](const model::Eip&) {
        return tag + " at " + std::to_string(draft.generation());
      });
    });
  }
};

TEST(Control, ARequestIsCarriedOutOnce) {
  Disk disk;
  std::atomic<int64_t> now_ms = 1000;
  const ControlConfig config{.pools = {pool}, .tick = 1h, .now_ms = [&] { return now_ms.load(); }};
  const RequestId first{.caller = "provider", .id = "1", .fingerprint = 7};
  {
    Gateway gateway(disk, config);
    gateway.start();
    gateway.populate();
    Once once{gateway};
    EXPECT_EQ(once.set_tag("a", first).value(), "a at 4");
    RequestId unchanged = first;
    unchanged.id = "2";
    EXPECT_EQ(once.set_tag("a", unchanged).value(), "a at 4") << "what changes nothing is remembered, too";
    ASSERT_TRUE(gateway.mutate([](const model::Model& m) { return m.plan_set_tag("acme", web_eip, {"b"}); }));
    EXPECT_EQ(once.set_tag("a", first).value(), "a at 4");
    EXPECT_EQ(once.set_tag("a", unchanged).value(), "a at 4");
    EXPECT_EQ(once.carried_out, 2);
    EXPECT_EQ(gateway.state().generation, 5u);
  }
  Gateway gateway(disk, config);
  gateway.start();
  Once once{gateway};
  now_ms = 999 + std::chrono::milliseconds(requests_remembered).count();
  EXPECT_EQ(once.set_tag("a", first).value(), "a at 4") << "a restart forgets none";

  RequestId another = first;
  another.fingerprint = 8;
  const auto refused = once.set_tag("c", another);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(refused.error().field, "request_id");
  another.caller = "tenants/acme";
  EXPECT_EQ(once.set_tag("c", another).value(), "c at 6") << "each caller has ids of its own";
  ++now_ms;
  EXPECT_EQ(once.set_tag("a", first).value(), "a at 7");
}

TEST(Control, RequestsAreForgottenByTheClockThatItIsGiven) {
  Disk disk;
  std::atomic<int64_t> now_ms = 1000;
  Gateway gateway(disk, {.pools = {pool}, .tick = 1ms, .now_ms = [&] { return now_ms.load(); }});
  gateway.start();
  gateway.populate();
  Once once{gateway};
  EXPECT_EQ(once.set_tag("a", {.caller = "provider", .id = "1", .fingerprint = 7}).value(), "a at 4");
  const auto remembered = [&] {
    return *gateway.control.run([&](Control::View) { return disk.requests.size(); });
  };
  const int64_t day = std::chrono::milliseconds(requests_remembered).count();
  now_ms = 1000 + day;
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(remembered(), 1u);
  now_ms = 1001 + day;
  const auto patience = std::chrono::steady_clock::now() + 5s;
  while (remembered() != 0 && std::chrono::steady_clock::now() < patience) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(remembered(), 0u);
}

// --- addresses that rest ---

// `web` gives its EIP back and asks for another from the pool of one address.
struct Rest {
  int64_t now_ms = 1'000'000;

  [[nodiscard]] ControlConfig config() {
    return {.pools = {{"one", *Ipv4Prefix::parse("203.0.113.1/32"), PoolKind::local}},
            .tick = 1h,
            .now_ms = [this] { return now_ms; }};
  }
  static void begin(Gateway& gateway) {
    ASSERT_TRUE(gateway.create_vm("web", web_dip));
    ASSERT_TRUE(request(gateway));
    ASSERT_TRUE(release(gateway));
  }
  static bool request(Gateway& gateway) {
    return gateway.control
        .change({},
                [](model::Draft& draft) {
                  return draft.carry_out(draft.model().plan_request_eip(web, "", draft.now_ms()));
                })
        .has_value();
  }
  static bool release(Gateway& gateway) {
    return gateway.control
        .change({},
                [](model::Draft& draft) {
                  return draft.carry_out(draft.model().plan_release_eip("acme", web_eip, draft.now_ms()));
                })
        .has_value();
  }
};

TEST(Control, AnAddressRestsByTheClockThatItIsGiven) {
  Disk disk;
  Rest rest;
  {
    Gateway gateway(disk, rest.config());
    gateway.start();
    Rest::begin(gateway);
    rest.now_ms += 599'999;
    EXPECT_FALSE(Rest::request(gateway));
  }
  Gateway gateway(disk, rest.config());
  gateway.start();
  EXPECT_FALSE(Rest::request(gateway));
  rest.now_ms += 1;
  EXPECT_TRUE(Rest::request(gateway));
}

TEST(Control, ARestOfAClockThatWasAheadIsShortenedOnce) {
  Disk disk;
  Rest rest;
  {
    Gateway gateway(disk, rest.config());
    gateway.start();
    Rest::begin(gateway);
  }
  const size_t records = disk.log.size();
  {
    Gateway gateway(disk, rest.config());
    gateway.start();
    EXPECT_EQ(disk.log.size(), records) << "one that began now is not too long";
  }
  rest.now_ms -= 900'000;
  {
    Gateway gateway(disk, rest.config());
    gateway.start();
    EXPECT_EQ(disk.log.size(), records + 1);
    EXPECT_EQ(gateway.state(), disk.state());
  }
  rest.now_ms += 599'999;
  Gateway gateway(disk, rest.config());
  gateway.start();
  EXPECT_EQ(disk.log.size(), records + 1) << "restarts do not draw it out";
  EXPECT_FALSE(Rest::request(gateway));
  rest.now_ms += 1;
  EXPECT_TRUE(Rest::request(gateway));
}

TEST(Control, ARefusedRequestIsNotRemembered) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  Once once{gateway};
  const RequestId request{.caller = "provider", .id = "1", .fingerprint = 7};
  EXPECT_FALSE(once.set_tag("Bad", request));
  disk.is_full = true;
  EXPECT_EQ(once.set_tag("a", request).error().code, ErrorCode::unavailable);
  disk.is_full = false;
  EXPECT_EQ(once.set_tag("a", request).value(), "a at 4");
}

}  // namespace
}  // namespace portcullis
