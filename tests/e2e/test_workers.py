"""Two workers, and ports with one queue each: what one receives, the other may own, and a third port's transmitter
sends. The allow and the deny of every kind of traffic that hosts make, as with one worker."""

import pytest

from lab import CLIENT, CLIENT6, CLIENT_ALIASES
from programs import (assert_default_off, assert_permitted_alone, assert_talk_as_both_permit, curl, iperf, iperf_running,
                      iperf_server, ping, udp_echo, web_server)
from test_revocation import assert_flows, assert_silence

LAB = {"ipv6": True, "links": True, "workers": 2}


def handed_over(lab) -> list[int]:
    """By worker."""
    return [int(worker.get("handedOver", 0)) for worker in lab.gateway.portctl("show", "workers")["workers"]]


def test_default_off(lab, tenant):
    assert_default_off(lab, tenant.endpoint("web"))


def test_permitted_inward_and_outward(lab, tenant):
    assert_permitted_alone(lab, tenant.endpoint("web"))


@pytest.mark.parametrize("other", ["app", "db"])
def test_endpoints_talk_as_both_permit(lab, tenant, other):
    assert_talk_as_both_permit(lab, tenant.endpoint("web"), tenant.endpoint(other))


@pytest.mark.parametrize("vm", ["vxlan", "geneve", "vlan"])
def test_what_is_handed_over_keeps_its_link(lab, tenant, vm):
    assert_permitted_alone(lab, tenant.endpoint(vm))


def test_a_vm_behind_a_tunnel_and_one_at_a_port_talk(lab, tenant):
    assert_talk_as_both_permit(lab, tenant.endpoint("vxlan"), tenant.endpoint("web"))


def test_ipv6(lab, tenant):
    web = tenant.endpoint6("web")
    with web_server(web.host, address="::"):
        assert curl(lab.client, web.address) is None
        web.permit("in tcp 80 from any", "in icmpv6 from any")
        assert curl(lab.client, web.address) == f"hello {CLIENT6}"
        assert ping(lab.client, web.address, count=3)


def test_both_workers_own_and_hand_over(lab, tenant):
    """From several remotes, and to several ports, packets go both ways between the workers."""
    before = handed_over(lab)
    vms = [tenant.endpoint(name) for name in ("web", "app", "db")]
    for vm in vms:
        vm.permit("in icmp from any")
        for source in (CLIENT, *CLIENT_ALIASES):
            done = lab.client.run("ping", "-n", "-q", "-c", "3", "-i", "0.05", "-I", source, vm.address)
            assert " 0% packet loss" in done.stdout
    assert all(now > then for now, then in zip(handed_over(lab), before, strict=True))


def test_bulk_loses_and_reorders_nothing(lab, tenant):
    """Between two endpoints, and from outside; TCP would tell of reordering by retransmitting."""
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("out tcp to any port 5201", "in tcp 5201 from any")
    app.permit("in tcp 5201 from any")
    with iperf_server(app.host), iperf_server(web.host):
        for host, address, options in ((web.host, app.address, ()), (lab.client, web.address, ()),
                                       (lab.client, web.address, ("--reverse",))):
            report = iperf(host, address, *options, seconds=1)["end"]
            assert report["sum_received"]["bytes"] > 1_000_000


def test_datagrams_keep_their_order(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in udp 5201 from any", "in tcp 5201 from any")
    with iperf_server(web.host):
        report = iperf(lab.client, web.address, "--udp", "--bitrate", "20M", "--length", "500", seconds=1)
    streams = [stream["udp"] for stream in report["end"]["streams"]]
    assert streams and all(stream["out_of_order"] == 0 for stream in streams)


def test_a_reply_comes_back_through_its_entry(lab, tenant):
    """The request is received by one worker and the reply by another: one of them owns the entry."""
    for name in ("web", "app", "db"):
        vm = tenant.endpoint(name)
        with udp_echo(lab.client, 7000), vm.host.udp() as socket:
            with lab.gateway.drops() as drops:
                socket.sendto(b"denied", (CLIENT, 7000))
                with pytest.raises(TimeoutError):
                    socket.recv(100)
            assert drops.reasons() == {"source_not_permitted"}
            vm.permit("out udp to any port 7000")
            socket.sendto(b"hello", (CLIENT, 7000))
            assert socket.recv(100) == b"hello"


@pytest.mark.parametrize("vm", ["web", "app"])
def test_withdrawing_a_rule_stops_iperf3(lab, tenant, vm):
    """On whichever worker the flow lives."""
    server = tenant.endpoint(vm)
    server.permit("in tcp 5201 from any")
    with iperf_server(server.host), iperf_running(lab.client, server.address):
        assert_flows(server)
        server.permit()
        assert_silence(server.host)
        server.permit("in tcp 5201 from any")
        assert_flows(server)
