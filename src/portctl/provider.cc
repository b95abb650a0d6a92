// What the provider registers: vms and pools.
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

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

// "vlan 200.30", "vxlan 192.0.2.7,5000": as the options have it; empty if untagged.
std::string link_of(const v1::Location& location) {
  const auto text_of = [](const v1::Tunnel& tunnel) {
    return tunnel.remote() + "," + std::to_string(tunnel.vni());
  };
  if (location.has_vxlan()) return "vxlan " + text_of(location.vxlan());
  if (location.has_geneve()) return "geneve " + text_of(location.geneve());
  if (!location.has_vlan()) return "";
  const std::string outer = "vlan " + std::to_string(location.vlan().outer());
  return location.vlan().inner() == 0 ? outer : outer + "." + std::to_string(location.vlan().inner());
}

// Where a vm is, as options say it.
struct Place {
  std::string port, mac, vlan, vxlan, geneve;

  void add_options(CLI::App& command) {
    command.add_option("--port", port, "Configured endpoint port its frames come from")->required();
    command.add_option("--mac", mac, "Its MAC there, 02:00:00:00:00:01")->required();
    CLI::Option_group* link = command.add_option_group(
        "Link", "How its frames are told apart on the port: at most one; none: untagged");
    link->add_option("--vlan", vlan, "VLAN identifier, 100; two tags (QinQ): outer.inner, 200.30")
        ->check([](const std::string& text) {
          return vlan_of(text) ? "" : "expected 100, or 200.30 for two tags";
        });
    const auto is_tunnel = [](const std::string& text) {
      return tunnel_of(text) ? "" : "expected REMOTE,VNI such as 192.0.2.7,5000";
    };
    link->add_option("--vxlan", vxlan, "VXLAN tunnel: REMOTE,VNI, 192.0.2.7,5000")->check(is_tunnel);
    link->add_option("--geneve", geneve, "Geneve tunnel: REMOTE,VNI, 192.0.2.7,5000")->check(is_tunnel);
    link->require_option(0, 1);
  }

  void write(v1::Location& location) const {
    location.set_port(port);
    location.set_mac(mac);
    if (!vlan.empty()) *location.mutable_vlan() = *vlan_of(vlan);
    if (!vxlan.empty()) *location.mutable_vxlan() = *tunnel_of(vxlan);
    if (!geneve.empty()) *location.mutable_geneve() = *tunnel_of(geneve);
  }

 private:
  static std::optional<uint32_t> number_of(std::string_view text) {
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
  }
  static std::optional<v1::VlanTags> vlan_of(std::string_view text) {
    const size_t dot = text.find('.');
    const auto outer = number_of(text.substr(0, dot));
    const auto inner = dot == std::string_view::npos ? std::optional(0u) : number_of(text.substr(dot + 1));
    if (!outer || !inner) return std::nullopt;
    if (dot != std::string_view::npos && *inner == 0) return std::nullopt;  // 0 would say that there is none
    v1::VlanTags tags;
    tags.set_outer(*outer);
    tags.set_inner(*inner);
    return tags;
  }
  static std::optional<v1::Tunnel> tunnel_of(std::string_view text) {
    const size_t comma = text.find(',');
    const auto vni = comma == std::string_view::npos ? std::nullopt : number_of(text.substr(comma + 1));
    if (!vni || comma == 0) return std::nullopt;
    v1::Tunnel tunnel;
    tunnel.set_remote(std::string(text.substr(0, comma)));
    tunnel.set_vni(*vni);
    return tunnel;
  }
};

std::string vm_table(const v1::ListVmsResponse& reply) {
  Table table({{"TENANT"}, {"VM"}, {"PORT"}, {"LINK"}, {"MAC"}, {"DIP"}, {"EIP"}});
  for (const v1::Vm& vm : reply.vms())
    table.add({tenant_of(vm.name()), id_of(vm.name()), vm.location().port(), link_of(vm.location()),
               vm.location().mac(), both(vm.dip(), vm.dip6()), both(id_of(vm.eip()), id_of(vm.eip6()))});
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
    std::string id, dip, dip6;
    Place place;
  };
  auto args = std::make_shared<Create>();
  CLI::App* create =
      noun.add_subcommand("create", "Register a vm; a repeat with the same properties is a success");
  create->add_option("ID", args->id, "Name within the tenant: a-z, 0-9 and -")->required();
  args->place.add_options(*create);
  CLI::Option_group* dips = create->add_option_group("Private addresses", "One of each family, or either");
  dips->add_option("--dip", args->dip, "Its private IPv4 address, 10.0.0.2");
  dips->add_option("--dip6", args->dip6, "Its private IPv6 address, fd00::2");
  dips->require_option(1, 2);
  create->footer(
      "\nExamples:\n"
      "  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2\n"
      "  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --dip6 fd00::2\n"
      "  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip6 2001:db8:5::7\n"
      "  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --vlan 100\n"
      "  portctl vm create web --port hosts --mac 02:00:00:00:00:01 --dip 10.0.0.2 --vxlan 192.0.2.7,5000\n"
      "An address of a local pool becomes the vm's EIP when it requests one: nothing is translated.");
  create->callback([&options, args] {
    v1::CreateVmRequest request;
    request.mutable_vm()->set_name(vm_name(options, args->id));
    args->place.write(*request.mutable_vm()->mutable_location());
    request.mutable_vm()->set_dip(args->dip);
    request.mutable_vm()->set_dip6(args->dip6);
    const v1::CreateVmResponse reply = Client(options).call(&Provider::CreateVm, request);
    print(options, reply, [&] {
      return "vm " + id_of(reply.vm().name()) + " is registered" + at_generation(reply.generation());
    });
  });

  CLI::App* move = noun.add_subcommand("move", "Give a vm another place; EIPs, lists, tags and flows stay");
  move->add_option("ID", args->id, "The vm")->required();
  args->place.add_options(*move);
  move->footer(
      "\nExamples:\n"
      "  portctl vm move web --port vm1 --mac 02:00:00:00:00:01\n"
      "  portctl vm move web --port hosts --mac 02:00:00:00:00:01 --vxlan 192.0.2.7,5000");
  move->callback([&options, args] {
    v1::MoveVmRequest request;
    request.set_name(vm_name(options, args->id));
    args->place.write(*request.mutable_location());
    const v1::MoveVmResponse reply = Client(options).call(&Provider::MoveVm, request);
    print(options, reply, [&] {
      const std::string link = link_of(reply.vm().location());
      return "vm " + id_of(reply.vm().name()) + " is at " + reply.vm().location().port() +
             (link.empty() ? "" : " " + link) + at_generation(reply.generation());
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

  CLI::App* update = noun.add_subcommand("update", "Give a range another prefix; its EIPs must stay inside");
  update->add_option("ID", args->id, "The pool")->required();
  update->add_option("PREFIX", args->prefix, "203.0.112.0/23")->required();
  update->footer("\nExample:\n  portctl pool update public 203.0.112.0/23        a /24 grows to a /23");
  update->callback([&options, args] {
    v1::UpdatePoolRequest request;
    request.mutable_pool()->set_name(pool_name(args->id));
    request.mutable_pool()->set_prefix(args->prefix);
    request.mutable_update_mask()->add_paths("prefix");
    const v1::UpdatePoolResponse reply = Client(options).call(&Provider::UpdatePool, request);
    print(options, reply, [&] {
      return "pool " + id_of(reply.pool().name()) + " is " + reply.pool().prefix() +
             at_generation(reply.generation());
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
