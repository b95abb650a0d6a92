"""Traces of real packets: one that is permitted is told through all stages with its rule, one that is denied ends at the
stage that denies it, and what a filter leaves out is not told. By two workers, and behind links."""

import base64
import time

import pytest

from gateway import Refused
from lab import CLIENT, CLIENT6, GATEWAY
from programs import curl, iperf_running, iperf_server, ping, web_server
from traces import tracing

LAB = {"ipv6": True, "links": True, "workers": 2,
       "gateway_permit": 'permit { name: "ping" direction: INBOUND protocol: "icmp" remote { any: true } }'}

STAGES = ["parse", "identify", "hand_over", "fragments", "admit", "route", "commit", "to_public", "to_private", "deliver",
          "encapsulate", "transmit"]


@pytest.fixture
def trace(lab):
    """trace("--dropped"): a trace of the gateway, as JSON."""
    return lambda *words: tracing(lab.gateway, "--json", *words)


def stages(told: dict) -> list[tuple[str, str]]:
    return [(stage["stage"], stage["verdict"]) for stage in told["stages"]]


def stage(told: dict, name: str) -> dict:
    return [stage for stage in told["stages"] if stage["stage"] == name][-1]


def as_packet(told: dict) -> list[str]:
    """Who speaks to whom in the packet as it came."""
    return told["received"]["headers"].split()


def expect_whole(told: dict) -> None:
    """Through all stages to transmit, whichever workers had it."""
    names = [name for name, _ in stages(told)]
    assert names[-len(STAGES):] == STAGES or names[-len(STAGES) + 1:] == STAGES[1:]
    assert names[0] == "decapsulate" and stages(told)[-1] == ("transmit", "TRANSMITTED")
    for before, after in zip(told["stages"], told["stages"][1:]):
        assert (before["verdict"] == "HANDED_OVER") == (before["worker"] != after["worker"])
        if before["verdict"] == "HANDED_OVER":
            assert before["detail"] == f"to worker {after['worker']}"
        else:
            assert before["verdict"] == "PASSED"


def test_a_permitted_packet_is_told_through_transmit_with_its_rule(lab, tenant, trace):
    web = tenant.endpoint("web")
    web.permit("http=in tcp 80 from any")
    began = time.time_ns()
    with web_server(web.host), trace("--eip", web.address) as seen:
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    packets = [packet for packet in seen.packets() if packet["explanation"]["received"]["headers"].endswith(" tcp")]
    assert len(packets) >= 8
    for packet in packets:
        told = packet["explanation"]
        assert told["fate"] == "TRANSMITTED", told
        expect_whole(told)
        assert began < int(packet["timeNs"]) < time.time_ns()
        inward = told["received"]["port"] == "ports/uplink"
        source, _, destination, _ = as_packet(told)
        if inward:
            assert source.startswith(f"{CLIENT}:") and destination == f"{web.address}:80"
            assert told["destination"]["rule"] == "http" and stage(told, "admit")["detail"] == f"{web.address} in: rule http"
            assert told["sent"]["port"] == "ports/ep-web" and f" {web.host.address}:80 " in told["sent"]["headers"]
        else:
            assert source == f"{web.host.address}:80" and destination.startswith(f"{CLIENT}:")
            assert told["source"]["way"] == "REPLY" and told["source"]["rule"] == "http"
            assert told["sent"]["port"] == "ports/uplink" and told["sent"]["headers"].startswith(f"{web.address}:80 ")
        data = base64.b64decode(told["received"]["data"])
        assert len(data) == min(int(told["received"]["length"]), 256)
    assert {packet["explanation"]["received"]["port"] for packet in packets} == {"ports/uplink", "ports/ep-web"}
    assert seen.said.endswith(f"{len(seen.packets())} packets, 0 lost\n")


