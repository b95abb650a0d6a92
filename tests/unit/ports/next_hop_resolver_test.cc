#include "dataplane/ports/next_hop_resolver.h"

#include <gtest/gtest.h>

namespace portcullis {
namespace {

using Action = NextHopResolver::Action;

TEST(NextHopResolver, AsksAtOnceAndThenEverySecond) {
  NextHopResolver resolver;
  EXPECT_EQ(resolver.at(5), Action::ask);
  EXPECT_EQ(resolver.at(5), Action::nothing);
  EXPECT_EQ(resolver.at(1'004), Action::nothing);
  EXPECT_EQ(resolver.at(1'005), Action::ask);
  EXPECT_EQ(resolver.at(2'005), Action::ask);
}

TEST(NextHopResolver, RefreshesWhatIsKnown) {
  NextHopResolver resolver;
  EXPECT_EQ(resolver.at(0), Action::ask);
  resolver.answered(10);
  EXPECT_EQ(resolver.at(30'009), Action::nothing);
  EXPECT_EQ(resolver.at(30'010), Action::ask);
  EXPECT_EQ(resolver.at(30'011), Action::nothing);
  resolver.answered(30'020);
  EXPECT_EQ(resolver.at(60'019), Action::nothing);
  EXPECT_EQ(resolver.at(60'020), Action::ask);
}

TEST(NextHopResolver, ForgetsAfterThreeRefreshesWithoutAnAnswer) {
  NextHopResolver resolver;
  resolver.answered(0);
  EXPECT_EQ(resolver.at(30'000), Action::ask);
  EXPECT_EQ(resolver.at(60'000), Action::ask);
  EXPECT_EQ(resolver.at(90'000), Action::ask);
  EXPECT_EQ(resolver.at(119'999), Action::nothing);
  EXPECT_EQ(resolver.at(120'000), Action::forget_and_ask);
  EXPECT_EQ(resolver.at(120'999), Action::nothing);
  EXPECT_EQ(resolver.at(121'000), Action::ask);
  resolver.answered(121'500);
  EXPECT_EQ(resolver.at(151'499), Action::nothing);
}

TEST(NextHopResolver, AnAnswerForgivesWhatWasMissed) {
  NextHopResolver resolver;
  resolver.answered(0);
  EXPECT_EQ(resolver.at(30'000), Action::ask);
  EXPECT_EQ(resolver.at(60'000), Action::ask);
  resolver.answered(60'001);
  EXPECT_EQ(resolver.at(90'001), Action::ask);
  EXPECT_EQ(resolver.at(120'001), Action::ask);
  EXPECT_EQ(resolver.at(150'001), Action::ask);
  EXPECT_EQ(resolver.at(180'001), Action::forget_and_ask);
}

}  // namespace
}  // namespace portcullis
