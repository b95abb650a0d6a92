"""Datagrams in fragments, by real hosts, over af_xdp: for an af_packet port the kernel would put them together before
the gateway sees them."""

import contextlib
import itertools
import time

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from frames import inward, marker, outward
from lab import CLIENT, LINK_LOCAL_NEXT_HOP
from programs import iperf, iperf_server, udp_echo

LAB = {"driver": "net_af_xdp"}
LONG = 9000  # bytes of a datagram

_identifications = itertools.count(1)


def echoed(host, address: str, port: int, size: int = LONG) -> bool:
    """Whether a long datagram comes back as it was."""
    content = bytes(n % 251 for n in range(size))
    with host.udp() as sender:
        sender.settimeout(1)
        sender.sendto(content, (address, port))
        try:
            return sender.recvfrom(65535)[0] == content
        except TimeoutError:
            return False


def test_long_datagrams_from_outside(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in udp 9000 from any")
    with udp_echo(web.host, 9000), udp_echo(web.host, 9001):
        with lab.gateway.drops() as drops:
            assert all(echoed(lab.client, web.address, 9000) for _ in range(20))
        assert drops.moved == {}
        with lab.gateway.drops() as drops:
            assert not echoed(lab.client, web.address, 9001)
        # Seven fragments: the first by the list, the others by it too, or because the first has not passed.
        assert set(drops.moved) <= {"destination_not_permitted", "fragment_first_unseen"}
        assert sum(drops.moved.values()) == 7
    assert web.flow_entries() == 0


def test_long_datagrams_from_inside(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(f"out udp to {CLIENT} port 9000")
    with udp_echo(lab.client, 9000), udp_echo(lab.client, 9001):
        with lab.gateway.drops() as drops:
            assert all(echoed(web.host, CLIENT, 9000) for _ in range(20))
        assert drops.moved == {}
        assert web.flow_entries() == 20
        with lab.gateway.drops() as drops:
            assert not echoed(web.host, CLIENT, 9001)
        assert set(drops.moved) <= {"source_not_permitted", "fragment_first_unseen"}


def test_long_datagrams_between_endpoints(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit(f"out udp to {app.address}")
    app.permit(f"in udp 9000 from {web.address}")
    with udp_echo(app.host, 9000), udp_echo(app.host, 9001):
        assert echoed(web.host, app.address, 9000)
        with lab.gateway.drops() as drops:
            assert not echoed(web.host, app.address, 9001)
        assert set(drops.moved) <= {"destination_not_permitted", "fragment_first_unseen"}


def test_long_pings_both_ways(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in icmp from any type 8")
    assert long_ping(lab.client, web.address)
    assert not long_ping(web.host, CLIENT)
    web.permit("out icmp to any type 8")
    assert long_ping(web.host, CLIENT)
    assert not long_ping(lab.client, web.address)


def long_ping(host, address: str) -> bool:
    return host.run("ping", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "1", "-s", "4000", address).returncode == 0


def test_iperf3_of_long_datagrams(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any", "in udp 5201 from any")
    with iperf_server(web.host), lab.gateway.drops() as drops:
        report = iperf(lab.client, web.address, "--udp", "--bitrate", "20M", "--length", "8000")
    assert report["end"]["sum"]["packets"] > 300
    assert report["end"]["sum"]["lost_percent"] < 5
    assert set(drops.moved) <= {"transmit_full"}


@pytest.fixture(name="dns")
def _dns(tenant):
    """Permits port 9000 both ways, with somebody at home."""
    web = tenant.endpoint("web")
    web.permit("in udp 9000 from any", "out udp to any port 9000")
    with web.host.udp(9000):
        yield web


def parts(packet, content: bytes, size: int = 200):
    """A datagram in fragments of 104 bytes. It is like none before: an address that has rested and is given again has
    the identifications of its last owner behind it for `flows.fragment`."""
    packet[IP].id = next(_identifications)
    whole = packet / Raw(content.ljust(size, b"."))
    return [bytes(part) for part in fragment(Ether(bytes(whole)), fragsize=104)]


def assert_dropped(lab, host, frames, reasons):
    with lab.watch() as watch, lab.gateway.drops(expected=sum(reasons.values())) as drops:
        for frame in frames:
            watch[host.name].send(frame)
    assert drops.moved == reasons


def test_a_later_fragment_alone_reaches_nobody(lab, dns):
    for host, packet in ((lab.client, inward(lab, dns)), (dns.host, outward(lab, dns))):
        with lab.watch() as watch:
            with lab.gateway.drops(expected=1) as drops:
                watch[host.name].send(parts(packet, marker())[1])
            watch.assert_silent()
        assert drops.moved == {"fragment_first_unseen": 1}


def wait_until_under_way(lab, count: int) -> None:
    """Those of the tests before count until their time is over."""
    deadline = time.monotonic() + 25
    while (now := lab.gateway.workers()["fragmentedDatagrams"]) != count:
        assert time.monotonic() < deadline, now
        time.sleep(0.02)


def test_datagrams_under_way_are_counted(lab, dns):
    wait_until_under_way(lab, 0)
    datagrams = [parts(inward(lab, dns), marker()) for _ in range(5)]
    with lab.watch() as watch:
        for first, *_ in datagrams:
            watch["client"].send(first)
        wait_until_under_way(lab, 5)
        for _, *later in datagrams:
            for frame in later:
                watch["client"].send(frame)
        wait_until_under_way(lab, 0)
    assert lab.gateway.workers()["fragmentCapacity"] == 4096


def test_a_fragment_that_overlaps_ends_its_datagram(lab, dns):
    first, second, third = parts(inward(lab, dns), marker(), 300)[:3]
    assert_dropped(lab, lab.client, [first, second, second, third], {"fragment_overlap": 2})


def test_a_fragment_that_would_rewrite_ports_reaches_nobody(lab, dns):
    """RFC 3128: the first fragment is what the list permits, a later one would lie over its header."""
    first = parts(inward(lab, dns), marker())[0]
    over = Ether(first)
    del over[IP].chksum, over[IP].len
    over[IP].payload = Raw(b"\0" * 16)
    tcp = over.copy()
    tcp[IP].proto, tcp[IP].frag, tcp[IP].flags = 6, 1, 0
    assert_dropped(lab, lab.client, [bytes(tcp)], {"fragment_offset": 1})
    short = over.copy()
    short[IP].proto, short[IP].frag, short[IP].flags = 6, 0, "MF"
    assert_dropped(lab, lab.client, [bytes(short)], {"fragment_short": 1})


def test_the_fragments_of_a_refused_datagram_reach_nobody(lab, dns):
    packet = inward(lab, dns)
    packet[UDP].dport = 9001
    with lab.watch() as watch:
        with lab.gateway.drops(expected=3) as drops:
            for frame in parts(packet, marker(), 290):
                watch["client"].send(frame)
        watch.assert_silent()
    assert set(drops.moved) <= {"destination_not_permitted", "fragment_first_unseen"}
    assert sum(drops.moved.values()) == 3


def test_fragments_arrive_as_they_were_cut(lab, dns):
    content = marker()
    frames = parts(inward(lab, dns), content)
    with lab.watch() as watch, lab.gateway.drops() as drops:
        for frame in frames:
            watch["client"].send(frame)
        first = Ether(watch["web"].wait_for(content))
    assert drops.moved == {}
    assert first[IP].dst == dns.host.address and first[IP].flags == "MF" and first[IP].frag == 0
    assert bytes(first[UDP].payload) == bytes(Ether(frames[0])[UDP].payload)


def test_time_exceeded_is_said_of_the_first_fragment_only(lab, dns):
    packet = outward(lab, dns)
    packet[IP].ttl = 1
    frames = parts(packet, marker())
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(lab.watch())
        with lab.gateway.drops(expected=len(frames)) as drops:
            for frame in frames:
                watch["web"].send(frame)
            told = Ether(watch["web"].wait_for(frames[0][14:14 + 28]))
    assert sum(drops.moved.values()) == len(frames)
    assert drops.moved["ttl_exceeded"] >= 1
    assert told[IP].src == LINK_LOCAL_NEXT_HOP and told[ICMP].type == 11
