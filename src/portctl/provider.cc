// What the provider registers: vms and pools.
#include <memory>

#include "portcullis/v1/provider_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/table.h"

namespace portcullis::portctl {
namespace {

using Provider = v1::ProviderService::Stub;

// Of the two families' addresses those that there are.
std::string both(const std::string& ipv4, const std::string& ipv6) {
  return ipv4 + (ipv4.empty() || ipv6.empty() ? "" : ",") + ipv6;
}

std::string vm_table(const v1::ListVmsResponse& reply) {
  Table table({{"TENANT"}, {"VM"}, {"PORT"}, {"MAC"}, {"DIP"}, {"EIP"}});
  for (const v1::Vm& vm : reply.vms())
    table.add({tenant_of(vm.name()), id_of(vm.name()), vm.location().port(), vm.location().mac(),
               both(vm.dip(), vm.dip6()), both(id_of(vm.eip()), id_of(vm.eip6()))});
  return table.to_string();
}

std::string pool_table(const v1::ListPoolsResponse& reply) {
  Table table({{"POOL"}, {"PREFIX"}, {"KIND"}, {"USED", Table::Align::right}, {"FREE", Table::Align::right}});
  for (const v1::Pool& pool : reply.pools()) {
    const bool local = pool.kind() == v1::Pool::LOCAL;
    table.add({id_of(pool.name()), pool.prefix(), local ? "local" : "provider",
               local ? std::to_string(pool.used()) : "", local ? std::to_string(pool.free()) : ""});
  }
  return table.to_string();
}

std::string at_generation(uint64_t generation) {
  return " (generation " + std::to_string(generation) + ")\n";
}

}  // namespace

void add_vm(CLI::App& app, const Options& options) {
  CLI::App& noun = add_noun(app, "vm", "Things with a network interface, and where they are");

  struct Create {
    std::string id, port, mac, dip, dip6;
  };
  auto args = std::make_shared<Create>();
  CLI::App* create =
      noun.add_subcommand("create", "Register a vm; a repeat with the same properties is a success");
  create->add_option("ID", args->id, "Name within the tenant: a-z, 0-9 and -")->required();
  create->add_option("--port", args->port, "Configured endpoint port its frames come from")->required();
  create->add_option("--mac", args->mac, "Its MAC, 02:00:00:00:00:01")->required();
  CLI::Option_group* dips = create->add_option_group("Private addresses", "One of each family, or either");
  dips->add_option("--dip", args->dip, "Its private IPv4 address, 10.0.0.2");
  dips->add_option("--dip6", args->dip6, "Its private IPv6 address, fd00::2");
  dips->require_option(1, 2);
  create->footer(
      "\nExamples:\n"
      "  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2\n"
      "  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --dip6 fd00::2\n"
      "  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip6 2001:db8:5::7\n"
      "An address of a local pool becomes the vm's EIP when it requests one: nothing is translated.");
  create->callback([&options, args] {
    v1::CreateVmRequest request;
    request.mutable_vm()->set_name(vm_name(options, args->id));
    request.mutable_vm()->mutable_location()->set_port(args->port);
    request.mutable_vm()->mutable_location()->set_mac(args->mac);
    request.mutable_vm()->set_dip(args->dip);
    request.mutable_vm()->set_dip6(args->dip6);
    const v1::CreateVmResponse reply = Client(options).call(&Provider::CreateVm, request);
    print(options, reply, [&] {
      return "vm " + id_of(reply.vm().name()) + " is registered" + at_generation(reply.generation());
    });
  });

  CLI::App* move = noun.add_subcommand("move", "Give a vm another place; EIPs, lists, tags and flows stay");
  move->add_option("ID", args->id, "The vm")->required();
  move->add_option("--port", args->port, "Configured endpoint port its frames come from now")->required();
  move->add_option("--mac", args->mac, "Its MAC there, 02:00:00:00:00:01")->required();
  move->footer("\nExample:\n  portctl vm move web --port vm1 --mac 02:00:00:00:00:01");
  move->callback([&options, args] {
    v1::MoveVmRequest request;
    request.set_name(vm_name(options, args->id));
    request.mutable_location()->set_port(args->port);
    request.mutable_location()->set_mac(args->mac);
    const v1::MoveVmResponse reply = Client(options).call(&Provider::MoveVm, request);
    print(options, reply, [&] {
      return "vm " + id_of(reply.vm().name()) + " is at " + reply.vm().location().port() +
             at_generation(reply.generation());
    });
  });

  auto id = std::make_shared<std::string>();
  CLI::App* remove = noun.add_subcommand("delete", "Forget a vm; it must have no EIP");
  remove->add_option("ID", *id, "The vm")->required();
  remove->callback([&options, id] {
    v1::DeleteVmRequest request;
    request.set_name(vm_name(options, *id));
    const v1::DeleteVmResponse reply = Client(options).call(&Provider::DeleteVm, request);
    print(options, reply,
          [&] { return "vm " + id_of(request.name()) + " is deleted" + at_generation(reply.generation()); });
  });

  CLI::App* get = noun.add_subcommand("get", "Show one vm");
  get->add_option("ID", *id, "The vm")->required();
  get->callback([&options, id] {
    v1::GetVmRequest request;
    request.set_name(vm_name(options, *id));
    const v1::Vm reply = Client(options).call(&Provider::GetVm, request);
    print(options, reply, [&] {
      v1::ListVmsResponse list;
      *list.add_vms() = reply;
      return vm_table(list);
    });
  });

  CLI::App* list = noun.add_subcommand("list", "Show the tenant's vms");
  list->footer("\nExample:\n  portctl vm list --tenant -        the vms of all tenants");
  list->callback([&options] {
    v1::ListVmsRequest request;
    request.set_parent("tenants/" + options.tenant);
    Client client(options);
    const v1::ListVmsResponse reply = list_all(client, &Provider::ListVms, request);
    print(options, reply, [&] { return vm_table(reply); });
  });
}

void add_pool(CLI::App& app, const Options& options) {
  CLI::App& noun = add_noun(app, "pool", "Ranges of public addresses");

  struct Create {
    std::string id, prefix;
    bool provider = false;
  };
  auto args = std::make_shared<Create>();
  CLI::App* create =
      noun.add_subcommand("create", "Add a range; a repeat with the same properties is a success");
  create->add_option("ID", args->id, "Name: a-z, 0-9 and -")->required();
  create->add_option("PREFIX", args->prefix, "203.0.113.0/24, or 2001:db8:5::/64")->required();
  create->add_flag("--provider", args->provider, "Another gateway of the provider delivers it");
  create->footer(
      "\nExamples:\n"
      "  portctl pool create public 203.0.113.0/24               this gateway delivers it\n"
      "  portctl pool create public6 2001:db8:5::/64\n"
      "  portctl pool create elsewhere 198.51.100.0/24 --provider");
  create->callback([&options, args] {
    v1::CreatePoolRequest request;
    request.mutable_pool()->set_name(pool_name(args->id));
    request.mutable_pool()->set_prefix(args->prefix);
    request.mutable_pool()->set_kind(args->provider ? v1::Pool::PROVIDER : v1::Pool::LOCAL);
    const v1::CreatePoolResponse reply = Client(options).call(&Provider::CreatePool, request);
    print(options, reply, [&] {
      return "pool " + id_of(reply.pool().name()) + " is registered" + at_generation(reply.generation());
    });
  });

  auto id = std::make_shared<std::string>();
  CLI::App* remove = noun.add_subcommand("delete", "Remove a range; no EIP may have an address of it");
  remove->add_option("ID", *id, "The pool")->required();
  remove->callback([&options, id] {
    v1::DeletePoolRequest request;
    request.set_name(pool_name(*id));
    const v1::DeletePoolResponse reply = Client(options).call(&Provider::DeletePool, request);
    print(options, reply, [&] {
      return "pool " + id_of(request.name()) + " is deleted" + at_generation(reply.generation());
    });
  });

  CLI::App* get = noun.add_subcommand("get", "Show one pool");
  get->add_option("ID", *id, "The pool")->required();
  get->callback([&options, id] {
    v1::GetPoolRequest request;
    request.set_name(pool_name(*id));
    const v1::Pool reply = Client(options).call(&Provider::GetPool, request);
    print(options, reply, [&] {
      v1::ListPoolsResponse list;
      *list.add_pools() = reply;
      return pool_table(list);
    });
  });

  CLI::App* list = noun.add_subcommand("list", "Show all pools");
  list->callback([&options] {
    Client client(options);
    const v1::ListPoolsResponse reply = list_all(client, &Provider::ListPools, v1::ListPoolsRequest());
    print(options, reply, [&] { return pool_table(reply); });
  });
}

}  // namespace portcullis::portctl
