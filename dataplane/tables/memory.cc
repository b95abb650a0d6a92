#include "dataplane/tables/memory.h"

#include <rte_malloc.h>

namespace portcullis::detail {

void* table_allocate(std::string_view what, size_t bytes, size_t alignment, int numa_node) {
  const std::string name(what);
  return rte_zmalloc_socket(name.c_str(), bytes, static_cast<unsigned>(alignment < 64 ? 64 : alignment),
                            numa_node);
}

void table_free(void* memory) {
  rte_free(memory);
}

}  // namespace portcullis::detail
