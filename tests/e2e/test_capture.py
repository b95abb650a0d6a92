"""Captures, read by tshark, and the log of denied packets: what is denied is there with its reason, what is permitted
is there on both ports and has none."""

import re
import signal
import subprocess
import time

import pytest

from capture import INBOUND, OUTBOUND, capturing, count, read
from gateway import PORTCTL, Refused
from lab import CLIENT, CLIENT6, GATEWAY, HYPERVISOR, LINK_PORT
from programs import curl, iperf, iperf_running, iperf_server, ping, web_server

LAB = {"ipv6": True, "links": True, "workers": 2, "denied_log": 5,
       "gateway_permit": 'permit { name: "ping" direction: INBOUND protocol: "icmp" remote { any: true } }'}


@pytest.fixture
def capture(lab, tmp_path):
    """capture("--dropped"): a capture of the gateway."""
    return lambda *words: capturing(lab.gateway, tmp_path / "packets.pcapng", *words)


def test_a_denied_packet_is_there_with_its_reason(lab, tenant, capture):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    began = time.time()
    with web_server(web.host, 81), capture("--dropped", "--eip", web.address) as seen:
        assert curl(lab.client, web.address, 81) is None
    denied = seen.packets()
    assert denied
    for packet in denied:
        assert (packet.port, packet.direction, packet.comment) == ("uplink", INBOUND, "destination_not_permitted")
        assert (packet.source, packet.destination, packet.tcp_port) == (CLIENT, web.address, "81")
        assert packet.length == packet.captured
        assert began - 1 < packet.time < time.time() + 1
    assert seen.said == f"{len(denied)} packet{'s' if len(denied) > 1 else ''}, 0 lost\n"


def test_a_permitted_packet_is_there_on_both_ports(lab, tenant, capture):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    with web_server(web.host), capture("--eip", web.address) as seen:
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    packets = seen.packets("tcp")
    assert {(packet.port, packet.direction, packet.source, packet.destination, packet.comment) for packet in packets} == {
        ("uplink", INBOUND, CLIENT, web.address, ""), ("ep-web", OUTBOUND, CLIENT, web.host.address, ""),
        ("ep-web", INBOUND, web.host.address, CLIENT, ""), ("uplink", OUTBOUND, web.address, CLIENT, "")}
    # Each packet of the connection twice: nothing is lost, and nothing is another's.
    by_place = [sum(packet.port == port and packet.direction == direction for packet in packets)
                for port, direction in (("uplink", INBOUND), ("ep-web", OUTBOUND), ("ep-web", INBOUND), ("uplink", OUTBOUND))]
    assert by_place[0] == by_place[1] >= 4 and by_place[2] == by_place[3] >= 4
    # What is dropped is not what passes.
    with capture("--dropped", "--eip", web.address) as seen, web_server(web.host):
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    assert seen.packets() == []


def test_filters_leave_out_what_is_not_asked_for(lab, tenant, capture):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("in icmp from any")
    app.permit("in icmp from any")
    with capture("--passed", "--port", "ep-web") as seen:
        assert ping(lab.client, web.address, 3) and ping(lab.client, app.address, 3)
    assert {packet.port for packet in seen.packets()} == {"ep-web"}
    # web and app have the same private address.
    with capture("--received", "--eip", app.address) as seen:
        assert ping(lab.client, web.address, 3) and ping(lab.client, app.address, 3)
    assert {packet.port for packet in seen.packets()} == {"uplink", "ep-app"}
    with capture("--address", "198.51.100.77") as seen:
        assert ping(lab.client, web.address, 3)
    assert seen.packets() == []
    with capture("--reason", "not_ours") as seen, lab.gateway.drops() as drops:
        lab.client.run("ping", "-c", "1", "-W", "0.2", "203.0.113.9")
    assert drops.reasons() == {"unbound"} and seen.packets() == []
    with capture("--reason", "unbound") as seen:
        lab.client.run("ping", "-c", "1", "-W", "0.2", "203.0.113.9")
    assert {(packet.comment, packet.destination) for packet in seen.packets()} == {("unbound", "203.0.113.9")}


def test_what_is_for_the_gateway_and_what_it_sends(lab, capture):
    with capture("--address", GATEWAY) as seen:
        assert ping(lab.client, GATEWAY, 2)
    packets = seen.packets("icmp")
    assert {(packet.direction, packet.comment, packet.source) for packet in packets} == {
        (INBOUND, "", CLIENT), (INBOUND, "punted", CLIENT), (OUTBOUND, "", GATEWAY)}


