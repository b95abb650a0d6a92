// What lies in a chunk of the permit table: one of these.
#pragma once

#include <array>

#include "dataplane/tables/permit6.h"
#include "dataplane/tables/permit_interval.h"
#include "dataplane/tables/permit_tree.h"

namespace portcullis {

struct PermitPlain {
  std::array<PermitQuad, permit_chunk_rules / PermitQuad::lanes> quads;
};

union alignas(64) PermitChunk {
  PermitNode node;
  PermitHeader header;
  PermitIntervalNode interval;
  PermitPlain plain;
  PermitPlain6 plain6;
  PermitChunk() : node{} {}
};
static_assert(sizeof(PermitChunk) == 256 && sizeof(PermitPlain) == 256);

}  // namespace portcullis
