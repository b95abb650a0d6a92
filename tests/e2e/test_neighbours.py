"""ARP on both sides of the gateway, and the gateway's own addresses, which are default-off too."""

import time

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from lab import CLIENT, GATEWAY, LINK_LOCAL_NEXT_HOP
from programs import ping

BROADCAST = "ff:ff:ff:ff:ff:ff"


def who_has(host, target, source):
    return bytes(Ether(src=host.mac, dst=BROADCAST) / ARP(op="who-has", hwsrc=host.mac, psrc=source, pdst=target))


def answer(port, target):
    """The MAC that is given for the target; None if nobody answers within a moment."""
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        for frame in map(Ether, port.received()):
            if ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == target:
                assert frame.src == frame[ARP].hwsrc
                return frame[ARP].hwsrc
        time.sleep(0.01)
    return None


def test_vm_finds_its_next_hop(lab):
    for vm in lab.vms.values():
        with vm.raw() as port, lab.gateway.drops() as drops:
            port.send(who_has(vm, LINK_LOCAL_NEXT_HOP, vm.address))
            assert answer(port, LINK_LOCAL_NEXT_HOP) == lab.mac(vm.port)
        assert drops.moved == {}


@pytest.mark.parametrize("target", ["10.0.0.99", GATEWAY, "203.0.113.1", "169.254.1.2"])
def test_vm_finds_nothing_else(lab, target):
    web = lab.vms["web"]
    with web.raw() as port, lab.gateway.drops() as drops:
        port.send(who_has(web, target, web.address))
        assert answer(port, target) is None
    assert drops.moved == {"arp_ignored": 1}


@pytest.mark.parametrize("target", [GATEWAY, "203.0.113.1", "203.0.113.120"])
def test_outside_finds_the_gateway_and_the_addresses_it_stands_for(lab, target):
    with lab.client.raw() as port, lab.gateway.drops() as drops:
        port.send(who_has(lab.client, target, CLIENT))
        assert answer(port, target) == lab.mac("uplink")
    assert drops.moved == {}


@pytest.mark.parametrize("target", ["198.51.100.99", "192.0.2.1", "10.0.0.1", LINK_LOCAL_NEXT_HOP])
def test_outside_finds_nothing_else(lab, target):
    with lab.client.raw() as port, lab.gateway.drops() as drops:
        port.send(who_has(lab.client, target, CLIENT))
        assert answer(port, target) is None
    assert drops.moved == {"arp_ignored": 1}


MALFORMED = [
    ("not Ethernet", lambda arp: arp.__class__(bytes(arp).replace(b"\0\1\x08\0", b"\0\6\x08\0", 1))),
    ("not IPv4", lambda arp: arp.__class__(bytes(arp).replace(b"\0\1\x08\0", b"\0\1\x86\xdd", 1))),
    ("hardware length 8", lambda arp: bytes(arp)[:18] + b"\x08" + bytes(arp)[19:]),
    ("cut short", lambda arp: bytes(arp)[:14 + 27]),
]


@pytest.mark.parametrize("change", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_malformed_arp(lab, change):
    with lab.client.raw() as port, lab.gateway.drops(expected=1) as drops:
        port.send(bytes(change(Ether(who_has(lab.client, GATEWAY, CLIENT)))))
        assert answer(port, GATEWAY) is None
    assert drops.moved == {"arp_malformed": 1}


def test_an_arp_answer_from_another_than_the_next_hop_is_ignored(lab):
    """Nor does it change where packets to the outside go."""
    before = lab.port("uplink")["nextHopMac"]
    spoof = Ether(src="02:00:00:66:66:66", dst=lab.mac("uplink")) / ARP(
        op="is-at", hwsrc="02:00:00:66:66:66", psrc="198.51.100.99", hwdst=lab.mac("uplink"), pdst=GATEWAY)
    with lab.client.raw() as port, lab.gateway.drops(expected=1) as drops:
        port.send(bytes(spoof))
    assert drops.moved == {"arp_ignored": 1}
    assert lab.port("uplink")["nextHopMac"] == before == lab.client.mac


def test_the_gateway_is_default_off(lab, tenant):
    with lab.gateway.drops() as drops:
        assert not ping(lab.client, GATEWAY)
    assert drops.moved == {"gateway_not_permitted": 1}
    web = tenant.endpoint("web")
    web.permit("out icmp to any")
    with lab.gateway.drops() as drops:
        assert not ping(web.host, GATEWAY)
    assert drops.moved == {"gateway_not_permitted": 1}


def test_a_source_in_the_pool_does_not_reach_the_gateway(lab):
    frame = Ether(src=lab.client.mac, dst=lab.mac("uplink")) / IP(src="203.0.113.120", dst=GATEWAY) / ICMP()
    with lab.watch() as watch:
        with lab.gateway.drops(expected=1) as drops:
            watch["client"].send(bytes(frame))
        assert drops.moved == {"gateway_spoofed_source": 1}
        watch.assert_silent()