def test_limits_and_lengths(lab, tenant, capture):
    web = tenant.endpoint("web")
    web.permit("in icmp from any")
    with capture("--received", "--count", "4", "--snap-length", "60", "--address", CLIENT) as seen:
        assert ping(lab.client, web.address, 10)
        seen.wait()
    packets = seen.packets()
    assert len(packets) == 4 and {packet.length for packet in packets} <= {42, 98}  # ARP may be among them
    assert all(packet.captured == min(60, packet.length) for packet in packets)
    began = time.monotonic()
    with capture("--dropped", "--seconds", "1") as seen:
        seen.wait()
    assert 0.9 < time.monotonic() - began < 5
    with capture("--received", "--port", "ep-web", "--one-in", "5", "--eip", web.address) as seen:
        assert ping(lab.client, web.address, 20)
    assert 3 <= len(seen.packets()) <= 5


def test_ipv6(lab, tenant, capture):
    web = tenant.endpoint6("web")
    with capture("--dropped", "--eip", web.address) as seen:
        assert not ping(lab.client, web.address)
    assert [packet.comment for packet in seen.packets(f"ipv6.src == {CLIENT6}")] == ["unbound"]
    web.permit("in icmpv6 from any")
    with capture("--passed", "--eip", web.address) as seen:
        assert ping(lab.client, web.address)
    assert {packet.port for packet in seen.packets("icmpv6.type == 128 || icmpv6.type == 129")} == {"uplink", "ep-web"}


@pytest.mark.parametrize("vm", ["vxlan", "geneve", "vlan"])
def test_behind_links_frames_are_as_they_are_on_the_wire(lab, tenant, capture, vm):
    """Inside of the tunnel is the vm, by its private address; another vm at the same port has the same one."""
    endpoint, neighbour = tenant.endpoint(vm), tenant.endpoint("qinq")
    endpoint.permit("in icmp from any")
    neighbour.permit("in icmp from any")
    with capture("--received", "--port", LINK_PORT, "--eip", endpoint.address) as seen:
        assert ping(lab.client, endpoint.address, 3) and ping(lab.client, neighbour.address, 3)
    sources = [packet.source for packet in seen.packets("icmp")]
    inner = endpoint.host.address
    assert sources == [inner if vm == "vlan" else f"{HYPERVISOR},{inner}"] * 3
    endpoint.permit()
    with capture("--dropped", "--port", LINK_PORT) as seen:
        assert not ping(endpoint.host, CLIENT)
    # The tags and the tunnel are off by then.
    assert {(packet.comment, packet.source) for packet in seen.packets("icmp")} == {("source_not_permitted", inner)}


def test_one_at_a_time_and_a_killed_client_gives_its_place_back(lab, capture):
    with capture("--dropped") as seen:
        with pytest.raises(Refused) as refused:
            lab.gateway.portctl("capture", "-w", "-")
        assert refused.value.status == 1 and "another capture or trace goes on" in refused.value.message
        seen.kill()
        deadline = time.monotonic() + 5
        while True:
            try:
                lab.gateway.portctl("capture", "--seconds", "1", "-w", "/dev/null")
                break
            except Refused:
                assert time.monotonic() < deadline, "the place is not given back"
                time.sleep(0.1)
    assert read(seen.file) == seen.packets()  # it is whole as far as it goes


@pytest.mark.alone  # it must be sent more than its connection takes by itself
def test_a_stopped_client_loses_its_place(lab, tenant, capture):
    """As Ctrl-Z stops one: its socket is full, and gRPC gives up no call while it writes. After half a minute others
    may capture, and when it goes on it learns that its capture has ended."""
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host), iperf_running(lab.client, web.address), capture("--passed") as stopped:
        stopped.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            while True:
                try:
                    lab.gateway.portctl("capture", "--seconds", "1", "-w", "/dev/null")
                    break
                except Refused as refused:
                    assert "another capture or trace goes on" in refused.message
                    assert time.monotonic() - began < 60, "the place is not given back"
                    time.sleep(1)
        finally:
            stopped.process.send_signal(signal.SIGCONT)
        assert time.monotonic() - began > 25
        _, said = stopped.process.communicate(timeout=20)
        assert stopped.process.returncode == 1, said


