"""Explain against real hosts: what it says of a packet is what then happens to it, by two workers, and asking moves no
counter and opens no flow. For each kind of verdict the allow and the deny."""

import base64
import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from gateway import PORTCTL, Portctl, Refused
from lab import CLIENT, CLIENT6, CLIENT_ALIASES
from programs import curl, iperf_running, iperf_server, ping, udp_echo, web_server
from test_revocation import assert_flows

LAB = {"ipv6": True, "links": True, "workers": 2}


def explain(lab, source: str, destination: str, *words: str) -> dict:
    return lab.gateway.portctl("explain", "--from", source, "--to", destination, *words)


@contextlib.contextmanager
def untouched(lab, *endpoints) -> Iterator[None]:
    """What an endpoint has counted and keeps is the same at the end, and nobody has received a thing for it. (Hosts with
    IPv6 speak on their own; so what is dropped is asked by reason.)"""
    before = [endpoint.statistics() for endpoint in endpoints]
    with lab.gateway.drops() as drops:
        yield
    assert drops.reasons() == set()
    assert [endpoint.statistics() for endpoint in endpoints] == before


def test_from_outside_a_rule_decides(lab, tenant):
    web = tenant.endpoint("web")
    with untouched(lab, web):
        told = explain(lab, CLIENT, web.address, "tcp", "80")
    assert (told["fate"], told["reason"]) == ("DROPPED", "unbound")
    web.permit("http=in tcp 80 from any")
    with untouched(lab, web):
        allowed = explain(lab, CLIENT, web.address, "tcp", "80")
        denied = explain(lab, CLIENT, web.address, "tcp", "81")
    assert allowed["fate"] == "TRANSMITTED" and allowed["sent"]["port"] == "ports/ep-web"
    assert allowed["destination"]["rule"] == "http" and allowed["destination"]["way"] == "RULE"
    assert denied["fate"] == "DROPPED" and denied["reason"] == "destination_not_permitted"
    assert denied["destination"]["way"] == "REFUSED"
    with web_server(web.host, 80), web_server(web.host, 81):
        assert curl(lab.client, web.address, 80) == f"hello {CLIENT}"
        with lab.gateway.drops() as drops:
            assert curl(lab.client, web.address, 81) is None
    assert drops.reasons() == {"destination_not_permitted"}


def test_from_a_vm_and_the_answer_to_it(lab, tenant):
    web = tenant.endpoint("web")
    with untouched(lab, web):
        assert explain(lab, "web", CLIENT, "udp", "9000")["reason"] == "source_not_permitted"
    web.permit("echo=out udp to any port 9000")
    answer = (CLIENT, web.address, "udp", "4000", "--source-port", "9000")
    with untouched(lab, web):
        told = explain(lab, "web", CLIENT, "udp", "9000", "--source-port", "4000")
        unasked = explain(lab, *answer)
    assert told["fate"] == "TRANSMITTED" and told["sent"]["port"] == "ports/uplink"
    assert (told["source"]["rule"], told["source"]["entryUse"]) == ("echo", "OPENS")
    assert unasked["reason"] == "destination_not_permitted"
    with udp_echo(lab.client, 9000), web.host.udp(4000) as vm:
        vm.sendto(b"hello", (CLIENT, 9000))
        assert vm.recv(100) == b"hello"
    with untouched(lab, web):
        told = explain(lab, *answer)
        other = explain(lab, CLIENT, web.address, "udp", "4001", "--source-port", "9000")
    assert told["fate"] == "TRANSMITTED"
    assert told["destination"]["way"] == "FLOW_ENTRY" and told["destination"]["flowEntry"]["openedByEndpoint"]
    assert other["reason"] == "destination_not_permitted"
    assert web.flow_entries() == 1


