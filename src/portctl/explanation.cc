#include "src/portctl/explanation.h"

#include "src/portctl/client.h"
#include "src/portctl/table.h"

namespace portcullis::portctl {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = c == '_' ? ' ' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

}  // namespace

std::string explanation_text(const v1::Explanation& explanation) {
  Table table({{"STAGE"}, {"WORKER", Table::Align::right}, {"VERDICT"}, {"WHY"}});
  for (const v1::ExplainedStage& stage : explanation.stages())
    table.add({stage.stage(), std::to_string(stage.worker()),
               lower(v1::ExplainedStage::Verdict_Name(stage.verdict())), stage.detail()});
  std::string text = table.to_string() + lower(v1::Explanation::Fate_Name(explanation.fate()));
  if (explanation.has_sent()) {
    const v1::Frame& sent = explanation.sent();
    const size_t length = sent.length() != 0 ? sent.length() : sent.data().size();
    text += " by " + id_of(sent.port()) + ", " + std::to_string(length) + " bytes";
    if (!sent.headers().empty()) text += ", " + sent.headers();
  }
  if (!explanation.reason().empty())
    text += ": " + explanation.reason() + " (" + explanation.description() + ")";
  return text + "\n";
}

}  // namespace portcullis::portctl
