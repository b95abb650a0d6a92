"""Limits hold on the wire: an EIP's flow quota and idle time, a port's MTU, a next hop that does not answer, a list
of thousands of rules."""

import time

from scapy.layers.inet import IP

from frames import inward, marker, outward
from lab import CLIENT, Lab
from tenant import Tenant

QUOTA = 8
UDP_IDLE = 2
AGEING = 10  # seconds in which the whole flow table is visited once
MTU = 1280

LAB = {"flows_per_eip": QUOTA, "udp_idle": UDP_IDLE, "mtus": {"ep-app": MTU}}


def test_flow_quota_until_entries_age(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("out udp to any")
    with lab.client.udp(9000):
        with lab.gateway.drops(expected=2) as drops:
            send_from_ports(web.host, range(5000, 5000 + QUOTA + 2))
        assert drops.moved == {"flow_quota": 2}
        assert web.flow_entries() == QUOTA
        deadline = time.monotonic() + UDP_IDLE + AGEING + 1
        while web.flow_entries() > 0:
            assert time.monotonic() < deadline, "entries beyond their idle time are not aged"
            time.sleep(0.1)
        with lab.gateway.drops() as drops:
            send_from_ports(web.host, range(6000, 6000 + QUOTA))
        assert drops.moved == {}


def send_from_ports(host, ports):
    for port in ports:
        with host.udp(port) as sender:
            sender.sendto(b"open", (CLIENT, 9000))


def test_a_reply_after_the_idle_time_is_too_late(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("out udp to any")
    with lab.client.udp(9000) as far, web.host.udp(5000) as near:
        near.sendto(b"question", (CLIENT, 9000))
        _, peer = far.recvfrom(100)
        far.sendto(b"answer", peer)
        assert near.recv(100) == b"answer"
        time.sleep(UDP_IDLE + 0.5)
        with lab.gateway.drops(expected=1) as drops:
            far.sendto(b"too late", peer)
        assert drops.moved == {"destination_not_permitted": 1}


def test_a_list_of_thousands_of_rules(lab, tenant):
    """What one of 3,000 compiled rules permits passes and is counted for it; its neighbours do not pass."""
    web = tenant.endpoint("web")
    strangers = [f"100.{64 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(0, 5400, 2)]
    rules = [f"many{k}=in udp {7000 + k} from {','.join(strangers[k::9])}" for k in range(9)]
    ports = [f"port{k}=in udp {8000 + 2 * k} from any" for k in range(299)]
    web.permit(*rules, *ports, f"one=in udp 7004 from {CLIENT}")
    with lab.client.udp(5000) as far, web.host.udp(7004) as near, web.host.udp(8596) as last:
        far.sendto(b"permitted", (web.address, 7004))
        assert near.recv(100) == b"permitted"
        far.sendto(b"permitted", (web.address, 8596))
        assert last.recv(100) == b"permitted"
        hits = web.rule_hits()
        assert (hits["one"], hits["port298"], sum(hits.values())) == (1, 1, 2)
        with lab.gateway.drops(expected=3) as drops:
            for port in (7003, 7005, 8595):
                far.sendto(b"not permitted", (web.address, port))
        assert drops.moved == {"destination_not_permitted": 3}
        web.permit(*rules, *ports)
        with lab.gateway.drops(expected=1) as drops:
            far.sendto(b"withdrawn", (web.address, 7004))
        assert drops.moved == {"destination_not_permitted": 1}


def test_mtu_of_the_port_that_a_packet_would_leave_by(lab, tenant):
    app = tenant.endpoint("app")
    app.permit("in udp 9000 from any")
    with app.host.udp(9000), lab.watch() as watch:
        fits = inward(lab, app) / marker().ljust(MTU - 28, b".")
        with lab.gateway.drops() as drops:
            watch["client"].send(bytes(fits))
            watch["app"].wait_for(b"." * 100)
        assert drops.moved == {}
    with lab.watch() as watch:
        with lab.gateway.drops(expected=1) as drops:
            watch["client"].send(bytes(inward(lab, app) / marker().ljust(MTU - 28 + 1, b".")))
        assert drops.moved == {"packet_too_big": 1}
        watch.assert_silent()


def test_a_next_hop_that_does_not_answer():
    with Lab() as lab:
        lab.client.run("ip", "link", "set", "eth0", "arp", "off", check=True)
        lab.gateway.start()
        web = Tenant(lab).endpoint("web")
        web.permit("out udp to any")
        with lab.watch() as watch:
            with lab.gateway.drops(expected=1) as drops:
                watch["web"].send(bytes(outward(lab, web) / marker()))
            assert drops.moved == {"next_hop_unresolved": 1}
            watch.assert_silent()
        assert lab.gateway.flow_entries() == 0, "a packet that was refused has left an entry"
        lab.client.run("ip", "link", "set", "eth0", "arp", "on", check=True)
        lab.wait_for_next_hop()
        content = marker()
        with lab.watch() as watch:
            watch["web"].send(bytes(outward(lab, web) / content))
            watch["client"].wait_for(content)


def test_ttl_falls_by_one_at_each_passage(lab, tenant):
    """Endpoint to endpoint is one passage."""
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit(f"out udp to {app.address}")
    app.permit(f"in udp 9000 from {web.address}")
    content = marker()
    frame = outward(lab, web) / content
    frame[IP].dst = app.address
    with app.host.udp(9000), lab.watch() as watch:
        watch["web"].send(bytes(frame))
        arrived = watch["app"].wait_for(content)
    assert arrived[14 + 8] == 63
    assert IP(arrived[14:]).src == web.address
