#include "dataplane/tables/tables.h"

namespace portcullis {

Expected<std::unique_ptr<Tables>> Tables::create(const TableSizes& sizes, int numa_node) {
  auto tables = std::make_unique<Tables>();
  auto binding = BindingTable::create(sizes.eips + sizes.spare_records, sizes.index_pages, numa_node,
                                      sizes.ipv6_eips + sizes.spare_records);
  if (!binding) return tl::unexpected(binding.error());
  tables->binding = std::move(*binding);
  auto endpoint = EndpointTable::create(sizes.eips + sizes.spare, numa_node);
  if (!endpoint) return tl::unexpected(endpoint.error());
  tables->endpoint = std::move(*endpoint);
  auto endpoint6 = EndpointTable6::create(sizes.ipv6_eips + sizes.spare, numa_node);
  if (!endpoint6) return tl::unexpected(endpoint6.error());
  tables->endpoint6 = std::move(*endpoint6);
  auto permit = PermitTable::create(sizes.permit_chunks + sizes.spare_chunks, numa_node);
  if (!permit) return tl::unexpected(permit.error());
  tables->permit = std::move(*permit);
  auto tags = TagSetTable::create(sizes.tag_sets + sizes.spare, numa_node);
  if (!tags) return tl::unexpected(tags.error());
  tables->tags = std::move(*tags);
  auto tenants = TenantTable::create(tables->binding.capacity(), sizes.tenants + sizes.spare, numa_node);
  if (!tenants) return tl::unexpected(tenants.error());
  tables->tenants = std::move(*tenants);
  auto links = LinkTable::create(sizes.links + sizes.spare, numa_node);
  if (!links) return tl::unexpected(links.error());
  tables->links = std::move(*links);
  auto neighbors = NeighborTable::create(sizes.tunnel_remotes + sizes.spare, numa_node);
  if (!neighbors) return tl::unexpected(neighbors.error());
  tables->neighbors = std::move(*neighbors);
  return tables;
}

size_t Tables::bytes() const {
  return binding.bytes() + permit.capacity() * sizeof(PermitChunk) + tags.capacity() * sizeof(TagSet) +
         tenants.bytes() + links.bytes() + neighbors.bytes();
}

}  // namespace portcullis
