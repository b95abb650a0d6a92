// The populated gateway that frames are thrown at: an uplink and three endpoint ports, one of them with a
// tunnel end, thirteen vms with lists of every kind, eight of them behind VLANs and tunnels; and
// conversations that it lets through, to begin from.
#pragma once

#include <memory>
#include <vector>

#include "tests/fuzz/script.h"
#include "tests/model/world.h"

namespace portcullis::fuzz {

[[nodiscard]] std::unique_ptr<testing::World> make_town();
[[nodiscard]] Mac port_mac(size_t port);
// Scripts of which most packets pass.
[[nodiscard]] std::vector<Script> conversations();

}  // namespace portcullis::fuzz
