"""ICMP errors both ways: ports that are closed, traceroute and path-MTU discovery from inside and outside, with real
programs on real hosts; and errors that nobody is to send. Behind the client, which routes, is one more host, `far`, on
a link of 1450 bytes; the port of `app` takes 1400."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from frames import assert_checksums, marker
from lab import CLIENT, GATEWAY, LINK_LOCAL_NEXT_HOP
from programs import curl, iperf, iperf_server, path_mtu, refused, traceroute, web_server

LAB = {"mtus": {"ep-app": 1400}}
FAR = "192.0.2.130"
ROUTER = "192.0.2.129"  # the client, on far's link
BURST = 32              # errors that an EIP may have at once


@pytest.fixture(scope="module", name="far")
def _far(lab):
    return lab.host_behind_client("far", FAR, ROUTER, 1450)


def test_a_closed_port_is_told_of(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in udp 7000 from any")
    with lab.gateway.drops() as drops:
        assert refused(lab.client, web.address, 7000)
    assert drops.moved == {}
    with lab.gateway.drops() as drops:
        assert not refused(lab.client, web.address, 7001)
    assert drops.moved == {"destination_not_permitted": 1}
    assert web.flow_entries() == 0


def test_a_closed_port_outside_is_told_of(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(f"out udp to {CLIENT} port 7000")
    with lab.gateway.drops() as drops:
        assert refused(web.host, CLIENT, 7000)
    assert drops.moved == {}
    with lab.gateway.drops() as drops:
        assert not refused(web.host, CLIENT, 7001)
    assert drops.moved == {"source_not_permitted": 1}


def test_a_closed_port_of_another_endpoint_is_told_of(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit(f"out udp to {app.address}")
    app.permit(f"in udp 7000 from {web.address}")
    assert refused(web.host, app.address, 7000)
    with lab.gateway.drops() as drops:
        assert not refused(web.host, app.address, 7001)
    assert drops.moved == {"destination_not_permitted": 1}


PROBES = [("udp", (), "out udp to any", "in udp from any"),
          ("icmp", ("-I",), "out icmp to any type 8", "in icmp from any type 8"),
          ("tcp", ("-T", "-p", "80"), "out tcp to any port 80", "in tcp 80 from any")]
probes = pytest.mark.parametrize(("options", "outward", "inward"), [row[1:] for row in PROBES],
                                 ids=[row[0] for row in PROBES])


@probes
def test_traceroute_from_inside(lab, tenant, far, options, outward, inward):
    del far, inward
    web = tenant.endpoint("web")
    web.permit(outward)
    with lab.gateway.drops() as drops:
        assert traceroute(web.host, FAR, *options) == [LINK_LOCAL_NEXT_HOP, CLIENT, FAR]
    assert set(drops.moved) == {"ttl_exceeded"}
    web.permit()
    with lab.gateway.drops() as drops:
        assert set(traceroute(web.host, FAR, *options)) == {"*"}
    assert set(drops.moved) == {"source_not_permitted"}, "who may not send is told nothing"


@probes
def test_traceroute_from_outside(lab, tenant, far, options, outward, inward):
    del outward
    web = tenant.endpoint("web")
    web.permit(inward)
    with lab.gateway.drops() as drops:
        assert traceroute(far, web.address, *options) == [ROUTER, GATEWAY, web.address]
    assert set(drops.moved) == {"ttl_exceeded"}
    assert web.flow_entries() == 0
    web.permit("in tcp 9 from any")
    with lab.gateway.drops() as drops:
        assert traceroute(far, web.address, *options) == [ROUTER, "*", "*", "*", "*"]
    assert set(drops.moved) == {"destination_not_permitted"}


def test_path_mtu_from_inside(lab, tenant, far):
    """The router behind the gateway tells of its link, and the vm's TCP, which was told another size, goes on."""
    web = tenant.endpoint("web")
    web.permit("out udp to any", "out tcp to any port 5201")
    with iperf_server(far):
        report = iperf(web.host, FAR)
    assert report["end"]["sum_received"]["bytes"] > 1_000_000
    assert path_mtu(web.host, FAR) == 1450
    flush_routes(lab, web.host)