def test_a_denied_packet_ends_where_it_is_denied(lab, tenant, trace):
    web = tenant.endpoint("web")
    web.permit("http=in tcp 80 from any")
    with web_server(web.host, 81), trace("--dropped", "--eip", web.address) as seen, lab.gateway.drops() as drops:
        assert curl(lab.client, web.address, 81) is None
    denied = [packet["explanation"] for packet in seen.packets()]
    assert len(denied) == drops.moved["destination_not_permitted"] > 0
    for told in denied:
        assert (told["fate"], told["reason"]) == ("DROPPED", "destination_not_permitted")
        assert stages(told)[-1] == ("admit", "DROPPED")
        assert told["stages"][-1]["detail"] == f"{web.address} in: no rule and no flow entry permits it"
        assert as_packet(told)[2] == f"{web.address}:81" and "sent" not in told
    # What passes is not what is dropped.
    with web_server(web.host), trace("--dropped", "--eip", web.address) as seen:
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    assert seen.packets() == []


def test_filters_leave_out_what_is_not_asked_for(lab, tenant, trace):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("in icmp from any")
    app.permit("in icmp from any")
    # web and app have the same private address.
    with trace("--eip", app.address) as seen:
        assert ping(lab.client, web.address, 3) and ping(lab.client, app.address, 3)
    pings = [packet["explanation"] for packet in seen.packets() if " icmp " in packet["explanation"]["received"]["headers"]]
    assert {told["received"]["port"] for told in pings} == {"ports/uplink", "ports/ep-app"} and len(pings) == 6
    with trace("--port", "ep-web", "--passed") as seen:
        assert ping(lab.client, web.address, 3) and ping(lab.client, app.address, 3)
    assert {packet["explanation"]["received"]["port"] for packet in seen.packets()} == {"ports/ep-web"}
    with trace("--address", "198.51.100.77") as seen:
        assert ping(lab.client, web.address, 3)
    assert seen.packets() == []
    with trace("--reason", "not_ours") as seen, lab.gateway.drops() as drops:
        lab.client.run("ping", "-c", "1", "-W", "0.2", "203.0.113.9")
    assert drops.reasons() == {"unbound"} and seen.packets() == []
    with trace("--reason", "unbound", "--address", CLIENT) as seen:
        lab.client.run("ping", "-c", "1", "-W", "0.2", "203.0.113.9")
    assert [stages(packet["explanation"])[-1] for packet in seen.packets()] == [("identify", "DROPPED")]


def test_answers_and_what_is_for_the_gateway(lab, tenant, trace):
    web = tenant.endpoint("web")
    web.permit("in icmp from any")
    with trace("--punted", "--address", GATEWAY) as seen:
        assert ping(lab.client, GATEWAY, 2)
    assert [stages(packet["explanation"]) for packet in seen.packets()] == [
        [("decapsulate", "PASSED"), ("parse", "PASSED"), ("punt", "PUNTED")]] * 2
    with trace("--reason", "ttl_exceeded") as seen:
        lab.client.run("ping", "-c", "1", "-t", "1", "-W", "0.5", web.address)
    (told,) = [packet["explanation"] for packet in seen.packets()]
    assert (told["fate"], told["reason"], told["sent"]["port"]) == ("ANSWERED", "ttl_exceeded", "ports/uplink")
    assert stages(told)[-3:] == [("route", "ANSWERED"), ("encapsulate", "PASSED"), ("transmit", "TRANSMITTED")]
    assert told["sent"]["headers"] == f"{GATEWAY} > {CLIENT} icmp type 11 code 0"


def test_ipv6(lab, tenant, trace):
    web = tenant.endpoint6("web")
    web.permit("ping=in icmpv6 from any")
    with trace("--eip", web.address, "--passed") as seen:
        assert ping(lab.client, web.address)
    requests = [packet["explanation"] for packet in seen.packets()
                if " icmpv6 type 128 " in packet["explanation"]["received"]["headers"]]
    assert requests
    for told in requests:
        expect_whole(told)
        assert as_packet(told)[0] == CLIENT6 and told["destination"]["rule"] == "ping"