def test_between_two_endpoints_each_list_is_named(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("out-all=out icmp to any")
    told = explain(lab, "web", app.address, "icmp")
    assert told["reason"] == "destination_not_permitted"
    assert told["source"]["rule"] == "out-all" and told["destination"]["way"] == "REFUSED"
    assert not ping(web.host, app.address)
    app.permit("pings=in icmp from any")
    with untouched(lab, web, app):
        told = explain(lab, web.address, app.address, "icmp")
    assert told["fate"] == "TRANSMITTED" and told["sent"]["port"] == "ports/ep-app"
    assert (told["source"]["rule"], told["destination"]["rule"]) == ("out-all", "pings")
    assert ping(web.host, app.address)


@pytest.mark.parametrize("name", ["vxlan", "vxlan6", "geneve", "vlan", "qinq"])
def test_vms_behind_links(lab, tenant, name):
    vm = tenant.endpoint(name)
    vm.permit("web=in tcp 80 from any")
    with untouched(lab, vm):
        into = explain(lab, CLIENT, vm.address, "tcp", "80")
        reply = explain(lab, name, CLIENT, "tcp", "5000", "--source-port", "80", "--flags", "syn,ack")
        opened = explain(lab, name, CLIENT, "tcp", "80")
    assert into["fate"] == "TRANSMITTED" and into["sent"]["port"] == "ports/ep-link"
    assert len(into["sent"]["data"]) > len(into["received"]["data"])
    assert reply["fate"] == "TRANSMITTED" and reply["source"]["way"] == "REPLY"
    assert opened["reason"] == "source_not_permitted"
    with web_server(vm.host):
        assert curl(lab.client, vm.address) == f"hello {CLIENT}"


def test_ipv6(lab, tenant):
    web = tenant.endpoint6("web")
    web.permit("web=in tcp 80 from any")
    with untouched(lab, web):
        allowed = explain(lab, CLIENT6, web.address, "tcp", "80")
        denied = explain(lab, CLIENT6, web.address, "icmpv6")
    assert allowed["fate"] == "TRANSMITTED" and allowed["destination"]["rule"] == "web"
    assert denied["reason"] == "destination_not_permitted"
    assert not ping(lab.client, web.address)


def test_each_remote_is_asked_of_its_worker(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in icmp from any")
    owners = set()
    for source in (CLIENT, *CLIENT_ALIASES):
        with untouched(lab, web):
            told = explain(lab, source, web.address, "icmp")
        assert told["fate"] == "TRANSMITTED"
        workers = [stage["worker"] for stage in told["stages"]]
        handed = [stage for stage in told["stages"] if stage["verdict"] == "HANDED_OVER"]
        assert len(set(workers)) == 1 + len(handed)
        owners.add(workers[-1])
    assert owners == {0, 1}


def test_what_the_gateway_answers_itself(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in icmp from any")
    with untouched(lab, web):
        told = explain(lab, CLIENT, web.address, "icmp", "--ttl", "1")
    assert (told["fate"], told["reason"], told["sent"]["port"]) == ("ANSWERED", "ttl_exceeded", "ports/uplink")


def test_what_is_foretold_arrives_to_the_byte(lab, tenant):
    """The packet that was asked about, sent by the client; and a spoofed one, as a frame."""
    web = tenant.endpoint("web")
    web.permit("in udp 9000 from any")
    told = explain(lab, CLIENT, web.address, "udp", "9000", "--length", "100")
    asked, foretold = (base64.b64decode(told[frame]["data"]) for frame in ("received", "sent"))
    with web.host.raw() as vm, lab.client.raw() as client:
        client.send(asked)
        assert vm.wait_for(foretold) == foretold
    # From the pool, with a header checksum that fits.
    spoofed = bytearray(asked)
    spoofed[26:30] = socket.inet_aton(web.address)
    spoofed[24:26] = bytes(2)
    spoofed[24:26] = checksum(spoofed[14:34])
    with untouched(lab, web):
        told = lab.gateway.portctl("explain", "--port", "uplink", "--frame", spoofed.hex(":"))
    assert (told["fate"], told["reason"]) == ("DROPPED", "spoofed_pool_source")
    with web.host.raw() as vm, lab.client.raw() as client, lab.gateway.drops(expected=1) as drops:
        client.send(bytes(spoofed))
        assert not [frame for frame in vm.received() if bytes(spoofed[34:]) in frame]
    assert drops.reasons() == {"spoofed_pool_source"}


def checksum(header: bytes) -> bytes:
    total = sum(int.from_bytes(header[at:at + 2]) for at in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return (total ^ 0xffff).to_bytes(2)


def test_under_load_traffic_goes_on(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("iperf=in tcp 5201 from any")
    question = ("explain", "--from", CLIENT, "--to", web.address, "tcp", "5201")
    fates = []

    def ask() -> None:
        with contextlib.closing(Portctl(lab.gateway.socket)) as portctl:
            fates.extend(portctl.run(question, timeout=30)["answer"]["fate"] for _ in range(100))

    with iperf_server(web.host), iperf_running(lab.client, web.address):
        assert_flows(web)
        askers = [threading.Thread(target=ask) for _ in range(3)]
        with lab.gateway.drops() as drops:
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join()
        assert_flows(web)
    assert fates == ["TRANSMITTED"] * 300
    assert drops.reasons() <= {"transmit_full"}, "what the kernel's port does not take at once"


def test_for_people_and_what_is_no_question(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("http=in tcp 80 from any")
    command = [PORTCTL, "--socket", str(lab.gateway.socket), "explain", "--from", CLIENT, "--to", web.address, "tcp"]
    shown = subprocess.run([*command, "80"], capture_output=True, text=True, check=True).stdout
    assert "rule http" in shown and "transmitted by ep-web" in shown
    shown = subprocess.run([*command, "81"], capture_output=True, text=True, check=True).stdout
    assert "no rule and no flow entry permits it" in shown and "dropped: destination_not_permitted" in shown
    for words in (("explain", "--from", "nobody", "--to", CLIENT, "udp"),
                  ("explain", "--from", CLIENT, "--to", web.address, "quic"),
                  ("explain", "--port", "nowhere", "--frame", "00")):
        with pytest.raises(Refused) as refused:
            lab.gateway.portctl(*words)
        assert refused.value.status == 1