def test_path_mtu_from_outside(lab, tenant, far):
    """The gateway itself tells of the port that is too small."""
    app = tenant.endpoint("app")
    app.permit("in udp from any", "in tcp 5201 from any")
    with iperf_server(app.host), lab.gateway.drops() as drops:
        report = iperf(far, app.address)
    assert report["end"]["sum_received"]["bytes"] > 1_000_000
    assert drops.moved["packet_too_big"] > 0
    assert path_mtu(far, app.address) == 1400
    flush_routes(lab, far)


def test_path_mtu_between_endpoints(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit(f"out tcp to {app.address} port 80", f"out udp to {app.address}")
    app.permit(f"in tcp 80 from {web.address}", f"in udp from {web.address}")
    assert path_mtu(web.host, app.address) == 1400
    with web_server(app.host):
        assert curl(web.host, app.address) == f"hello {web.address}"
    flush_routes(lab, web.host)


def flush_routes(lab, host) -> None:
    """What a host has learned of paths is not for the next test."""
    host.run("ip", "route", "flush", "cache", check=True)
    lab.cut_connections()


def error(lab, sender, destination: str, quote, source: str = CLIENT):
    port = "uplink" if sender is lab.client else sender.port
    return bytes(Ether(src=sender.mac, dst=lab.mac(port)) / IP(src=source, dst=destination) /
                 ICMP(type=3, code=1) / quote)


def test_forged_errors_from_outside_reach_nobody(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any", "out tcp to any port 443")
    nobody_asked = [
        ("a flow that it might have opened", IP(src=web.address, dst=CLIENT) / TCP(sport=50000, dport=443)),
        ("a port that no rule names", IP(src=web.address, dst=CLIENT) / TCP(sport=81, dport=50000)),
        ("a datagram", IP(src=web.address, dst=CLIENT) / UDP(sport=80, dport=50000)),
        ("a ping", IP(src=web.address, dst=CLIENT) / ICMP(type=8, id=1)),
    ]
    for name, quote in nobody_asked:
        with lab.watch() as watch:
            with lab.gateway.drops(expected=1) as drops:
                watch["client"].send(error(lab, lab.client, web.address, quote / marker()))
            watch.assert_silent()
        assert drops.moved == {"destination_not_permitted": 1}, name


def test_forged_errors_from_a_vm_reach_nobody(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any", "out tcp to any port 443")
    never_came = [
        ("a port that no rule names", IP(src=CLIENT, dst=web.host.address) / TCP(sport=50000, dport=81)),
        ("another address", IP(src=CLIENT, dst="10.0.0.99") / TCP(sport=50000, dport=80)),
        ("its public address, which it does not know", IP(src=CLIENT, dst=web.address) / TCP(sport=50000, dport=80)),
    ]
    for name, quote in never_came:
        with lab.watch() as watch:
            with lab.gateway.drops(expected=1) as drops:
                watch["web"].send(error(lab, web.host, CLIENT, quote / marker(), source=web.host.address))
            watch.assert_silent()
        assert drops.moved == {"source_not_permitted": 1}, name


def test_an_error_passes_with_exactly_the_changes_it_needs(lab, tenant):
    """About what the list lets out as a reply: nobody keeps state of that. The quote becomes the vm's own packet."""
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    content = marker()
    quote = IP(src=web.address, dst=CLIENT, id=7, ttl=61) / TCP(sport=80, dport=50000, flags="A") / content
    with lab.watch() as watch, lab.gateway.drops() as drops:
        watch["client"].send(error(lab, lab.client, web.address, quote, source="198.51.100.77"))
        arrived = watch["web"].wait_for(content)
    assert drops.moved == {}
    assert_checksums(arrived)
    packet = Ether(arrived)
    assert (packet[IP].src, packet[IP].dst) == ("198.51.100.77", web.host.address)
    own = IP(src=web.host.address, dst=CLIENT, id=7, ttl=61) / TCP(sport=80, dport=50000, flags="A") / content
    assert bytes(packet[ICMP].payload) == bytes(own)
    assert web.flow_entries() == 0


def test_errors_are_rated(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    quote = IP(src=web.address, dst=CLIENT) / TCP(sport=80, dport=50000) / Raw(marker())
    sent = 4 * BURST
    with lab.watch() as watch, lab.gateway.drops(expected=sent // 2) as drops:
        frame = error(lab, lab.client, web.address, quote)
        for _ in range(sent):
            watch["client"].send(frame)
    assert set(drops.moved) == {"icmp_error_rate"}
    passed = sent - drops.moved["icmp_error_rate"]
    assert BURST <= passed < 2 * BURST
