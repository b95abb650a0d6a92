"""Long IPv6 datagrams, by real hosts, over af_xdp: for an af_packet port the kernel would put them together before the
gateway sees them."""

import socket

import pytest

import netns
from lab import CLIENT6
from tenant import Endpoint

LAB = {"driver": "net_af_xdp", "ipv6": True}
LONG = 9000  # bytes of a datagram


@pytest.fixture(name="web")
def _web(lab, tenant):
    del tenant  # which takes away what is made here
    host = lab.vms["web"]
    lab.gateway.portctl("vm", "create", "web", "--port", host.port, "--mac", host.mac, "--dip6", host.address6)
    return Endpoint(host, lab.gateway.portctl("eip", "request", "web")["eip"]["address"], lab.gateway)


def socket_on(host) -> socket.socket:
    with netns.entered(host.namespace):
        made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.settimeout(1)
    return made


def arrives(sender, receiver, address: str, port: int) -> bool:
    """Whether a long datagram comes as it was sent."""
    content = bytes(n % 251 for n in range(LONG))
    with socket_on(receiver) as server, socket_on(sender) as client:
        server.bind(("::", port))
        client.sendto(content, (address, port))
        try:
            return server.recv(65535) == content
        except TimeoutError:
            return False


def test_from_outside(lab, web):
    web.permit("in udp 9000 from any")
    assert all(arrives(lab.client, web.host, web.address, 9000) for _ in range(10))
    assert web.flow_entries() == 0
    with lab.gateway.drops() as drops:
        assert not arrives(lab.client, web.host, web.address, 9001)
    assert drops.moved["destination_not_permitted"] >= 1
    assert drops.reasons() <= {"destination_not_permitted", "fragment_first_unseen"}


def test_from_inside(lab, web):
    web.permit(f"out udp to {CLIENT6} port 9000")
    assert all(arrives(web.host, lab.client, CLIENT6, 9000) for _ in range(10))
    with lab.gateway.drops() as drops:
        assert not arrives(web.host, lab.client, CLIENT6, 9001)
    assert drops.moved["source_not_permitted"] >= 1


def test_long_pings(lab, web):
    web.permit("in icmpv6 from any")
    ping = ("ping", "-n", "-q", "-c", "5", "-i", "0.05", "-W", "1", "-s", "5000")
    assert lab.client.run(*ping, web.address).returncode == 0
    web.permit("in udp 9000 from any")
    assert lab.client.run(*ping, web.address).returncode != 0
