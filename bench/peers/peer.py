"""What all peers have in common: a trial of so many seconds gives packets a second."""

import dataclasses
import pathlib
import time
from collections.abc import Callable

WARM_UP_SECONDS = 0.4


@dataclasses.dataclass
class Trial:
    mpps: float
    lost: float = 0.0  # share of what was received and did not come out
    share: float = 1.0  # of its CPU that the worker had
    detail: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Lab:
    """Where peers run."""

    core: int  # the device under test, alone
    control_core: int  # everything else of it
    scratch: pathlib.Path
    feed: pathlib.Path


class Peer:
    name: str
    work: str
    configuration: str  # the files in this folder that it is started with
    scale_only = False  # not comparable by rig, shown for a sense of scale
    watches_itself = False  # else what happens beside it during a whole trial disturbs it

    def open(self) -> None:
        """Starts what it needs and leaves it suspended. Failed or Unable, with the reason."""
        raise NotImplementedError

    def trial(self, seconds: float) -> Trial:
        raise NotImplementedError

    def close(self) -> None:
        """May be called at any time, and again."""


def count(read: Callable[[], tuple[int, int]], seconds: float,
          worker_seconds: Callable[[], float] | None = None) -> Trial:
    """`read` gives packets received and transmitted. The clock is read as the counters are."""
    time.sleep(WARM_UP_SECONDS)
    had = worker_seconds() if worker_seconds else 0.0
    received, transmitted = read()
    began = time.monotonic()
    time.sleep(seconds)
    received_then, transmitted_then = read()
    elapsed = time.monotonic() - began
    share = (worker_seconds() - had) / elapsed if worker_seconds else 1.0
    taken, left = received_then - received, transmitted_then - transmitted
    # Counters of two ports are not read in the same moment: a difference below a hundredth says nothing.
    lost = max(0.0, 1 - left / taken) if taken else 1.0
    return Trial(mpps=left / elapsed / 1e6, lost=lost if lost > 0.01 else 0.0, share=min(share, 1.0))
