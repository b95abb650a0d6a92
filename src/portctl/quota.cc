// Quotas: what a tenant, or one EIP, may have at most.
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "portcullis/v1/provider_service.grpc.pb.h"
#include "portcullis/v1/tenant_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/table.h"

namespace portcullis::portctl {
namespace {

using Provider = v1::ProviderService::Stub;
using Tenant = v1::TenantService::Stub;

// Empty, which is shown as "-", if there is no bound but the tables'.
std::string limit_of(const v1::Quota& quota) {
  return quota.limit() == std::numeric_limits<uint32_t>::max() ? "" : std::to_string(quota.limit());
}

std::string used_of(const v1::Quota& quota) {
  return quota.has_used() ? std::to_string(quota.used()) : "";
}

// "10 EIPs", "any number of rules"
std::string bound_of(const v1::Quota& quota, const std::string& what) {
  const std::string limit = limit_of(quota);
  return (limit.empty() ? "any number of" : limit) + " " + what;
}

std::string text_of(const v1::TenantQuota& quota, uint64_t generation) {
  return tenant_of(quota.name()) + ": " + bound_of(quota.eips(), "EIPs") + ", " +
         bound_of(quota.rules(), "rules") + ", " + bound_of(quota.flows(), "flow entries") +
         " at most (generation " + std::to_string(generation) + ")\n";
}

std::string text_of(const v1::EipQuota& quota, uint64_t generation) {
  return id_of(quota.name()) + ": " + bound_of(quota.rules(), "rules") + ", " +
         bound_of(quota.flows(), "flow entries") + " at most (generation " + std::to_string(generation) +
         ")\n";
}

class QuotaTable {
 public:
  QuotaTable& add(const std::string& what, const v1::Quota& quota) {
    table_.add({what, used_of(quota), limit_of(quota), quota.set() != 0 ? "set" : "default"});
    return *this;
  }
  [[nodiscard]] std::string to_string() const { return table_.to_string(); }

 private:
  Table table_{{{"QUOTA"}, {"USED", right}, {"OF", right}, {"FROM"}}};
};

std::string table_of(const v1::ListTenantQuotasResponse& reply) {
  Table table({{"TENANT"},
               {"EIPS", right},
               {"OF", right},
               {"RULES", right},
               {"OF", right},
               {"FLOWS", right},
               {"OF", right}});
  for (const v1::TenantQuota& quota : reply.quotas())
    table.add({tenant_of(quota.name()), used_of(quota.eips()), limit_of(quota.eips()), used_of(quota.rules()),
               limit_of(quota.rules()), used_of(quota.flows()), limit_of(quota.flows())});
  return table.to_string();
}

// Of the tenant, or of an EIP if one is named.
struct Subject {
  std::string eip;

  void add_options(CLI::App& command) {
    command.add_option("EIP", eip, "The EIP; none: the tenant itself is meant");
  }
};

struct Values {
  std::optional<uint32_t> eips, rules, flows;  // 0: the default

