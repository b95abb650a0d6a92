"""A flood from random sources at permitted ports, answered by the vm, under a list that also permits everything
outward: the gateway keeps no state for any of it."""

import random
import struct
import threading

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from frames import assert_checksums
from programs import curl, udp_echo, web_server

pytestmark = pytest.mark.alone  # floods as fast as one CPU sends

PACKETS = 200_000
SEED = 1


def test_a_flood_from_random_sources_leaves_no_flow_entry(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any", "in udp 9000 from any", "out any to any")
    frame = Ether(src=lab.client.mac, dst=lab.mac("uplink")) / IP(src="0.0.0.0", dst=web.address)
    templates = [Template(frame / TCP(sport=0, dport=80, flags="S")),
                 Template(frame / UDP(sport=0, dport=9000) / Raw(b"flood"))]
    chance = random.Random(SEED)
    answers = int(web.statistics()["outPackets"])
    peak = Peak(lab.gateway)
    with web_server(web.host), udp_echo(web.host, 9000), lab.client.raw() as port, peak:
        assert_checksums(templates[0].frame(0x01020304, 5))
        assert_checksums(templates[1].frame(0xFEDCBA98, 6))
        for number in range(PACKETS):
            source = outside_address(chance)
            port.send(templates[number & 1].frame(source, 1024 + (number * 7919) % 60000))
        assert int(web.statistics()["inPackets"]) > PACKETS / 20, "the flood did not arrive"
        assert int(web.statistics()["outPackets"]) > answers + PACKETS / 100, "the vm did not answer"
        assert curl(lab.client, web.address) is not None, "the port is not usable after the flood"
    assert peak.highest == 0
    assert lab.gateway.flow_entries() == 0


def outside_address(chance: random.Random) -> int:
    """A unicast address that no pool and no special range holds."""
    while True:
        address = chance.randrange(1 << 24, 224 << 24)
        if address >> 24 not in (10, 127, 203) and address >> 16 != 169 << 8 | 254:
            return address


class Template:
    """A frame whose source address and port are filled in with its checksums kept right (RFC 1624): making each
    anew with scapy would be no flood."""

    def __init__(self, packet) -> None:
        self._bytes = bytearray(bytes(packet))
        self._checksum = 14 + 20 + (16 if self._bytes[23] == 6 else 6)

    def frame(self, source: int, port: int) -> bytes:
        frame = bytearray(self._bytes)
        struct.pack_into("!I", frame, 26, source)
        struct.pack_into("!H", frame, 34, port)
        added = (source >> 16) + (source & 0xFFFF)
        adjust(frame, 24, added)
        adjust(frame, self._checksum, added + port)
        return bytes(frame)


def adjust(frame: bytearray, offset: int, added: int) -> None:
    """The checksum at the offset after zeros have become words of that sum."""
    total = (~struct.unpack_from("!H", frame, offset)[0] & 0xFFFF) + added
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", frame, offset, ~total & 0xFFFF)


class Peak:
    """The highest number of flow entries while the block runs."""

    def __init__(self, gateway) -> None:
        self.highest = 0
        self._gateway = gateway
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(0.1):
            self.highest = max(self.highest, self._gateway.flow_entries())
