"""Protocols beside TCP, UDP and ICMP, spoken by user-space peers on the hosts (the kernels here have neither SCTP nor
GRE): those of which only the addresses are known, and SCTP, whose ports and chunks are looked at."""

import contextlib
import struct

import pytest

from frames import marker
from lab import CLIENT
from programs import ping

GRE, ESP, AH, SCTP = 47, 50, 51, 132
DATA, INIT, INIT_ACK, ABORT, COOKIE_ECHO = 0, 1, 2, 6, 10


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp(source: int, destination: int, chunk: int, content: bytes) -> bytes:
    """RFC 9260: common header and one chunk."""
    ports, rest = struct.pack("!HHI", source, destination, 7), struct.pack("!BBH", chunk, 0, 4 + len(content)) + content
    return ports + struct.pack("<I", crc32c(ports + bytes(4) + rest)) + rest


def assert_crc(packet: bytes) -> None:
    assert struct.unpack_from("<I", packet, 8)[0] == crc32c(packet[:8] + bytes(4) + packet[12:])


class Pair:
    """A peer of one protocol on the client and one on the endpoint's vm."""

    def __init__(self, lab, endpoint, protocol: int, stack: contextlib.ExitStack) -> None:
        self._lab = lab
        self._endpoint = endpoint
        self._client, self._vm = (stack.enter_context(host.protocol(protocol)) for host in (lab.client, endpoint.host))

    def inward(self, content: bytes) -> tuple[str, bytes]:
        """Who the vm takes for the sender, and what it received."""
        return self._over(self._client, self._endpoint.address, self._vm, content)

    def outward(self, content: bytes) -> tuple[str, bytes]:
        return self._over(self._vm, CLIENT, self._client, content)

    def _over(self, sender, address, receiver, content):
        with self._lab.gateway.drops() as drops:
            sender.sendto(content, (address, 0))
            packet, source = receiver.recvfrom(65535)
        assert drops.moved == {}
        return source[0], packet[(packet[0] & 15) * 4:]

    def refused_inward(self, content: bytes, reason: str) -> None:
        self._refused(self._client, self._endpoint.address, content, reason)

    def refused_outward(self, content: bytes, reason: str) -> None:
        self._refused(self._vm, CLIENT, content, reason)

    def _refused(self, sender, address, content, reason):
        with self._lab.watch() as watch:
            with self._lab.gateway.drops(expected=1) as drops:
                sender.sendto(content, (address, 0))
            assert drops.moved == {reason: 1}
            watch.assert_silent()


@pytest.fixture(name="pair")
def _pair(lab, tenant):
    with contextlib.ExitStack() as stack:
        yield lambda endpoint, protocol: Pair(lab, endpoint, protocol, stack)


@pytest.mark.parametrize("protocol", [GRE, ESP, AH, 4, 112], ids=["gre", "esp", "ah", "ipip", "vrrp"])
def test_by_address_each_direction_needs_its_rule(lab, tenant, pair, protocol):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    peers = pair(web, protocol)
    there, back = marker(), marker()
    peers.refused_inward(there, "destination_not_permitted")
    web.permit(f"in {protocol} from {CLIENT}")
    assert peers.inward(there) == (CLIENT, there)
    # Without ports a reply cannot be told from something new, so there are no stateless ones.
    peers.refused_outward(back, "source_not_permitted")
    assert web.flow_entries() == 0, "an outsider has made the gateway keep state"
    web.permit(f"out {protocol} to {CLIENT}")
    peers.refused_inward(there, "destination_not_permitted")
    assert peers.outward(back) == (web.address, back)
    assert web.flow_entries() == 1
    assert peers.inward(there) == (CLIENT, there), "what answers an entry comes in"
    # An entry is of one protocol.
    assert not ping(lab.client, web.address)


def test_a_rule_for_any_protocol_is_for_these_too(tenant, pair):
    web = tenant.endpoint("web")
    web.permit("in any from any")
    peers = pair(web, GRE)
    content = marker()
    assert peers.inward(content) == (CLIENT, content)


def test_sctp_by_port_and_chunk(tenant, pair):
    web = tenant.endpoint("web")
    web.permit("in sctp 2905 from any")
    peers = pair(web, SCTP)
    init = sctp(4000, 2905, INIT, marker())
    source, arrived = peers.inward(init)
    assert (source, arrived) == (CLIENT, init), "the checksum does not cover addresses, and stays"
    assert_crc(arrived)
    peers.refused_inward(sctp(4000, 2906, INIT, marker()), "destination_not_permitted")
    # Stateless replies: all but what would begin an association.
    for chunk in (INIT_ACK, DATA, ABORT):
        reply = sctp(2905, 4000, chunk, marker())
        assert peers.outward(reply) == (web.address, reply)
    peers.refused_outward(sctp(2905, 4000, INIT, marker()), "source_not_permitted")
    assert web.flow_entries() == 0, "an outsider has made the gateway keep state"


def test_sctp_outward_and_its_replies(tenant, pair):
    web = tenant.endpoint("web")
    web.permit("out sctp to any port 2905")
    peers = pair(web, SCTP)
    answer = sctp(2905, 4000, INIT_ACK, marker())
    peers.refused_inward(answer, "destination_not_permitted")
    assert peers.outward(sctp(4000, 2905, INIT, marker()))[0] == web.address
    assert web.flow_entries() == 1
    assert peers.inward(answer) == (CLIENT, answer)
    assert peers.outward(sctp(4000, 2905, COOKIE_ECHO, marker()))[0] == web.address
    # A new association from outside is no reply, though its ports are those of the entry.
    peers.refused_inward(sctp(2905, 4000, INIT, marker()), "destination_not_permitted")
    web.permit("in tcp 80 from any")
    peers.refused_inward(answer, "destination_not_permitted")


def test_what_only_answers_opens_nothing(tenant, pair):
    web = tenant.endpoint("web")
    web.permit("out sctp to any")
    peers = pair(web, SCTP)
    abort = sctp(4000, 2905, ABORT, marker())
    assert peers.outward(abort) == (web.address, abort)
    assert web.flow_entries() == 0
    peers.refused_inward(sctp(2905, 4000, DATA, marker()), "destination_not_permitted")


@pytest.mark.parametrize("protocol", [GRE, SCTP], ids=["gre", "sctp"])
def test_from_one_endpoint_to_another_both_lists_are_asked(lab, tenant, protocol):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    content = sctp(4000, 2905, INIT, marker()) if protocol == SCTP else marker()
    with web.host.protocol(protocol) as sender, app.host.protocol(protocol) as receiver:

        def refused(reason):
            with lab.gateway.drops(expected=1) as drops:
                sender.sendto(content, (app.address, 0))
            assert drops.moved == {reason: 1}

        app.permit(f"in {protocol} from {web.address}")
        refused("source_not_permitted")
        web.permit(f"out {protocol} to {app.address}")
        sender.sendto(content, (app.address, 0))
        packet, source = receiver.recvfrom(65535)
        assert (source[0], packet[20:]) == (web.address, content)
        app.permit(f"in {protocol} from {CLIENT}")
        refused("destination_not_permitted")
