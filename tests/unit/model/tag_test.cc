#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class TagTest : public ModelTest {
 protected:
  void prepare() { carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24"))); }
  Expected<Plan<Eip>> plan(const Eip& eip, std::set<std::string> tags) {
    return model_.plan_set_tag(eip.tenant, eip.address, std::move(tags));
  }
};

TEST_F(TagTest, ReplacesTheTagsUnderANewBindingGeneration) {
  prepare();
  const Eip eip = add_eip("acme", "web");
  const auto first = plan(eip, {"web", "prod"});
  ASSERT_TRUE(first);
  Eip expected = eip;
  expected.tags = {"prod", "web"};
  expected.binding_generation = generation() + 1;
  EXPECT_EQ(first->reply, expected);
  EXPECT_EQ(first->changes, (ChangeSet{generation() + 1, {PutEip{expected}}}));
  carry_out(first);
  EXPECT_TRUE(is_unchanged(plan(eip, {"web", "prod"}), generation()));
  EXPECT_EQ(carry_out(plan(eip, {})).tags, std::set<std::string>());
  EXPECT_TRUE(is_unchanged(plan(eip, {}), generation()));
}

TEST_F(TagTest, Refused) {
  use({.tags_per_eip = 2});
  prepare();
  const Eip eip = add_eip("acme", "web");
  const std::string name = "tenants/acme/eips/203.0.113.1";
  EXPECT_TRUE(refused(plan(eip, {"ok", "Not"}), ErrorCode::invalid_argument, "tags", name, "tag 'Not'"));
  EXPECT_TRUE(plan(eip, {"a", "b"}));
  EXPECT_TRUE(refused(plan(eip, {"a", "b", "c"}), ErrorCode::resource_exhausted, "tags", name,
                      "3 tags are given; an EIP bears at most 2"));
  EXPECT_TRUE(refused(model_.plan_set_tag("umbrella", eip.address, {"a"}), ErrorCode::not_found, "eip",
                      "tenants/umbrella/eips/203.0.113.1", "does not exist"));
}

TEST_F(TagTest, TagSetsAreReserved) {
  use({.tag_sets = 1});
  prepare();
  const Eip web = add_eip("acme", "web");
  const Eip db = add_eip("acme", "db");
  carry_out(plan(web, {"a"}));
  EXPECT_TRUE(refused(plan(db, {"a"}), ErrorCode::resource_exhausted, "tags", "tenants/acme/eips/203.0.113.2",
                      "all 1 tag sets are in use"));
  EXPECT_TRUE(plan(web, {"b", "c"})) << "its own set is there";
  EXPECT_TRUE(is_unchanged(plan(db, {}), generation()));
  carry_out(plan(web, {}));
  carry_out(plan(db, {"a"}));
  carry_out(model_.plan_release_eip("acme", db.address, now));
  EXPECT_TRUE(plan(web, {"a"})) << "a released EIP's set is free";
}

}  // namespace
}  // namespace portcullis::model
