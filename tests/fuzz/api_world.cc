#include "tests/fuzz/api_world.h"

#include <google/protobuf/descriptor.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "control/service/access.h"
#include "control/service/status.h"
#include "control/store/record.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace portcullis::fuzz {
namespace {

using google::protobuf::Message;

constexpr uint32_t room_for_eips = 8;
constexpr uint32_t rules_per_eip = 40;
constexpr uint32_t flow_quota = 100;
constexpr PortId wan = 0, vm0 = 1, vm1 = 2;

const TableSizes sizes{
    .eips = room_for_eips,
    .ipv6_eips = room_for_eips,
    .spare_records = 8,
    .spare = 8,
    .spare_chunks = 2 * static_cast<uint32_t>(most_permit_chunks(rules_per_eip)),
    .index_pages = 3,
    .permit_chunks = 16,
    .tag_sets = 4,
};

model::Model empty_model() {
  model::Limits limits;
  limits.eips = room_for_eips;
  limits.ipv6_eips = room_for_eips;
  limits.flows = 1024;
  limits.tenant_quotas = 3;
  limits.eips_per_tenant = 5;
  limits.rules_per_tenant = 60;
  limits.default_rules_per_eip = 30;
  limits.flows_per_eip = flow_quota;
  limits.vms = 6;
  limits.index_pages = sizes.index_pages;
  limits.rules_per_eip = rules_per_eip;
  limits.permit_chunks = sizes.permit_chunks;
  limits.tag_sets = sizes.tag_sets;
  return model::Model(limits, {{"vm0", {}}, {"vm1", {}}}, {*IpAddr::parse("203.0.113.7")});
}

class Records final : public store::Store {
 public:
  explicit Records(Disk& disk) : disk_(disk) {}
  Expected<model::State> load() override {
    model::State state;
    for (const std::string& record : disk_.records) {
      const auto changes = store::decode(record);
      if (!changes) return Unexpected(changes.error());
      model::apply(state, *changes);
    }
    return state;
  }
  Expected<void> append(std::span<const store::Entry> entries) override {
    for (const auto& [changes, request] : entries) {
      if (!changes->changes.empty()) disk_.records.push_back(store::encode(*changes));
      if (request != nullptr) disk_.requests.insert_or_assign({request->caller, request->id}, *request);
    }
    return {};
  }
  Expected<std::optional<store::AnsweredRequest>> recall(const std::string& caller,
                                                         const std::string& id) override {
    const auto found = disk_.requests.find({caller, id});
    return found == disk_.requests.end() ? std::nullopt : std::optional(found->second);
  }
  Expected<void> forget_requests(int64_t) override { return {}; }
  Expected<bool> compact(const model::State&, size_t) override { return false; }
  bool is_compacting() const override { return false; }
  void preserve(std::span<const model::Change>) override {}
  Size log_size() const override { return {}; }
  uint64_t snapshot_bytes() const override { return 0; }

 private:
  Disk& disk_;
};

// Whether a repeat of the request is answered as it was before.
bool is_remembered(const Message& request) {
  const auto* field = request.GetDescriptor()->FindFieldByName("request_id");
  return field != nullptr && !request.GetReflection()->GetString(request, field).empty();
}

publish::Publisher publisher_of(DataPlane& plane) {
  publish::Publisher publisher(*plane.tables, plane.rcu.get(), {{"wan", wan}, {"vm0", vm0}, {"vm1", vm1}},
                               flow_quota);
  publisher.add_worker(plane.worker.get());
  return publisher;
}

[[noreturn]] void broken(const std::string& promise, const Call& call, const std::string& what) {
  std::fprintf(stderr, "%s\n%s by caller %d {\n%s}\n%s\n", promise.c_str(), call.method->full_name().c_str(),
               static_cast<int>(call.caller), call.request->DebugString().c_str(), what.c_str());
  std::abort();
}

service::Identity identity_of(Caller caller) {
  switch (caller) {
    case Caller::provider:
      return {};
    case Caller::acme:
      return {"acme"};
    case Caller::other:
      return {"other"};
  }
  return {};
}

// What there is beside a tenant's own, addresses that rest apart.
model::State beside(model::State state, const model::TenantId& tenant) {
  model::State rest;
  rest.pools = std::move(state.pools);
  rest.quotas = std::move(state.quotas);
  for (const auto& [key, vm] : state.vms)
    if (vm.tenant != tenant) rest.vms.emplace(key, vm);
  for (const auto& [address, eip] : state.eips)
    if (eip.tenant != tenant) rest.eips.emplace(address, eip);
  return rest;
}

void check_error(const Call& call, const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details()) || details.code() != status.error_code())
    broken("an error without details", call, status.error_message());
  if (status.error_code() == grpc::INTERNAL || status.error_code() == grpc::UNAVAILABLE)
    broken("no call ends so here", call, status.error_message());
  for (const auto& detail : details.details()) {
    google::rpc::BadRequest bad;
    if (!detail.UnpackTo(&bad)) continue;
    for (const auto& violation : bad.field_violations()) {
      const std::string first = violation.field().substr(0, violation.field().find_first_of(".["));
      if (call.method->input_type()->FindFieldByName(first) == nullptr)
        broken("an error at a field that the request has not", call, violation.field());
    }
  }
}

}  // namespace

