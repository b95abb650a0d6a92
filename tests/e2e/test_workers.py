"""Two workers, and ports with one queue each: what one receives, the other may own, and a third port's transmitter
sends. The allow and the deny of every kind of traffic that hosts make, as with one worker."""

import contextlib

import pytest

from lab import CLIENT, CLIENT_ALIASES
from programs import (assert_default_off, assert_permitted_alone, assert_talk_as_both_permit, iperf, iperf_running,
                      iperf_server, udp_echo)
from test_move import PORT, Stream, assert_follows, assert_speaks_from_where_it_is, at_home_at, move
from test_revocation import assert_flows, assert_silence

LAB = {"ipv6": True, "links": True, "workers": 2, "frames": 4096}


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
    assert_default_off(lab, web)
    assert_permitted_alone(lab, web)


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


def test_bulk(lab, tenant):
    """Between two endpoints, and from outside, both ways."""
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("out tcp to any port 5201", "in tcp 5201 from any")
    app.permit("in tcp 5201 from any")
    with iperf_server(app.host), iperf_server(web.host):
        for host, address, options in ((web.host, app.address, ()), (lab.client, web.address, ()),
                                       (lab.client, web.address, ("--reverse",))):
            report = iperf(host, address, *options, seconds=1)["end"]
            assert report["sum_received"]["bytes"] > 1_000_000


def assert_ordered(receiver, address: str) -> None:
    """The receiver asks for datagrams and counts: a sender knows nothing of their order."""
    report = iperf(receiver, address, "--udp", "--reverse", "--bitrate", "40M", "--length", "500", seconds=1)
    streams = [stream["udp"] for stream in report["end"]["streams"]]
    assert streams
    for stream in streams:
        assert not stream["sender"] and stream["packets"] > 5000
        assert stream["out_of_order"] == 0


def test_datagrams_keep_their_order(lab, tenant):
    """Inward, outward, and from one endpoint to another."""
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("in udp 5201 from any", "in tcp 5201 from any", "out udp to any port 5201", "out tcp to any port 5201")
    app.permit("in udp 5201 from any", "in tcp 5201 from any")
    with iperf_server(web.host), iperf_server(lab.client), iperf_server(app.host):
        assert_ordered(web.host, CLIENT)
        assert_ordered(lab.client, web.address)
        assert_ordered(web.host, app.address)


@pytest.mark.parametrize("places", [("web", "app"), ("web", "geneve"), ("web", "vxlan"), ("vxlan", "geneve")],
                         ids="-to-".join)
def test_a_vm_moves_under_traffic(lab, tenant, places):
    """Of three senders at once, whose packets are of both workers: after the reply all arrive where the vm is, and
    none where it was."""
    web = tenant.endpoint("web")
    web.permit(f"in udp {PORT} from any")
    old, new = (lab.vms[place] for place in places)
    move(lab, old)
    sources = (CLIENT, *CLIENT_ALIASES)
    with contextlib.ExitStack() as stack:
        stack.enter_context(at_home_at(web.host.address, old, new))
        for host in (old, new):
            stack.enter_context(host.udp(PORT))
        watch = stack.enter_context(lab.watch())
        streams = [stack.enter_context(Stream(source, of=len(sources)).running(lab.client, web.address))
                   for source in sources]
        for source, destination in ((old, new), (new, old)):
            for stream in streams:
                stream.wait_for(200)
            move(lab, destination)
            replied = [stream.sent + 1 for stream in streams]
            for stream in streams:
                stream.wait_for(200)
            until = [stream.sent for stream in streams]
            for stream, first, last in zip(streams, replied, until, strict=True):
                assert_follows(watch, stream, first, last, source, destination)


@pytest.mark.parametrize("places", [("web", "vxlan"), ("vxlan", "geneve")], ids="-to-".join)
def test_a_vm_speaks_from_where_it_is(lab, tenant, places):
    assert_speaks_from_where_it_is(lab, tenant.endpoint("web"), *(lab.vms[place] for place in places))


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