  static void refuse(bool is_wrong, const std::string& what) {
    if (is_wrong) throw Failure{usage, "portctl: " + what + "\n"};
  }
  void set_of_tenant(const Options& options) const {
    v1::SetTenantQuotaRequest request;
    request.set_tenant("tenants/" + options.tenant);
    if (eips) request.set_eips(*eips);
    if (rules) request.set_rules(*rules);
    if (flows) request.set_flows(*flows);
    const v1::SetTenantQuotaResponse reply = Client(options).call(&Provider::SetTenantQuota, request);
    print(options, reply, [&] { return text_of(reply.quota(), reply.generation()); });
  }
  void set_of_eip(const Options& options, const std::string& eip) const {
    refuse(eips.has_value(), "--eips is a quota of a tenant; name no EIP");
    v1::SetEipQuotaRequest request;
    request.set_eip(eip_name(options, eip));
    if (rules) request.set_rules(*rules);
    if (flows) request.set_flows(*flows);
    const v1::SetEipQuotaResponse reply = Client(options).call(&Provider::SetEipQuota, request);
    print(options, reply, [&] { return text_of(reply.quota(), reply.generation()); });
  }
  void set_of(const Options& options, const Subject& subject) const {
    subject.eip.empty() ? set_of_tenant(options) : set_of_eip(options, subject.eip);
  }
};

void add_set(CLI::App& noun, const Options& options) {
  struct Arguments {
    Subject subject;
    Values values;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = noun.add_subcommand(
      "set", "Say what a tenant, or one EIP, may have at most; what is not named stays as it is");
  args->subject.add_options(*command);
  CLI::Option_group* group = command->add_option_group("Quotas", "At least one");
  const CLI::Range number(1U, std::numeric_limits<uint32_t>::max());
  group->add_option("--eips", args->values.eips, "EIPs of the tenant")->check(number);
  group
      ->add_option("--rules", args->values.rules,
                   "Compiled rules, one for each prefix or tag: of all lists of the tenant together, or of "
                   "the EIP's")
      ->check(number);
  group
      ->add_option("--flows", args->values.flows,
                   "Live flow entries: of all EIPs of the tenant together, or of the EIP")
      ->check(number);
  group->require_option(1, 0);
  command->footer(
      "\nA quota below what there is takes nothing away; nothing is added until it is below.\n"
      "\nExamples:\n"
      "  portctl quota set --tenant acme --eips 10 --rules 500 --flows 100000\n"
      "  portctl quota set 203.0.113.1 --flows 20000");
  command->callback([&options, args] { args->values.set_of(options, args->subject); });
}

void add_get(CLI::App& noun, const Options& options) {
  auto subject = std::make_shared<Subject>();
  CLI::App* command = noun.add_subcommand("get", "Show what a tenant, or one EIP, may have, and has");
  subject->add_options(*command);
  command->footer(
      "\nExamples:\n"
      "  portctl quota get --tenant acme\n"
      "  portctl quota get 203.0.113.1 --json");
  command->callback([&options, subject] {
    if (subject->eip.empty()) {
      v1::GetTenantQuotaRequest request;
      request.set_tenant("tenants/" + options.tenant);
      const v1::TenantQuota reply = Client(options).call(&Tenant::GetTenantQuota, request);
      print(options, reply, [&] {
        return QuotaTable()
            .add("EIPs", reply.eips())
            .add("rules", reply.rules())
            .add("flow entries", reply.flows())
            .to_string();
      });
      return;
    }
    v1::GetEipQuotaRequest request;
    request.set_eip(eip_name(options, subject->eip));
    const v1::EipQuota reply = Client(options).call(&Tenant::GetEipQuota, request);
    print(options, reply, [&] {
      return QuotaTable().add("rules", reply.rules()).add("flow entries", reply.flows()).to_string();
    });
  });
}

void add_list(CLI::App& noun, const Options& options) {
  CLI::App* command = noun.add_subcommand("list", "Show the tenants that have a quota of their own");
  command->footer("\nExamples:\n  portctl quota list");
  command->callback([&options] {
    Client client(options);
    const v1::ListTenantQuotasResponse reply =
        list_all(client, &Provider::ListTenantQuotas, v1::ListTenantQuotasRequest());
    print(options, reply, [&] { return table_of(reply); });
  });
}

void add_clear(CLI::App& noun, const Options& options) {
  auto subject = std::make_shared<Subject>();
  CLI::App* command =
      noun.add_subcommand("clear", "Let the configuration's defaults hold again, for a tenant or one EIP");
  subject->add_options(*command);
  command->footer(
      "\nExamples:\n"
      "  portctl quota clear --tenant acme\n"
      "  portctl quota clear 203.0.113.1");
  command->callback([&options, subject] {
    Values values{.eips = {}, .rules = 0, .flows = 0};
    if (subject->eip.empty()) values.eips = 0;
    values.set_of(options, *subject);
  });
}

}  // namespace

void add_quota(CLI::App& app, const Options& options) {
  CLI::App& noun = add_noun(app, "quota", "What tenants and EIPs may have at most");
  add_set(noun, options);
  add_get(noun, options);
  add_list(noun, options);
  add_clear(noun, options);
}

}  // namespace portcullis::portctl