ApiWorld::Process::Process(Disk& disk)
    : plane(sizes),
      captures(*Captures::create(*plane.tables, plane.rcu.get(), {-1}, 1500)),
      control({.tick = std::chrono::hours(1)}, empty_model(), std::make_unique<Records>(disk),
              publisher_of(plane)),
      tenant(control, std::chrono::milliseconds(0)),
      provider(control, std::chrono::milliseconds(0)),
      observe(control, {.tables = plane.tables.get(),
                        .workers = {plane.worker.get()},
                        .ports = {{wan, "wan", "net_ring0", 0},
                                  {vm0, "vm0", "net_ring1", 0},
                                  {vm1, "vm1", "net_ring2", 0}},
                        .link = [](PortId) { return service::LinkState{}; },
                        .captures = captures.get(),
                        .ask =
                            [this](const Worker&, Errand& errand) {
                              plane.worker->carry_out(errand, 1);
                              return Expected<void>();
                            }}) {
  if (const auto started = control.start(); !started) {
    std::fprintf(stderr, "the store does not start: %s\n", started.error().message.c_str());
    std::abort();
  }
}

model::State ApiWorld::Process::state() {
  return control.run([](Control::View view) { return view.model.state(); }).value();
}

publish::Totals ApiWorld::Process::totals() {
  return control.run([](Control::View view) { return view.publisher.totals(); }).value();
}

namespace {

using Answer = std::pair<grpc::Status, std::unique_ptr<Message>>;
using Handler = std::function<Answer(const Message&)>;
using Handlers = std::map<std::string, Handler>;

template <typename Service, typename Request, typename Reply>
Handler handler(Service& service,
                grpc::Status (Service::*method)(grpc::ServerContext*, const Request*, Reply*)) {
  return [&service, method](const Message& request) {
    auto reply = std::make_unique<Reply>();
    grpc::Status status = (service.*method)(nullptr, static_cast<const Request*>(&request), reply.get());
    return Answer(std::move(status), std::move(reply));
  };
}

// To its present end, all events as one.
Handler watching(service::ObserveService& observe) {
  return [&observe](const Message& request) {
    auto watched = static_cast<const v1::WatchEventsRequest&>(request);
    watched.set_until_now(true);
    auto all = std::make_unique<v1::Event>();
    const auto add = [&](const v1::Event& event, const auto&) {
      all->MergeFrom(event);
      return true;
    };
    grpc::Status status = observe.watch({}, watched, add, [] { return false; });
    return Answer(std::move(status), std::move(all));
  };
}

// Over as soon as it has begun.
template <typename Request, typename Chunk>
Handler looking(service::ObserveService& observe,
                grpc::Status (service::ObserveService::*method)(const service::Identity&, const Request&,
                                                                const service::ObserveService::Send<Chunk>&,
                                                                const std::function<bool()>&)) {
  return [&observe, method](const Message& request) {
    auto all = std::make_unique<Chunk>();
    const auto add = [&](const Chunk& chunk, const auto&) {
      all->MergeFrom(chunk);
      return true;
    };
    grpc::Status status =
        (observe.*method)({}, static_cast<const Request&>(request), add, [] { return true; });
    return Answer(std::move(status), std::move(all));
  };
}

// By the name of the method alone: no two services share one.
Handlers handlers_of(service::TenantService& tenant, service::ProviderService& provider,
                     service::ObserveService& observe) {
  using T = service::TenantService;
  using P = service::ProviderService;
  using O = service::ObserveService;
  return {
      {"RequestEip", handler(tenant, &T::RequestEip)},
      {"ReleaseEip", handler(tenant, &T::ReleaseEip)},
      {"GetEip", handler(tenant, &T::GetEip)},
      {"ListEips", handler(tenant, &T::ListEips)},
      {"SetPermitList", handler(tenant, &T::SetPermitList)},
      {"AddPermitRules", handler(tenant, &T::AddPermitRules)},
      {"RemovePermitRules", handler(tenant, &T::RemovePermitRules)},
      {"GetPermitList", handler(tenant, &T::GetPermitList)},
      {"SetTag", handler(tenant, &T::SetTag)},
      {"GetTenantQuota", handler(tenant, &T::GetTenantQuota)},
      {"GetEipQuota", handler(tenant, &T::GetEipQuota)},
      {"CreateVm", handler(provider, &P::CreateVm)},
      {"GetVm", handler(provider, &P::GetVm)},
      {"ListVms", handler(provider, &P::ListVms)},
      {"MoveVm", handler(provider, &P::MoveVm)},
      {"DeleteVm", handler(provider, &P::DeleteVm)},
      {"CreatePool", handler(provider, &P::CreatePool)},
      {"GetPool", handler(provider, &P::GetPool)},
      {"ListPools", handler(provider, &P::ListPools)},
      {"UpdatePool", handler(provider, &P::UpdatePool)},
      {"DeletePool", handler(provider, &P::DeletePool)},
      {"SetTenantQuota", handler(provider, &P::SetTenantQuota)},
      {"ListTenantQuotas", handler(provider, &P::ListTenantQuotas)},
      {"SetEipQuota", handler(provider, &P::SetEipQuota)},
      {"Apply", handler(provider, &P::Apply)},
      {"Export", handler(provider, &P::Export)},
      {"Import", handler(provider, &P::Import)},
      {"ListDrops", handler(observe, &O::ListDrops)},
      {"ListPorts", handler(observe, &O::ListPorts)},
      {"ListWorkers", handler(observe, &O::ListWorkers)},
      {"ListNextHops", handler(observe, &O::ListNextHops)},
      {"GetEipStatistics", handler(observe, &O::GetEipStatistics)},
      {"GetGateway", handler(observe, &O::GetGateway)},
      {"ListFlows", handler(observe, &O::ListFlows)},
      {"ClearFlows", handler(observe, &O::ClearFlows)},
      {"Explain", handler(observe, &O::Explain)},
      {"WatchEvents", watching(observe)},
      {"Capture", looking(observe, &O::capture)},
      {"Trace", looking(observe, &O::trace)},
  };
}

Answer answer(const Call& call, const Handlers& handlers) {
  const auto found = handlers.find(call.method->name());
  if (found == handlers.end()) broken("a method without a handler here", call, "");
  if (const auto allowed = service::authorise(identity_of(call.caller), *call.request); !allowed)
    return {service::to_status(allowed.error()), nullptr};
  return found->second(*call.request);
}

}  // namespace

