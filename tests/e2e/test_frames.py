"""Frames as an attacker would make them. Each is dropped for exactly one reason and seen by no host; beside each
kind stands one that is as it should be, and passes with exactly the changes that the gateway owes it."""

import contextlib

import pytest
from scapy.layers.inet import (ICMP, IP, TCP, UDP, IPOption, IPOption_LSRR, IPOption_NOP, IPOption_Router_Alert,
                               IPOption_SSRR)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from frames import assert_checksums, inward, marker, outward
from lab import CLIENT, VMS
from tenant import Tenant

ELSEWHERE = "192.0.2.99"     # an outside address that is no host here
UNBOUND = "203.0.113.120"    # in the pool, but nobody's


@pytest.fixture(scope="module", name="web")
def _web(lab):
    """An endpoint that permits UDP port 9000, TCP port 9000 and echo both ways, with somebody at home on both
    sides: a closed port would answer, and stir the counters."""
    web = Tenant(lab).endpoint("web")
    web.permit("in udp 9000 from any", "in tcp 9000 from any", "in icmp from any",
               "out udp to any port 9000", "out tcp to any port 9000", "out icmp to any")
    with contextlib.ExitStack() as stack:
        for host in (lab.client, web.host):
            stack.enter_context(host.udp(9000))
            stack.enter_context(host.listener(9000))
        yield web


def changed(layer, **fields):
    def change(packet):
        packet = packet.copy()
        for name, value in fields.items():
            setattr(packet[layer], name, value)
        return packet
    return change


def cut(length):
    return lambda packet: bytes(packet)[:length]


def payload(protocol, content):
    """Another protocol's bytes in place of UDP and what it carries."""
    def change(packet):
        packet = packet.copy()
        packet[IP].remove_payload()
        packet[IP].proto = protocol
        return packet / content
    return change


def carrying(header):
    """Another protocol's header in place of UDP's, with the same payload."""
    def change(packet):
        packet = packet.copy()
        content = packet[Raw]
        packet[IP].remove_payload()
        return packet / header / content
    return change


def tcp(**fields):
    return carrying(TCP(**({"sport": 4000, "dport": 9000, "flags": "S"} | fields)))


def broken_checksum(packet):
    whole = Ether(bytes(packet))
    whole[IP].chksum ^= 0x0100
    return whole


def tagged(packet):
    packet = packet.copy()
    content = packet[IP]
    packet.remove_payload()
    packet.type = 0x8100
    return packet / Dot1Q(vlan=100) / content


