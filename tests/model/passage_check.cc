#include "tests/model/passage_check.h"

#include <optional>

namespace portcullis::testing {
namespace {

using Said = std::optional<reference::Verdict::Said>;

std::string show(const Said& said) {
  if (!said) return "was not asked";
  if (!said->permits) return "refuses";
  return said->rule ? "permits by rule " + *said->rule : "permits by no rule";
}

Said said_by(const GatewayUnderTest& gateway, const PassageSide& side) {
  if (side.slot == 0 || !side.is_asked) return std::nullopt;
  Said said = reference::Verdict::Said{.permits = side.permits};
  if (side.permits && side.hit.is_one()) said->rule = gateway.publisher().rule_at(side.eip, side.hit);
  return said;
}

}  // namespace

void compare_rules(const GatewayUnderTest& gateway, const Passage& passage, const reference::Verdict& verdict,
                   const std::string& what, std::vector<std::string>& wrong) {
  const auto compare = [&](const char* side, const PassageSide& said, const Said& expected) {
    const std::string told = show(said_by(gateway, said)), wanted = show(expected);
    if (told != wanted)
      wrong.push_back(what + ": the list of the " + side + " " + told + ", but the reference says it " +
                      wanted);
  };
  compare("source", passage.source(), verdict.source);
  compare("destination", passage.destination(), verdict.destination);
}

}  // namespace portcullis::testing
