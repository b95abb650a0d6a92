// THE picture: what happens to a packet, in order. Each packet has an optional source endpoint and an
// optional destination endpoint; every stage serves both, so there is no inbound and no outbound path.
//
//   decapsulate VLAN tags and tunnel headers are taken off: from here on frames are as endpoints sent them
//   parse       bounded parse, malformed packets leave by name
//   punt        ARP answered; what is for the gateway itself goes to the punt thread
//   identify    source endpoint (location, DIP, anti-spoofing) and destination endpoint (address)
//   hand_over   to the worker that owns the flow; with one worker nothing
//   fragments   a later fragment gets the ports of its first
//   admit       the permit list of each side that exists; entries are looked up, intents staged
//   route       next hop, TTL, MTU: the last refusals that need no memory
//   commit      flow entries, datagrams, EIP counters, rule hits: the one place where tables change
//   to_public   source DIP -> EIP
//   to_private  destination EIP -> DIP
//   deliver     TTL and MAC addresses for the next hop
//   encapsulate VLAN tags and tunnel headers are put on
//   transmit    per-port queues, burst
//
// A worker that takes a packet over begins with parse and leaves punt out. After commit only a full transmit
// queue drops. A packet may be rehearsed (rehearsal.h): the same stages, and nothing of it stays.
#pragma once

#include <string_view>
#include <tuple>

#include "dataplane/stages/admit.h"
#include "dataplane/stages/commit.h"
#include "dataplane/stages/decapsulate.h"
#include "dataplane/stages/deliver.h"
#include "dataplane/stages/encapsulate.h"
#include "dataplane/stages/fragments.h"
#include "dataplane/stages/hand_over.h"
#include "dataplane/stages/identify.h"
#include "dataplane/stages/parse.h"
#include "dataplane/stages/punt.h"
#include "dataplane/stages/route.h"
#include "dataplane/stages/to_private.h"
#include "dataplane/stages/to_public.h"
#include "dataplane/stages/transmit.h"

namespace portcullis {

using Pipeline =
    std::tuple<stages::Decapsulate, stages::Parse, stages::Punt, stages::Identify, stages::HandOver,
               stages::Fragments, stages::Admit, stages::Route, stages::Commit, stages::ToPublic,
               stages::ToPrivate, stages::Deliver, stages::Encapsulate, stages::Transmit>;

// Of packets from another worker. What they are for may have changed on the way: they may have to go on.
using OwnersPipeline = std::tuple<stages::Parse, stages::Identify, stages::HandOver, stages::Fragments,
                                  stages::Admit, stages::Route, stages::Commit, stages::ToPublic,
                                  stages::ToPrivate, stages::Deliver, stages::Encapsulate, stages::Transmit>;

// Runs a burst through every stage. `Group`: the back end (tables/group.h). `probe(name)` is called after
// each stage: nothing in production, clocks per stage in bench/pps.
template <typename Group, typename Stages = Pipeline, typename Probe>
inline void run_pipeline(Burst& burst, const Tables& tables, WorkerState& worker, Probe&& probe) noexcept {
  std::apply(
      [&](auto... stage) {
        ((Group::template call<decltype(stage)>(burst, tables, worker), probe(decltype(stage)::name)), ...);
      },
      Stages{});
}

}  // namespace portcullis
