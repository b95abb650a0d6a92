"""Endpoints behind VLANs and tunnels, by real hosts: VXLAN by devices of Linux over IPv4 and IPv6, Geneve, VLAN and
QinQ by ends in user space (link_peer.py) behind which the kernel of a host speaks. Each thing for each link, the allow
and the deny. All these vms have the same private address at the same port."""

import socket
import struct
import time

import pytest

import netns
from gateway import Refused
from lab import CLIENT, HYPERVISOR, LINK_DIP, LINKED_VMS, TUNNEL_END
from programs import (assert_bulk, assert_default_off, assert_permitted_alone, assert_talk_as_both_permit, curl,
                      iperf_running, iperf_server, path_mtu, traceroute, web_server)
from test_move import PORT, Stream, assert_follows, at_home_at, move
from test_revocation import assert_flows, assert_silence

LAB = {"links": True, "frames": 4096}
ALL = sorted(LINKED_VMS)
# L3 bytes that fit: of 1500 less what the link adds.
MTUS = {"vxlan": 1450, "vxlan6": 1430, "geneve": 1450, "vlan": 1500, "qinq": 1492}
VXLAN_PORT = 4789


@pytest.mark.parametrize("name", ALL)
def test_default_off(lab, tenant, name):
    assert_default_off(lab, tenant.endpoint(name))


@pytest.mark.parametrize("name", ALL)
def test_permitted_inward_and_outward(lab, tenant, name):
    assert_permitted_alone(lab, tenant.endpoint(name))


@pytest.mark.parametrize("name", ALL)
def test_bulk(lab, tenant, name):
    """Lengths, checksums and the path MTU."""
    assert_bulk(lab, tenant.endpoint(name), least=100_000)


@pytest.mark.parametrize("name", ALL)
def test_revocation_stops_what_is_under_way(lab, tenant, name):
    """No frame of it passes after the reply, in either direction. What is in a link's end in user space by then may
    still reach the vm."""
    vm = tenant.endpoint(name)
    vm.permit("in tcp 5201 from any")
    with iperf_server(vm.host), iperf_running(lab.client, vm.address):
        assert_flows(vm)
        vm.permit()
        passed = packets(vm)
        with lab.gateway.drops(expected=1) as drops:
            time.sleep(1)
        assert packets(vm) == passed
        assert_silence(vm.host)
        assert_silence(lab.client)
        assert drops.reasons() & {"unbound", "destination_not_permitted"}
        assert drops.reasons() <= {"unbound", "destination_not_permitted", "source_not_permitted"}
        vm.permit("in tcp 5201 from any")
        assert_flows(vm)


def packets(vm) -> tuple[int, int]:
    """Into the vm and out of it."""
    statistics = vm.statistics()
    return int(statistics["inPackets"]), int(statistics["outPackets"])


@pytest.mark.parametrize("name", ALL)
def test_path_mtu_is_what_the_link_leaves(lab, tenant, name):
    vm = tenant.endpoint(name)
    vm.permit("in icmp from any", "in udp 33434-45000 from any", "out udp to any", "out icmp to any")
    vm.host.run("ip", "link", "set", "eth0", "mtu", str(MTUS[name]), check=True)
    try:
        assert path_mtu(lab.client, vm.address) == MTUS[name]
        assert traceroute(lab.client, vm.address) == ["198.51.100.1", vm.address]
        assert traceroute(vm.host, CLIENT) == ["169.254.1.1", CLIENT]
    finally:
        vm.host.run("ip", "link", "set", "eth0", "mtu", "1430", check=True)
        lab.client.run("ip", "route", "flush", "cache")


def test_two_of_them_talk_and_only_as_both_permit(lab, tenant):
    assert_talk_as_both_permit(lab, tenant.endpoint("vxlan"), tenant.endpoint("qinq"))


def test_one_private_address_is_many_endpoints(lab, tenant):
    """What a vm says by its own link is its own, and by another's nothing."""
    vms = {name: tenant.endpoint(name) for name in ALL}
    for vm in vms.values():
        vm.permit("in tcp 80 from any", "out tcp to any port 80")
    with web_server(lab.client):
        for vm in vms.values():
            assert curl(vm.host, CLIENT) == f"hello {vm.address}"