# (what is wrong, the drop's name, the change to a good datagram); judged alike on every port.
MALFORMED = [
    ("EtherType IPv6 alone", "ip_version", changed(Ether, type=0x86DD)),
    ("VLAN tag", "unknown_ether_type", tagged),
    ("EtherType of a loop test", "unknown_ether_type", changed(Ether, type=0x9000)),
    ("another host's MAC", "wrong_destination_mac", changed(Ether, dst="02:00:00:99:99:99")),
    ("broadcast MAC", "wrong_destination_mac", changed(Ether, dst="ff:ff:ff:ff:ff:ff")),
    ("no IP header", "truncated", cut(14)),
    ("half an IP header", "truncated", cut(14 + 19)),
    ("version 6", "ip_version", changed(IP, version=6)),
    ("header of 16 bytes", "ip_header_length", changed(IP, ihl=4)),
    ("header beyond the packet", "ip_header_length", changed(IP, ihl=15)),
    ("total length below the header", "ip_total_length", changed(IP, len=19)),
    ("total length beyond the frame", "ip_total_length", changed(IP, len=200)),
    ("wrong header checksum", "ip_checksum", broken_checksum),
    ("loose source route", "ip_source_route",
     changed(IP, options=[IPOption_NOP(), IPOption_LSRR(routers=[ELSEWHERE])])),
    ("strict source route", "ip_source_route", changed(IP, options=[IPOption_SSRR(routers=[ELSEWHERE])])),
    ("option longer than the header", "ip_options", 
     changed(IP, options=[IPOption(option=7, length=9, value=b"\x04\0")])),
    ("option of length 1", "ip_options", changed(IP, options=[IPOption(optclass=2, option=4, length=1, value=b"\0\0")])),
    ("loopback source", "martian_source", changed(IP, src="127.0.0.1")),
    ("link-local source", "martian_source", changed(IP, src="169.254.1.1")),
    ("this-network source", "martian_source", changed(IP, src="0.0.0.0")),
    ("multicast source", "martian_source", changed(IP, src="224.0.0.1")),
    ("broadcast source", "martian_source", changed(IP, src="255.255.255.255")),
    ("loopback destination", "martian_destination", changed(IP, dst="127.0.0.1")),
    ("multicast destination", "martian_destination", changed(IP, dst="224.0.0.5")),
    ("broadcast destination", "martian_destination", changed(IP, dst="255.255.255.255")),
    ("ICMPv6", "unknown_protocol", payload(58, Raw(b"\0" * 16))),
    ("reserved protocol", "unknown_protocol", payload(255, Raw(b"\0" * 16))),
    ("SCTP header without a chunk", "sctp_header", payload(132, Raw(b"\0" * 12))),
    ("TCP header cut short", "tcp_header", payload(6, Raw(b"\0" * 19))),
    ("TCP data offset 4", "tcp_header", tcp(dataofs=4)),
    ("TCP data offset beyond the packet", "tcp_header", tcp(dataofs=15)),
    ("TCP without flags", "tcp_flags", tcp(flags=0)),
    ("TCP SYN and FIN", "tcp_flags", tcp(flags="SF")),
    ("TCP SYN and RST", "tcp_flags", tcp(flags="SR")),
    ("UDP header cut short", "udp_length", payload(17, Raw(b"\0" * 7))),
    ("UDP length 7", "udp_length", changed(UDP, len=7)),
    ("UDP length beyond the packet", "udp_length", changed(UDP, len=200)),
    ("ICMP header cut short", "icmp_header", payload(1, Raw(b"\x08\0\0\0\0\0\0"))),
    ("ICMP redirect", "icmp_type", payload(1, ICMP(type=5))),
    ("ICMP source quench", "icmp_type", payload(1, ICMP(type=4))),
    ("ICMP unreachable about nothing", "icmp_error_quote", payload(1, ICMP(type=3, code=3))),
    ("ICMP time exceeded about half a header", "icmp_error_quote", payload(1, ICMP(type=11) / Raw(b"E" + b"\0" * 10))),
    ("ICMP unreachable about another's packet", "icmp_error_quote",
     payload(1, ICMP(type=3, code=3) / IP(src="192.0.2.88", dst=CLIENT) / UDP(sport=9000, dport=9000))),
]

FROM_OUTSIDE = [
    ("source in the pool", "spoofed_pool_source", changed(IP, src=UNBOUND)),
    ("destination in the pool, nobody's", "unbound", changed(IP, dst=UNBOUND)),
    ("destination elsewhere", "not_ours", changed(IP, dst=ELSEWHERE)),
    ("destination a private address", "not_ours", changed(IP, dst="10.0.0.1")),
    ("port that no rule names", "destination_not_permitted", changed(UDP, dport=9001)),
    ("TCP SYN to a port that no rule names", "destination_not_permitted", tcp(dport=9001)),
    ("TCP SYN-ACK that nobody asked for", "destination_not_permitted", tcp(sport=9000, dport=4000, flags="SA")),
    ("UDP answer that nobody asked for", "destination_not_permitted", changed(UDP, sport=9000, dport=4000)),
]

FROM_A_VM = [
    ("another private address", "spoofed_source", changed(IP, src="10.0.0.99")),
    ("private address of a vm at another port", "spoofed_source", changed(IP, src=VMS["db"][1])),
    ("public address as source", "spoofed_source", changed(IP, src=UNBOUND)),
    ("the client's address as source", "spoofed_source", changed(IP, src=CLIENT)),
    ("another MAC", "spoofed_mac", changed(Ether, src="02:00:00:00:02:01")),
    ("destination in the pool, nobody's", "unbound", changed(IP, dst=UNBOUND)),
    ("port that no rule names", "source_not_permitted", changed(UDP, dport=9001)),
    ("TCP SYN to a port that no rule names", "source_not_permitted", tcp(dport=9001)),
]

