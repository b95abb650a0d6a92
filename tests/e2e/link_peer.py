"""The end of a VLAN or of a Geneve tunnel in user space, for kernels without such devices: between a TAP, which is a
host's eth0, and what carries its frames.

    python3 link_peer.py NAMESPACE MAC vlan INTERFACE OUTER[.INNER]
    python3 link_peer.py NAMESPACE MAC geneve LOCAL REMOTE VNI

The TAP appears in NAMESPACE with MAC, and is up when "ready" is printed. Runs where the carrier is, until it is
killed or the TAP is gone.
"""

import argparse
import fcntl
import ipaddress
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

import netns

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
SOL_PACKET, PACKET_AUXDATA = 263, 8
AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata
VLAN_VALID = 1 << 4
CUSTOMER, SERVICE = 0x8100, 0x88A8
GENEVE_PORT = 6081
ETHERNET = 0x6558


class VlanLink:
    """Frames with tags on an interface. The kernel keeps the outer one of what comes in beside the frame."""

    def __init__(self, interface: str, identifiers: list[int]) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(netns.ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.bind((interface, 0))
        self._identifiers = identifiers
        types = [CUSTOMER] if len(identifiers) == 1 else [SERVICE, CUSTOMER]
        self._tags = b"".join(struct.pack("!HH", *tag) for tag in zip(types, identifiers, strict=True))

    def send(self, frame: bytes) -> None:
        self.socket.send(frame[:12] + self._tags + frame[12:])

    def receive(self) -> bytes | None:
        frame, ancillary, _, address = self.socket.recvmsg(65535, socket.CMSG_SPACE(AUXDATA.size))
        if address[2] == netns.PACKET_OUTGOING:
            return None
        found = [AUXDATA.unpack(data[:AUXDATA.size]) for level, kind, data in ancillary
                 if (level, kind) == (SOL_PACKET, PACKET_AUXDATA)]
        identifiers = [aux[5] & 0xFFF for aux in found if aux[0] & VLAN_VALID]
        while identifiers and struct.unpack_from("!H", frame, 12)[0] in (CUSTOMER, SERVICE):
            identifiers.append(struct.unpack_from("!H", frame, 14)[0] & 0xFFF)
            frame = frame[:12] + frame[16:]
        return frame if identifiers == self._identifiers else None


class GeneveLink:
    """RFC 8926, without options."""

    def __init__(self, local: str, remote: str, vni: int) -> None:
        family = socket.AF_INET6 if ipaddress.ip_address(local).version == 6 else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((local, GENEVE_PORT))
        self._remote = remote
        self._header = struct.pack("!BBHI", 0, 0, ETHERNET, vni << 8)

    def send(self, frame: bytes) -> None:
        self.socket.sendto(self._header + frame, (self._remote, GENEVE_PORT))

    def receive(self) -> bytes | None:
        packet, source = self.socket.recvfrom(65535)
        return packet[8:] if packet[:8] == self._header and source[0] == self._remote else None


def make_tap(namespace: str, mac: str) -> int:
    with netns.entered(namespace):
        tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
    for change in (["address", mac], ["up"]):
        subprocess.run(["ip", "-n", namespace, "link", "set", "eth0", *change], check=True)
    return tap


def relay(tap: int, link: VlanLink | GeneveLink) -> None:
    def from_host() -> None:
        link.send(os.read(tap, 65535))

    def to_host() -> None:
        frame = link.receive()
        if frame is not None:
            os.write(tap, frame)

    actions: dict[int, Callable[[], None]] = {tap: from_host, link.socket.fileno(): to_host}
    while True:
        for ready in select.select(list(actions), [], [])[0]:
            try:
                actions[ready]()
            except OSError as error:  # what a wire would lose: too long, nobody there
                print(f"lost: {error}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("namespace")
    parser.add_argument("mac")
    kinds = parser.add_subparsers(dest="kind", required=True)
    vlan = kinds.add_parser("vlan")
    vlan.add_argument("interface")
    vlan.add_argument("identifiers", type=lambda text: [int(word) for word in text.split(".")])
    geneve = kinds.add_parser("geneve")
    geneve.add_argument("local")
    geneve.add_argument("remote")
    geneve.add_argument("vni", type=int)
    chosen = parser.parse_args()
    link = (VlanLink(chosen.interface, chosen.identifiers) if chosen.kind == "vlan"
            else GeneveLink(chosen.local, chosen.remote, chosen.vni))
    tap = make_tap(chosen.namespace, chosen.mac)
    print("ready", flush=True)
    relay(tap, link)


if __name__ == "__main__":
    main()
