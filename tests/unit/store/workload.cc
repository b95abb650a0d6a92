#include "tests/unit/store/workload.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace portcullis::store {

namespace {

model::PermitRule rule(size_t number) {
  model::PermitRule r;
  char name[32];
  std::snprintf(name, sizeof name, "rule-%05zu", number);
  r.name = name;
  switch (number % 4) {
    case 0:
      r.direction = model::Direction::outbound;
      break;
    case 1:
      r.remote = std::vector<IpPrefix>{Ipv4Prefix(Ipv4Addr::of(10, 0, 0, 0), 8),
                                       Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 7), 32),
                                       *IpPrefix::parse("2001:db8:1::/48"), *IpPrefix::parse("::/0")};
      r.protocol = 6;
      r.local_ports = {443, 443};
      r.remote_ports = {1024, 65535};
      r.tracked = true;
      break;
    case 2:
      r.remote = std::vector<std::string>{"db", "web"};
      r.protocol = 1;
      r.icmp_type = 8;
      r.icmp_code = 0;
      break;
    default:
      r.protocol = 17;
      r.local_ports = {0, 0};
      break;
  }
  return r;
}

Ipv4Addr ipv4_address(model::Generation generation) {
  return Ipv4Addr::from_host(0xcb007100 + static_cast<uint32_t>(generation));
}
// Of both families in turn.
IpAddr address(model::Generation generation) {
  if (generation % 2 == 0) return ipv4_address(generation);
  return Ipv6Addr::of(0x20010db800000000, generation);
}

// Of each kind in turn.
Encapsulation encapsulation(model::Generation generation) {
  const auto number = static_cast<uint16_t>(1 + generation % 4000);
  switch (generation % 5) {
    case 0:
      return {};
    case 1:
      return portcullis::VlanTags{number, 0};
    case 2:
      return portcullis::VlanTags{number, 4094};
    case 3:
      return portcullis::Tunnel{TunnelProtocol::vxlan, Ipv4Addr::of(192, 0, 2, 7), number};
    default:
      return portcullis::Tunnel{TunnelProtocol::geneve, Ipv6Addr::of(0x20010db800020000, generation),
                                0xffffff};
  }
}

}  // namespace

ScratchDirectory::ScratchDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "portcullis-store-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

ScratchDirectory::~ScratchDirectory() {
  std::filesystem::remove_all(path_);
}

std::string marker(model::Generation generation) {
  return "marker-of-generation-" + std::to_string(generation) + ".";
}

model::ChangeSet change_set(model::Generation generation, size_t rules) {
  const std::string id = marker(generation);
  model::Vm vm{
      "acme", id, {"vms", Mac{{2, 0, 0, 0, 0, 1}}, encapsulation(generation)}, ipv4_address(generation)};
  if (generation % 3 != 0) vm.dip6 = Ipv6Addr::of(0xfd00000000000000, generation);
  if (generation % 3 == 1) vm.dip.reset();
  model::ChangeSet set{generation, {model::PutVm{vm}}};
  model::Eip eip;
  eip.address = address(generation);
  eip.tenant = "acme";
  eip.vm = id;
  std::vector<model::PermitRule> list;
  for (size_t i = 0; i < rules; ++i) list.push_back(rule(i));
  eip.permit = std::move(list);
  eip.tags = {"db", "web"};
  eip.created = eip.binding_generation = eip.list_generation = generation;
  eip.kept_from = generation - 1;
  eip.keep_established = generation % 2 == 0;
  if (generation % 2 == 0) eip.quota = {.rules = 8, .flows = static_cast<uint32_t>(generation)};
  set.changes.push_back(model::PutEip{eip});
  switch (generation % 3) {
    case 0:
      set.changes.push_back(model::PutTenantQuota{{id, static_cast<uint32_t>(generation), 0}});
      set.changes.push_back(model::DeleteTenantQuota{marker(generation - 3)});
      set.changes.push_back(model::DeleteEip{address(generation - 1), static_cast<int64_t>(generation)});
      break;
    case 1:
      set.changes.push_back(model::PutPool{
          {id, generation % 2 == 0 ? *IpPrefix::parse("203.0.113.0/24") : *IpPrefix::parse("2001:db8::/64"),
           generation % 2 == 0 ? model::PoolKind::provider : model::PoolKind::local}});
      break;
    default:
      set.changes.push_back(model::DeleteVm{{"acme", marker(generation - 1)}});
      set.changes.push_back(model::DeletePool{marker(generation - 1)});
      break;
  }
  return set;
}

std::vector<model::State> states(model::Generation last, size_t rules) {
  std::vector<model::State> all(1);
  for (model::Generation generation = 1; generation <= last; ++generation) {
    model::State next = all.back();
    model::apply(next, change_set(generation, rules));
    all.push_back(std::move(next));
  }
  return all;
}

std::unique_ptr<SqliteStore> open_loaded(const std::string& path, model::State& state,
                                         const std::string& vfs) {
  auto store = SqliteStore::open(path, vfs);
  if (!store) {
    ADD_FAILURE() << store.error().message;
    return nullptr;
  }
  auto loaded = (*store)->load();
  if (!loaded) {
    ADD_FAILURE() << loaded.error().message;
    return nullptr;
  }
  state = std::move(*loaded);
  return std::move(*store);
}

Expected<void> compact_all(Store& store, const model::State& state, size_t most) {
  for (Expected<bool> more = true; *more;) {
    more = store.compact(state, most);
    if (!more) return Unexpected(more.error());
  }
  return {};
}

Expected<void> append_to(Store& store, const model::State& before, const model::ChangeSet& changes) {
  std::vector<model::Change> back;
  for (const model::Change& change : changes.changes) back.push_back(model::inverse(before, change));
  store.preserve(back);
  return store.append(changes);
}

void append_all(Store& store, model::Generation first, model::Generation last) {
  for (model::Generation generation = first; generation <= last; ++generation) {
    const auto appended = store.append(change_set(generation));
    ASSERT_TRUE(appended) << appended.error().message;
  }
}

void tamper(const std::string& path, const std::string& sql) {
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &connection), SQLITE_OK);
  char* message = nullptr;
  EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK) << message;
  sqlite3_free(message);
  sqlite3_close(connection);
}

void make_store(const std::string& path, model::Generation last, model::Generation compacted) {
  model::State state;
  const auto store = open_loaded(path, state);
  ASSERT_NE(store, nullptr);
  append_all(*store, 1, compacted);
  if (compacted > 0) {
    ASSERT_TRUE(compact_all(*store, states(compacted).back()));
  }
  append_all(*store, compacted + 1, last);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace portcullis::store
