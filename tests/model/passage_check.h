// What a passage (dataplane/passage.h) names, of a rehearsal and of a trace, against the reference.
#pragma once

#include <string>
#include <vector>

#include "dataplane/passage.h"
#include "tests/model/gateway_under_test.h"
#include "tests/model/reference.h"

namespace portcullis::testing {

// Whether each side's list lets the packet pass, and the rule by which it does, by its name. What is wrong is
// added to `wrong`, behind `what`.
void compare_rules(const GatewayUnderTest& gateway, const Passage& passage, const reference::Verdict& verdict,
                   const std::string& what, std::vector<std::string>& wrong);

}  // namespace portcullis::testing