WELL_FORMED = [
    ("UDP", lambda packet: packet),
    ("UDP without checksum", changed(UDP, chksum=0)),
    ("TTL 2", changed(IP, ttl=2)),
    ("type of service, don't fragment", changed(IP, tos=0xB8, flags="DF", id=7)),
    ("trailing padding", lambda packet: bytes(packet) + b"\0" * 12),
    ("TCP SYN", tcp(options=[("MSS", 1460), ("WScale", 7)])),
    ("TCP ACK", tcp(flags="A", seq=5, ack=9)),
    ("ICMP echo", carrying(ICMP(type=8, id=77, seq=3))),
    ("router alert", changed(IP, options=[IPOption_Router_Alert()])),
    ("options of TCP's packet", lambda packet: changed(IP, options=[IPOption_NOP()] * 4)(tcp(flags="A")(packet))),
]


def cases(rows):
    return pytest.mark.parametrize(("reason", "change"), [row[1:] for row in rows], ids=[row[0] for row in rows])


def assert_dropped_unseen(lab, host, frame, reason):
    with lab.watch() as watch:
        with lab.gateway.drops(expected=1, of=reason) as drops:
            watch[host.name].send(bytes(frame))
        assert drops.moved == {reason: 1}
        watch.assert_silent()


@cases(MALFORMED + FROM_OUTSIDE)
def test_dropped_from_outside(lab, web, reason, change):
    assert_dropped_unseen(lab, lab.client, change(inward(lab, web) / marker()), reason)


@cases(MALFORMED + FROM_A_VM)
def test_dropped_from_a_vm(lab, web, reason, change):
    assert_dropped_unseen(lab, web.host, change(outward(lab, web) / marker()), reason)


@pytest.mark.parametrize("change", [changed(IP, flags="MF"), changed(IP, frag=8)], ids=["first", "later"])
def test_a_lone_fragment_reaches_nobody(lab, web, change):
    """The kernel collects fragments for an af_packet port (PACKET_FANOUT_FLAG_DEFRAG), so the gateway does not even
    see one that stays alone; its own drop of fragments is tested on ring ports."""
    with lab.watch() as watch:
        with lab.gateway.drops() as drops:
            watch["client"].send(bytes(change(inward(lab, web) / marker())))
        assert drops.moved == {}
        watch.assert_silent()


def passed(lab, sender, receiver, frame, content):
    """The frame as the receiver got it; no counter of a drop has moved."""
    with lab.watch() as watch, lab.gateway.drops() as drops:
        watch[sender.name].send(bytes(frame))
        arrived = watch[receiver.name].wait_for(content)
    assert drops.moved == {}
    return arrived


def assert_only_changed(before: bytes, after: bytes, macs, **addresses):
    """Byte by byte: the MACs, the TTL, the address and the checksums differ, and nothing else."""
    before, after = Ether(before), Ether(after)
    length = before[IP].len
    expected = Ether(bytes(before)[:14 + length])
    expected.src, expected.dst = macs
    expected[IP].ttl -= 1
    for name, value in addresses.items():
        setattr(expected[IP], name, value)
    had_checksum = not (UDP in before and before[UDP].chksum == 0)
    del expected[IP].chksum
    for layer in (TCP, UDP):
        if layer in expected and had_checksum:
            del expected[layer].chksum
    assert bytes(after) == bytes(expected)


@pytest.mark.parametrize("change", [row[1] for row in WELL_FORMED], ids=[row[0] for row in WELL_FORMED])
@pytest.mark.parametrize("direction", ["inward", "outward"])
def test_passes_with_exactly_the_changes_it_needs(lab, web, direction, change):
    content = marker()
    if direction == "inward":
        frame = bytes(change(inward(lab, web) / content))
        arrived = passed(lab, lab.client, web.host, frame, content)
        assert_only_changed(frame, arrived, (lab.mac(web.host.port), web.host.mac), dst=web.host.address)
    else:
        frame = bytes(change(outward(lab, web) / content))
        arrived = passed(lab, web.host, lab.client, frame, content)
        assert_only_changed(frame, arrived, (lab.mac("uplink"), lab.client.mac), src=web.address)
    assert_checksums(arrived)


def test_a_udp_checksum_that_becomes_zero_is_sent_as_all_ones(lab, web):
    """RFC 768: zero on the wire means that there is no checksum."""
    content = marker() + b"!"
    translated = IP(src=CLIENT, dst=web.host.address) / UDP(sport=4000, dport=9000) / (content + b"\0\0")
    content += IP(bytes(translated))[UDP].chksum.to_bytes(2, "big")
    arrived = passed(lab, lab.client, web.host, bytes(inward(lab, web) / content), content)
    assert Ether(arrived)[UDP].chksum == 0xFFFF
    assert_checksums(arrived)