def test_what_is_wrong_is_refused(lab, tenant, tmp_path):
    for words, message in ((("--port", "ep-none"), "there is no port 'ports/ep-none'"), (("--reason", "bad"), "no drop reason"),
                           (("--address", "x"), "'x' is no address"), (("--eip", "203.0.113.99"), "203.0.113.99")):
        file = tmp_path / "refused.pcapng"
        with pytest.raises(Refused) as refused:
            lab.gateway.portctl("capture", *words, "-w", str(file))
        assert refused.value.status == 1 and message in refused.value.message
        assert not file.exists()


def test_under_load_nothing_waits_for_the_capture(lab, tenant, capture):
    """Ended in the middle of it, by its client's death too; iperf3 goes on, and what was lost to the capture is said."""
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host):
        with iperf_running(lab.client, web.address):
            with capture() as seen:
                time.sleep(1)
                seen.end()
            packets, lost = map(int, re.fullmatch(r"(\d+) packets, (\d+) lost\n", seen.said).groups())
            assert packets > 1000 and lost >= 0
            assert count(seen.file) == packets
            with capture("--passed") as seen:
                time.sleep(0.3)
                seen.kill()
    # A server of its own: the first one may not have done yet with the client that was stopped.
    with iperf_server(web.host):
        report = iperf(lab.client, web.address, seconds=1)["end"]
        assert report["sum_received"]["bytes"] > 1_000_000


def test_it_is_piped_into_tshark(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    with subprocess.Popen(f"{PORTCTL} --socket {lab.gateway.socket} capture --reason destination_not_permitted --count 1 -w -"
                          " | tshark -n -r - -T fields -e frame.comment -e tcp.dstport",
                          shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as pipe:
        deadline = time.monotonic() + 10
        while pipe.poll() is None and time.monotonic() < deadline:
            assert curl(lab.client, web.address, 81, seconds=0.3) is None
        assert pipe.stdout.read().split() == ["destination_not_permitted", "81"]


# --- the log of denied packets ---


def denied(lab, since: int) -> list[dict[str, str]]:
    """What the log says of denied packets, from a place in it on."""
    lines = lab.gateway.log.read_bytes()[since:].decode().splitlines()
    return [dict(word.split("=", 1) for word in line.split(" denied: ")[1].split()) for line in lines if " denied: " in line]


def test_the_log_says_who_was_denied_and_by_which_list(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    time.sleep(0.5)  # lines of tests before may keep this one's back
    since = lab.gateway.log.stat().st_size
    with web_server(web.host):
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    time.sleep(0.1)
    assert denied(lab, since) == []
    assert curl(lab.client, web.address, 23, seconds=0.3) is None
    assert curl(web.host, CLIENT, 25, seconds=0.3) is None
    time.sleep(0.1)
    inward, outward = denied(lab, since)[:2]
    assert inward["source"] == CLIENT and inward["source_port"].isdigit()
    expected = {"reason": "destination_not_permitted", "port": "uplink", "mac": lab.client.mac, "destination": web.address,
                "destination_port": "23", "protocol": "tcp", "eip": web.address}
    assert expected.items() <= inward.items()
    expected = {"reason": "source_not_permitted", "port": "ep-web", "mac": web.host.mac, "source": web.host.address,
                "destination": CLIENT, "destination_port": "25", "protocol": "tcp", "eip": web.address}
    assert expected.items() <= outward.items()


def test_of_a_flood_it_says_five_a_second_and_counts_the_others(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    time.sleep(0.5)
    since = lab.gateway.log.stat().st_size
    with lab.gateway.drops() as drops:
        began = time.monotonic()
        lab.client.run("ping", "-q", "-n", "-i", "0.002", "-c", "1000", "-W", "0.1", web.address)
        seconds = time.monotonic() - began
        time.sleep(0.5)
        lab.client.run("ping", "-q", "-n", "-c", "1", "-W", "0.1", web.address)
    lines = denied(lab, since)
    assert {line["reason"] for line in lines} == {"destination_not_permitted"}
    assert {(line["icmp_type"], line["icmp_code"]) for line in lines} == {("8", "0")}
    assert 1 < len(lines) <= 5 * seconds + 4
    assert len(lines) + sum(int(line["unsaid"]) for line in lines[1:]) == drops.moved["destination_not_permitted"]