ApiWorld::ApiWorld(Tally& tally) : process_(std::make_unique<Process>(disk_)), tally_(tally) {}

void ApiWorld::call(const Call& call) {
  const model::State before = process_->state();
  const auto [status, reply] =
      answer(call, handlers_of(process_->tenant, process_->provider, process_->observe));
  const model::State after = process_->state();

  Answers& answers = tally_[call.method->name()];
  ++(status.ok() ? answers.ok : answers.refused);
  if (!status.ok()) {
    check_error(call, status);
    if (after != before) broken("refused, and yet changed", call, status.error_message());
  } else {
    if (after != before && after.generation != before.generation + 1)
      broken("changed, but not by one generation", call, std::to_string(after.generation));
    const bool changes = service::access_of(*call.method->input_type()).changes();
    if (after != before && !changes) broken("changed by a call that changes nothing", call, "");
    const auto* field = reply->GetDescriptor()->FindFieldByName("generation");
    if (changes && !is_remembered(*call.request) &&
        (field == nullptr || reply->GetReflection()->GetUInt64(*reply, field) != after.generation))
      broken("another generation in the reply", call, reply->DebugString());
  }
  if (process_->totals().local != after.eips.size()) broken("not bound as many as there are", call, "");

  if (call.caller == Caller::provider) return;
  const std::string own = call.caller == Caller::acme ? "acme" : "other";
  const std::string others = call.caller == Caller::acme ? "tenants/other" : "tenants/acme";
  if (beside(before, own) != beside(after, own)) broken("changed what is another tenant's", call, "");
  const std::string said = status.error_message() + status.error_details() +
                           (reply == nullptr ? std::string() : reply->DebugString());
  if (said.find(others) != std::string::npos && call.request->DebugString().find(others) == std::string::npos)
    broken("says something of another tenant", call, said);
}

void ApiWorld::restart() {
  const model::State before = process_->state();
  const publish::Totals totals = process_->totals();
  process_ = nullptr;
  process_ = std::make_unique<Process>(disk_);
  if (process_->state() == before && process_->totals().edge == totals.edge) return;
  std::fprintf(stderr, "a restart knows something else: generation %lu, before it %lu\n",
               process_->state().generation, before.generation);
  std::abort();
}

}  // namespace portcullis::fuzz
