"""The wall clock is set forward and back, by a day, while the gateway runs and between two runs: traffic passes, what is
acknowledged stays, addresses rest as long as they should and ids of requests are remembered, and nobody stalls.

The clock of the daemon alone jumps (jumping_clock.c): this machine's is not ours to set. A boot of the machine is another
boot id, bound over the kernel's."""

import contextlib
import itertools
import mmap
import pathlib
import re
import struct
import subprocess
import threading
import time
import uuid

import pytest

from api import Api, new
from gaps import STALL, gaps, stolen
from gateway import Refused
from lab import CLIENT
from programs import curl, web_server
from test_restart import everything

REST = 6  # seconds
LAB = {"quarantine": REST}
DAY = 86400
TAG = "tag", "set"


class JumpingClock:
    """The wall clock of a daemon that start() starts; `boot()` gives the machine another boot id."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._library = directory / "jumping_clock.so"
        self._file = directory / "jumping_clock"
        self._boot_id = directory / "boot_id"
        source = pathlib.Path(__file__).with_name("jumping_clock.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", self._library, source, "-ldl"], check=True)
        self._file.write_bytes(bytes(8))
        with open(self._file, "r+b") as file:
            self._ahead = mmap.mmap(file.fileno(), 8)
        self.boot()

    def set(self, seconds: int) -> None:
        """So far it is ahead of the machine's from now on."""
        self._ahead[:] = struct.pack("q", seconds * 10**9)

    def boot(self) -> None:
        self._boot_id.write_text(f"{uuid.uuid4()}\n", encoding="ascii")

    def wrapper(self) -> tuple[str, ...]:
        return ("sh", "-c", f'mount --bind "{self._boot_id}" /proc/sys/kernel/random/boot_id && '
                f'exec env LD_PRELOAD="{self._library}" JUMPING_CLOCK="{self._file}" "$0" "$@"')


@pytest.fixture(name="clock")
def _clock(lab):
    """The gateway under it, a fresh boot, and without it again."""
    clock = JumpingClock(lab.gateway.directory)
    assert lab.gateway.stop() == 0
    lab.gateway.start(wrapper=clock.wrapper())
    lab.wait_for_next_hop()
    yield clock
    assert lab.gateway.stop() == 0
    lab.gateway.start()


@contextlib.contextmanager
def echoes(lab, address: str):
    """Pings all the time; none is lost, but for the one that may be under way at the end."""
    ping = lab.client.start("ping", "-n", "-q", "-i", "0.02", "-W", "2", address)
    yield
    ping.send_signal(2)
    said = ping.communicate(timeout=10)[0]
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", said).groups())
    assert sent > 0 and sent - received <= 1, said
    print(f"{received} of {sent} pings answered")


POOLS = itertools.count(1)


@pytest.fixture(name="pool")
def _pool(lab):
    """A pool of one address, which has not rested yet."""
    number = next(POOLS)
    lab.gateway.portctl("pool", "create", f"rest{number}", f"203.0.113.{128 + number}/32")
    return f"rest{number}"


def may_have(lab, pool: str) -> bool:
    try:
        lab.gateway.portctl("eip", "request", "web", "--pool", pool)
        return True
    except Refused as refused:
        assert "RESOURCE_EXHAUSTED" in refused.message, refused.message
        return False


