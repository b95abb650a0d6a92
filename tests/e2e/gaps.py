"""How long workers have looked at no port, beside what their host has kept them from it."""

import contextlib
import dataclasses
import pathlib

from api import Api, new
from gateway import Gateway

# Of a worker that nobody keeps from its core, a gap of this length is a stall: its turns take microseconds, and it
# sleeps for a millisecond at most. Generous, for the page faults and timers of a machine that does other things, too.
STALL = 0.5


@dataclasses.dataclass(frozen=True)
class Gaps:
    """In seconds."""

    longest: float  # of any worker, since it began
    waited: float   # all that any worker waited for its core, at the most, and what the hypervisor took from the machine

    def own(self) -> float:
        """Of the longest, what the host has not an excuse for."""
        return max(0.0, self.longest - self.waited)

    def __str__(self) -> str:
        return f"longest gap {self.longest * 1e3:.2f} ms (waited for the host in all: {self.waited * 1e3:.2f} ms)"


def stolen() -> float:
    """What the hypervisor has taken, of all processors together: `steal` of /proc/stat, in ticks of 10 ms."""
    return int(pathlib.Path("/proc/stat").read_text(encoding="ascii").split()[8]) / 100


def gaps(gateway: Gateway, api: Api, stolen_at_start: float) -> Gaps:
    """Of a gateway that runs. The host's part is read last: a gap whose end is known has its wait in there."""
    workers = api.observe.ListWorkers(new("ListWorkersRequest"), timeout=20).workers
    assert workers
    for worker in workers:
        assert 0 < worker.recent_longest_gap_nanoseconds <= worker.longest_gap_nanoseconds, worker
    waits = []
    for task in pathlib.Path(f"/proc/{gateway.process.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # threads of gRPC come and go
            if (task / "comm").read_text(encoding="ascii").startswith("rte-worker-"):
                waits.append(int((task / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9)
    assert len(waits) == len(workers)
    return Gaps(max(worker.longest_gap_nanoseconds for worker in workers) / 1e9,
                max(waits) + stolen() - stolen_at_start)