@pytest.mark.parametrize("vm", ["vxlan", "geneve", "vlan"])
def test_behind_links(lab, tenant, trace, vm):
    endpoint, neighbour = tenant.endpoint(vm), tenant.endpoint("qinq")
    endpoint.permit("ping=in icmp from any")
    neighbour.permit("in icmp from any")
    with trace("--eip", endpoint.address, "--passed") as seen:
        assert ping(lab.client, endpoint.address, 3) and ping(lab.client, neighbour.address, 3)
    pings = [packet["explanation"] for packet in seen.packets() if " icmp " in packet["explanation"]["received"]["headers"]]
    assert len(pings) == 6
    for told in pings:
        expect_whole(told)
        link = told["sent"] if told["received"]["port"] == "ports/uplink" else told["received"]
        assert (" udp [" in link["headers"]) == (vm != "vlan")
        assert endpoint.host.address in link["headers"]


def test_every_worker_has_some_and_a_flow_is_followed(lab, tenant, trace):
    """Between endpoints packets are handed over, as often as not."""
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("in icmp from any", "out icmp to any")
    app.permit("in icmp from any", "out icmp to any")
    with trace("--passed", "--port", "ep-web", "--port", "ep-app", "--port", "uplink") as seen:
        assert ping(web.host, app.address, 3) and ping(lab.client, web.address, 3)
    handed = 0
    for packet in seen.packets():
        told = packet["explanation"]
        if " icmp " not in told["received"]["headers"]:
            continue
        expect_whole(told)
        handed += ("hand_over", "HANDED_OVER") in stages(told)
    assert handed > 0


def test_limits_and_one_at_a_time(lab, tenant, trace):
    web = tenant.endpoint("web")
    web.permit("in icmp from any")
    with trace("--count", "4", "--address", CLIENT) as seen:
        for words in (("trace",), ("capture", "-w", "/dev/null")):
            with pytest.raises(Refused) as refused:
                lab.gateway.portctl(*words)
            assert refused.value.status == 1 and "another capture or trace goes on" in refused.value.message
        assert ping(lab.client, web.address, 10)
        seen.wait()
    assert len(seen.packets()) == 4 and seen.said == "4 packets, 0 lost\n"
    began = time.monotonic()
    with trace("--seconds", "1", "--address", "198.51.100.77") as seen:
        seen.wait()
    assert 0.9 < time.monotonic() - began < 5


def test_under_load_nothing_waits_for_it(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host), iperf_running(lab.client, web.address):
        with tracing(lab.gateway, "--json", "--count", "5000", "--address", web.address) as seen:
            seen.wait()
        assert len(seen.packets()) == 5000
        for packet in seen.packets():
            assert packet["explanation"]["fate"] == "TRANSMITTED", packet
        with tracing(lab.gateway, "--dropped", "--address", web.address, "--seconds", "1") as seen:
            seen.wait()
        assert seen.out == ""


def test_for_people_and_what_is_wrong(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("ping=in icmp from any")
    with tracing(lab.gateway, "--count", "1", "--address", web.address) as seen:
        assert ping(lab.client, web.address)
        seen.wait()
    first, *table = seen.out.splitlines()
    assert f" uplink, 98 bytes, {CLIENT} > {web.address} icmp type 8 code 0" in first
    assert table[0].split() == ["STAGE", "WORKER", "VERDICT", "WHY"]
    assert any(f"{web.address} in: rule ping" in line for line in table)
    assert f"transmitted by ep-web, 98 bytes, {CLIENT} > {web.host.address} icmp type 8 code 0" in table
    for words, message in ((("--port", "ep-none"), "there is no port 'ports/ep-none'"), (("--reason", "bad"), "no drop reason"),
                           (("--address", "x"), "'x' is no address"), (("--eip", "203.0.113.99"), "203.0.113.99")):
        with pytest.raises(Refused) as refused:
            lab.gateway.portctl("trace", *words)
        assert refused.value.status == 1 and message in refused.value.message
