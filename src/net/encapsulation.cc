#include "src/net/encapsulation.h"

namespace portcullis {

std::string to_string(const Encapsulation& encapsulation) {
  if (const auto* tags = std::get_if<VlanTags>(&encapsulation)) {
    std::string text = "VLAN " + std::to_string(tags->outer);
    if (tags->inner != 0) text += "." + std::to_string(tags->inner);
    return text;
  }
  if (const auto* tunnel = std::get_if<Tunnel>(&encapsulation))
    return std::string(tunnel->protocol == TunnelProtocol::vxlan ? "VXLAN " : "Geneve ") +
           tunnel->remote.to_string() + " VNI " + std::to_string(tunnel->vni);
  return "untagged";
}

}  // namespace portcullis
