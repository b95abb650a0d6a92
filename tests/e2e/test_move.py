"""A vm moves to another port under traffic: after the reply nothing is lost, and nothing goes to where it was.

The host `app` has the private address of `web` at another port; it is where the vm `web` arrives.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from scapy.layers.inet import UDP

from frames import inward, marker, outward
from gateway import Refused
from lab import CLIENT

# Rings in which the datagrams of two seconds have room.
LAB = {"frames": 4096}
PORT = 9000
GAP = 0.0005  # seconds between two datagrams, of all streams together


class Stream:
    """Datagrams with ascending numbers, from `first` on, sent until the block ends. `source`: one of the sender's
    addresses; `of`: so many streams there are."""

    def __init__(self, source: str = "", of: int = 1, first: int = 0) -> None:
        self.source = source
        self._gap = GAP * of
        self.sent = first
        self._stop = threading.Event()

    @contextlib.contextmanager
    def running(self, host, address: str) -> Iterator["Stream"]:
        with host.udp(address=self.source) as sender:
            def send() -> None:
                while not self._stop.is_set():
                    sender.sendto(struct.pack("!Q", self.sent), (address, PORT))
                    self.sent += 1
                    time.sleep(self._gap)

            thread = threading.Thread(target=send, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._stop.set()
                thread.join(timeout=5)

    def wait_for(self, more: int) -> None:
        goal = self.sent + more
        deadline = time.monotonic() + 10
        while self.sent < goal:
            assert time.monotonic() < deadline, "the stream stands still"
            time.sleep(0.01)


def numbers(frames: list[bytes], source: str = "") -> list[int]:
    """Those of the stream's datagrams among the frames; of any source, or of one."""
    address = socket.inet_aton(source) if source else b""
    return [struct.unpack_from("!Q", frame, 42)[0] for frame in frames
            if frame[12:14] == b"\x08\x00" and frame[23] == 17 and struct.unpack_from("!H", frame, 36)[0] == PORT
            and frame[26:30].startswith(address)]


def assert_follows(watch, stream: Stream, first: int, last: int, source, target) -> None:
    """The datagrams from number `first` to before `last` arrive at the target, all and in order, and none of them at
    the source. What a machine that stands still for a moment holds up is waited for."""
    def at(host) -> list[int]:
        return [n for n in numbers(watch[host.name].received(), stream.source) if first <= n < last]

    deadline = time.monotonic() + 5
    while len(at(target)) < last - first and time.monotonic() < deadline:
        time.sleep(0.05)
    assert at(target) == list(range(first, last))
    assert at(source) == []


def move(lab, to) -> None:
    lab.gateway.portctl("vm", "move", "web", "--port", to.port, "--mac", to.mac, *to.link)


def test_a_stream_follows_the_vm(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(f"in udp {PORT} from {CLIENT}")
    old, new = lab.vms["web"], lab.vms["app"]
    with old.udp(PORT), new.udp(PORT), lab.watch() as watch, Stream().running(lab.client, web.address) as stream:
        for source, target in ((old, new), (new, old)):
            stream.wait_for(300)
            move(lab, target)
            replied = stream.sent + 1  # one may have been on its way to be counted
            stream.wait_for(300)
            assert_follows(watch, stream, replied, stream.sent, source, target)


@contextlib.contextmanager
def at_home_at(address: str, *hosts) -> Iterator[None]:
    """Hosts behind links have the vm's private address while the block runs; those at ports have it already."""
    linked = [host for host in hosts if host.link]
    for host in linked:
        host.run("ip", "address", "add", f"{address}/32", "dev", "eth0", check=True)
    try:
        yield
    finally:
        for host in linked:
            host.run("ip", "address", "del", f"{address}/32", "dev", "eth0")


def assert_speaks_from_where_it_is(lab, web, old, new) -> None:
    """Both places send as the vm all the time: before a move the one passes, after its reply the other, whole and in
    order."""
    web.permit(f"out udp to {CLIENT}")
    address = web.host.address
    apart = 1 << 32
    with at_home_at(address, old, new), lab.client.udp(PORT), lab.watch() as watch, \
            Stream(address, of=2).running(old, CLIENT) as of_old, \
            Stream(address, of=2, first=apart).running(new, CLIENT) as of_new:
        for here, there in ((of_new, of_old), (of_old, of_new)):
            move(lab, new if here is of_new else old)
            replied = here.sent + 1, there.sent + 1
            here.wait_for(300)
            until = here.sent, there.sent
            expected = list(range(replied[0], until[0]))
            deadline = time.monotonic() + 5
            while True:
                came = numbers(watch[lab.client.name].received())
                passed = [n for n in came if replied[0] <= n < until[0]]
                if len(passed) >= len(expected) or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            assert passed == expected
            assert [n for n in came if replied[1] <= n < until[1]] == []


def test_it_speaks_from_where_it_is_under_load(lab, tenant):
    assert_speaks_from_where_it_is(lab, tenant.endpoint("web"), lab.vms["web"], lab.vms["app"])


def test_who_speaks_for_it_is_where_it_is(lab, tenant):
    """Its flow entry stays; the answer goes to the new place; the old place is nobody."""
    web = tenant.endpoint("web")
    web.permit(f"out udp to {CLIENT}")
    old, new = lab.vms["web"], lab.vms["app"]
    with lab.client.udp(PORT) as far, old.udp(5000) as before, new.udp(5000) as after:
        before.sendto(b"question", (CLIENT, PORT))
        _, peer = far.recvfrom(100)
        assert web.flow_entries() == 1
        move(lab, new)
        assert web.flow_entries() == 1
        far.sendto(b"answer", peer)
        assert after.recv(100) == b"answer"
        after.sendto(b"from the new place", (CLIENT, PORT))
        assert far.recv(100) == b"from the new place"
        with lab.gateway.drops(expected=1) as drops:
            before.sendto(b"from the old place", (CLIENT, PORT))
        assert drops.moved == {"spoofed_source": 1}
        before.settimeout(0.3)
        with pytest.raises(TimeoutError):
            before.recv(100)


def test_another_interface_at_the_same_port(lab, tenant):
    """Only the MAC changes: frames carry the new one, and must."""
    db = tenant.endpoint("db")
    db.permit(f"in udp {PORT} from {CLIENT}", f"out udp to {CLIENT}")
    other = "02:00:00:00:03:77"
    lab.gateway.portctl("vm", "move", "db", "--port", db.host.port, "--mac", other)
    text = marker()
    with lab.vms["db"].raw() as port, lab.client.raw() as client:
        client.send(bytes(inward(lab, db) / text))
        assert port.wait_for(text)[:6] == bytes.fromhex(other.replace(":", ""))
        frame = outward(lab, db) / marker()
        with lab.gateway.drops(expected=1) as drops:
            port.send(bytes(frame))
        assert drops.moved == {"spoofed_mac": 1}
        frame.src = other
        port.send(bytes(frame))
        client.wait_for(bytes(frame[UDP].payload))


def test_a_place_that_is_taken_is_refused_and_nothing_changes(lab, tenant):
    web = tenant.endpoint("web")
    tenant.create_vm("app")
    web.permit(f"in udp {PORT} from {CLIENT}")
    with pytest.raises(Refused, match="belongs to tenants/default/vms/app"):
        move(lab, lab.vms["app"])
    text = marker()
    with lab.vms["web"].raw() as port, lab.client.raw() as client:
        client.send(bytes(inward(lab, web) / text))
        port.wait_for(text)