def vxlan_packet(lab, vm, vni: int) -> bytes:
    """A datagram of the vm's to the client, behind the VXLAN header."""
    mac = bytes.fromhex(lab.mac(vm.host.port).replace(":", "")) + bytes.fromhex(vm.host.mac.replace(":", ""))
    udp = struct.pack("!HHHH", 4000, 9000, 8, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, socket.inet_aton(LINK_DIP),
                         socket.inet_aton(CLIENT))
    total = sum(struct.unpack("!10H", header))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return struct.pack("!II", 1 << 27, vni << 8) + mac + b"\x08\x00" + header[:10] + struct.pack("!H", checksum) + header[12:] + udp


def test_tunnels_are_taken_off_for_registered_remotes_alone(lab, tenant):
    vm = tenant.endpoint("vxlan")
    vm.permit("out udp to any")
    lab.hypervisor.run("ip", "address", "add", "192.0.2.140/32", "dev", "eth0", check=True)
    with lab.client.udp(9000) as server:
        for source, vni, reason in ((HYPERVISOR, 5000, ""), (HYPERVISOR, 5001, "tunnel_unknown"),
                                    ("192.0.2.140", 5000, "tunnel_unknown")):
            with netns.entered(lab.hypervisor.namespace):
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with sender:
                sender.bind((source, 0))
                with lab.gateway.drops(expected=1 if reason else 0, of=reason) as drops:
                    sender.sendto(vxlan_packet(lab, vm, vni), (TUNNEL_END, VXLAN_PORT))
                    if not reason:
                        assert server.recvfrom(100)[1][0] == vm.address
            if reason:
                server.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    server.recvfrom(100)
            assert drops.moved.get(reason, 0) >= (1 if reason else 0)
            assert drops.own() == {}


def test_on_an_uplink_a_tunnel_packet_is_ordinary_traffic(lab, tenant):
    web = tenant.endpoint("web")
    with lab.client.udp() as sender, web.host.udp(VXLAN_PORT) as server:
        with lab.gateway.drops(expected=1, of="unbound") as drops:
            sender.sendto(struct.pack("!II", 1 << 27, 5000 << 8) + b"x" * 60, (web.address, VXLAN_PORT))
        assert drops.own() == {"unbound": 1}
        web.permit(f"in udp {VXLAN_PORT} from any")
        sender.sendto(struct.pack("!II", 1 << 27, 5000 << 8) + b"x" * 60, (web.address, VXLAN_PORT))
        assert server.recv(100).endswith(b"x" * 60)


@pytest.mark.parametrize("name", ALL)
def test_a_vm_moves_between_links_under_traffic(lab, tenant, name):
    """From a port to a link and back: after the reply nothing is lost, and nothing goes to where it was."""
    web = tenant.endpoint("web")
    web.permit(f"in udp {PORT} from {CLIENT}")
    old, new = lab.vms["web"], lab.vms[name]
    with at_home_at(web.host.address, new), old.udp(PORT), new.udp(PORT), lab.watch() as watch, \
            Stream().running(lab.client, web.address) as stream:
        for source, target in ((old, new), (new, old)):
            stream.wait_for(200)
            move(lab, target)
            replied = stream.sent + 1
            stream.wait_for(200)
            assert_follows(watch, stream, replied, stream.sent, source, target)


def test_a_place_that_is_taken_or_cannot_be_is_refused(lab, tenant):
    tenant.create_vm("vlan")
    create = ("vm", "create", "other", "--port", "ep-link", "--mac", "02:00:00:00:04:77")
    with pytest.raises(Refused, match="belongs to tenants/default/vms/vlan"):
        lab.gateway.portctl(*create, "--dip", LINK_DIP, "--vlan", "100")
    with pytest.raises(Refused, match="untagged"):
        lab.gateway.portctl(*create, "--dip", LINK_DIP)
    with pytest.raises(Refused, match="VLAN"):
        lab.gateway.portctl(*create, "--dip", LINK_DIP, "--vlan", "4095")
    with pytest.raises(Refused, match="tunnel"):
        lab.gateway.portctl("vm", "create", "other", "--port", "ep-web", "--mac", "02:00:00:00:04:77", "--dip", LINK_DIP,
                            "--vxlan", f"{HYPERVISOR},5000")
