// What a quad of rules says, as tests ask it.
#pragma once

#include <bit>
#include <cstdint>

#include "dataplane/tables/permit_quad.h"

namespace portcullis {

// The first rule that matches; PermitQuad::lanes if none does.
template <typename Group>
uint32_t first_match(const PermitQuad& quad, const PermitQuery& query, const TagSetTable& tags) {
  return static_cast<uint32_t>(
      std::countr_zero(matching_lanes<Group>(quad, query, tags) | 1u << PermitQuad::lanes));
}

}  // namespace portcullis
