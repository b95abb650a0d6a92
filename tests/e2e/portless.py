"""A gateway whose ports have no wire and whose tables are of the smallest size: for what is about the store. It
starts fast, and compacts its store again and again."""

from nest import Nest

POOL = "198.18.0.0/16"


def hardware(nest: Nest, memory_mb: int = 256) -> str:
    """A configuration's: two ports without a wire, and a worker."""
    return f"""\
eal {{ no_huge: true memory_mb: {memory_mb} file_prefix: "{nest.name}" main_core: 0 }}
ports {{ name: "uplink" device: "net_null0,no-rx=1" role: UPLINK next_hop {{ mac: "02:00:00:00:00:02" }} }}
ports {{ name: "vms" device: "net_null1,no-rx=1" role: ENDPOINT }}
workers {{ cores: 1 idle_polls: 1 idle_sleep_us: 1000 }}"""


def config(nest: Nest) -> str:
    return f"""\
{hardware(nest)}
gateway {{ addresses: "198.51.100.1/24" }}
pools {{ name: "public" prefix: "{POOL}" }}
capacity {{ eips: 256 index_pages: 2 rules_per_eip: 64 permit_chunks: 256 flows: 1024 packet_buffers: 4096 }}
flows {{ quarantine: 1 }}
api {{ socket: "{nest.directory}/api.sock" }}
store {{ path: "{nest.directory}/state.db" compact_after: 50 }}
"""
