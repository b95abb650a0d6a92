#include "tests/model/show.h"

#include <variant>

namespace portcullis::testing {

std::string show(const std::vector<Bytes>& frames) {
  std::string text = std::to_string(frames.size()) + " frames";
  for (const Bytes& frame : frames) text += "\n      " + describe(frame);
  return text;
}

std::string show(const reference::Verdict& verdict) {
  switch (verdict.fate) {
    case reference::Fate::transmitted:
      return "-> port " + std::to_string(verdict.port) + ": " + describe(verdict.bytes);
    case reference::Fate::answered:
      return (verdict.reason.empty() ? "answered" : "dropped: " + verdict.reason + ", and answered: ") +
             describe(verdict.bytes);
    case reference::Fate::punted:
      return "punted";
    case reference::Fate::dropped:
      return "dropped: " + verdict.reason;
  }
  return {};
}

std::string show(const std::vector<model::PermitRule>& rules) {
  std::ostringstream text;
  for (const model::PermitRule& rule : rules) {
    text << "\n        " << rule.name << (rule.direction == model::Direction::inbound ? " in" : " out")
         << " protocol ";
    rule.protocol ? text << unsigned{*rule.protocol} : text << "any";
    text << " local " << rule.local_ports.first << "-" << rule.local_ports.last << " remote";
    if (std::holds_alternative<model::AnyRemote>(rule.remote)) text << " any";
    if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote))
      for (const IpPrefix& prefix : *prefixes) text << " " << prefix.to_string();
    if (const auto* tags = std::get_if<std::vector<std::string>>(&rule.remote))
      for (const std::string& tag : *tags) text << " tag:" << tag;
    text << " " << rule.remote_ports.first << "-" << rule.remote_ports.last;
    if (rule.icmp_type) text << " type " << unsigned{*rule.icmp_type};
    if (rule.icmp_code) text << "/" << unsigned{*rule.icmp_code};
    if (rule.tracked) text << " tracked";
  }
  return text.str();
}

}  // namespace portcullis::testing