def test_traffic_and_calls_go_on(lab, tenant, clock):
    stolen_at_start = stolen()
    web = tenant.endpoint("web")
    web.permit("in icmp from any", "in tcp 80 from any", "out tcp to any port 9000")
    with (Api(lab.gateway.socket) as api, web_server(web.host), lab.client.listener(9000) as listener, web.host.tcp() as near,
          echoes(lab, web.address)):
        near.connect((CLIENT, 9000))
        far, _ = listener.accept()
        far.settimeout(5)
        events = api.observe.WatchEvents(new("WatchEventsRequest", parent="tenants/-"))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: read_into(seen, events), daemon=True)
        reader.start()
        first = lab.gateway.portctl(*TAG, web.address, "first", "--request-id", "once")
        for number, ahead in enumerate((DAY, 0, -DAY, 2 * DAY, 0)):
            clock.set(ahead)
            for step in range(3):
                made = lab.gateway.portctl(*TAG, web.address, f"t{number}-{step}")
                assert lab.gateway.portctl(*TAG, web.address, "first", "--request-id", "once") == first, "a repeat is known"
            assert curl(lab.client, web.address) == f"hello {CLIENT}"
            near.sendall(b"still here")
            assert far.recv(100) == b"still here", "the entry of the connection has not expired"
            assert web.flow_entries() > 0
            time.sleep(1.2)  # a tick of the control thread, which forgets what is old
            assert lab.gateway.portctl(*TAG, web.address, "first", "--request-id", "once") == first
        far.close()
        deadline = time.monotonic() + 5
        while int(made["generation"]) not in seen and time.monotonic() < deadline:
            time.sleep(0.02)
        assert int(made["generation"]) in seen, "who watches is told on"
        events.cancel()
        reader.join(timeout=5)
        measured = gaps(lab.gateway, api, stolen_at_start)
        print(measured)
        assert measured.own() < STALL


def read_into(seen: list[int], events) -> None:
    with contextlib.suppress(Exception):  # it is cancelled
        for event in events:
            seen.append(event.generation)


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
@pytest.mark.parametrize("how", ["killed", "asked"])
def test_what_is_acknowledged_stays(lab, tenant, clock, jump, how):
    """The process ends after the jump, and the next one starts with the clock as it is by then."""
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("in icmp from any")
    first = lab.gateway.portctl(*TAG, web.address, "first", "--request-id", f"once-{jump}-{how}")
    clock.set(jump)
    second = lab.gateway.portctl(*TAG, app.address, "second", "--request-id", f"twice-{jump}-{how}")
    web.permit("in icmp from any", "in tcp 80 from any")
    before = everything(lab.gateway)
    if how == "killed":
        lab.gateway.kill()
    else:
        assert lab.gateway.stop() == 0
    lab.gateway.start(wrapper=clock.wrapper())
    lab.wait_for_next_hop()
    assert everything(lab.gateway) == before
    clock.set(0)
    for _ in range(2):
        assert lab.gateway.portctl(*TAG, web.address, "first", "--request-id", f"once-{jump}-{how}") == first
        assert lab.gateway.portctl(*TAG, app.address, "second", "--request-id", f"twice-{jump}-{how}") == second
        time.sleep(1.2)
    with web_server(web.host), echoes(lab, web.address):
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    assert everything(lab.gateway) == before


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_an_address_rests_neither_shorter_nor_longer(lab, tenant, clock, pool, jump, restarts):
    web = tenant.endpoint("web", "--pool", pool)
    web.release()
    released = time.monotonic()
    clock.set(jump)
    if restarts:
        restart(lab, clock)
    wait_for_the_rest(lab, pool, released)


def test_a_boot_with_a_clock_set_back_begins_the_rest_anew(lab, tenant, clock, pool):
    """How long the machine was off nobody knows: the address rests once more, and not for a day."""
    clock.set(DAY)
    clock.boot()
    restart(lab, clock)
    web = tenant.endpoint("web", "--pool", pool)
    web.release()
    lab.gateway.kill()
    clock.set(0)
    clock.boot()
    lab.gateway.start(wrapper=clock.wrapper())
    started = time.monotonic()
    assert not may_have(lab, pool)
    time.sleep(REST / 2)
    restart(lab, clock)  # which does not begin it anew once more
    wait_for_the_rest(lab, pool, started)


def restart(lab, clock) -> None:
    lab.gateway.kill()
    lab.gateway.start(wrapper=clock.wrapper())


def wait_for_the_rest(lab, pool: str, began: float) -> None:
    """The address is free when its rest ends, and not before."""
    while not (asked := may_have(lab, pool)) and time.monotonic() < began + REST + 3:
        time.sleep(0.1)
    rested = time.monotonic() - began
    assert asked, f"it still rests after {rested:.1f} s"
    assert rested > REST - 0.3, f"it has rested for {rested:.1f} s"
    print(f"rested for {rested:.2f} s")
