"""Frames by scapy, and a check of checksums that shares nothing with it or with the gateway."""

import itertools
import struct

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from lab import CLIENT, Lab
from tenant import Endpoint

_serial = itertools.count()


def marker() -> bytes:
    """A payload that no other frame has."""
    return b"portcullis-%08d" % next(_serial)


def inward(lab: Lab, endpoint: Endpoint) -> Packet:
    """A datagram from the client to the endpoint, before its payload."""
    return (Ether(src=lab.client.mac, dst=lab.mac("uplink")) / IP(src=CLIENT, dst=endpoint.address) /
            UDP(sport=4000, dport=9000))


def outward(lab: Lab, endpoint: Endpoint) -> Packet:
    """A datagram from the endpoint's vm to the client, before its payload."""
    return (Ether(src=endpoint.host.mac, dst=lab.mac(endpoint.host.port)) /
            IP(src=endpoint.host.address, dst=CLIENT) / UDP(sport=4000, dport=9000))


def assert_checksums(frame: bytes) -> None:
    """IPv4 header and TCP, UDP or ICMP checksum, summed up anew (RFC 1071); a UDP checksum of zero is none."""
    packet = frame[14:]
    length, = struct.unpack_from("!H", packet, 2)
    header, payload = packet[:(packet[0] & 15) * 4], packet[(packet[0] & 15) * 4:length]
    assert _sum(header) == 0xFFFF, "IPv4 header checksum"
    protocol = packet[9]
    if protocol == 17 and payload[6:8] == b"\0\0":
        return
    pseudo = b"" if protocol == 1 else header[12:20] + struct.pack("!HH", protocol, len(payload))
    assert _sum(pseudo + payload) == 0xFFFF, f"checksum of protocol {protocol}"


def _sum(data: bytes) -> int:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
