"""IPv6, by real programs on real hosts: everything that test_hosts.py, test_icmp_errors.py and test_fragments.py show
of IPv4, the allow and the deny. One vm has an address of the pool itself: nothing of its packets is translated."""

import contextlib
import socket
import time

import pytest

import netns
from gateway import Refused
from lab import CLIENT6, CLIENT6_ALIAS, GATEWAY6, VMS6, Host
from programs import curl, iperf, iperf_running, iperf_server, path_mtu, ping, traceroute, web_server
from tenant import Endpoint
from test_revocation import assert_flows

LAB = {"ipv6": True, "mtus": {"ep-app": 1400},
       "gateway_permit": 'permit { name: "ping" direction: INBOUND protocol: "icmpv6" remote { any: true } }'}
FAR6, ROUTER6 = "2001:db8:beef::2", "2001:db8:beef::1"


@pytest.fixture(name="request_eip")
def _request_eip(tenant):
    return tenant.endpoint6


def refused(drops, reason: str) -> bool:
    """Whether it was this reason alone, but for what hosts say on every link."""
    return drops.reasons() == {reason}


def wait_for_drops(lab, reason: str) -> bool:
    """Whether drops of this reason go on to come. A TCP sender may wait for a second before it says something again."""
    before = lab.gateway.all_drops()[reason]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if lab.gateway.all_drops()[reason] > before:
            return True
        time.sleep(0.02)
    return False


def nothing(drops) -> bool:
    return not drops.reasons()


def test_nothing_reaches_an_endpoint_without_a_rule(lab, request_eip):
    web = request_eip("web")
    with web_server(web.host, address="::"), lab.gateway.drops() as drops:
        assert curl(lab.client, web.address) is None
        assert not ping(lab.client, web.address)
    assert refused(drops, "unbound")


def test_an_endpoint_reaches_nothing_without_a_rule(lab, request_eip):
    web = request_eip("web")
    with web_server(lab.client, address="::"), lab.gateway.drops() as drops:
        assert curl(web.host, CLIENT6) is None
        assert not ping(web.host, CLIENT6)
    assert refused(drops, "source_not_permitted")


def test_ping_both_ways(lab, request_eip):
    web = request_eip("web")
    web.permit("in icmpv6 from any type 128")
    assert ping(lab.client, web.address, count=5)
    assert web.flow_entries() == 0, "an outsider has made the gateway keep state"
    with lab.gateway.drops() as drops:
        assert not ping(web.host, CLIENT6)
    assert refused(drops, "source_not_permitted")
    web.permit("out icmpv6 to any type 128")
    assert ping(web.host, CLIENT6, count=5)
    assert web.flow_entries() == 1
    with lab.gateway.drops() as drops:
        assert not ping(lab.client, web.address)
    assert refused(drops, "destination_not_permitted")


def test_curl_inward_sees_the_clients_address_and_only_the_permitted_port(lab, request_eip):
    web = request_eip("web")
    web.permit("in tcp 80 from 2001:db8:f00::/48")
    with web_server(web.host, 80, "::"), web_server(web.host, 81, "::"):
        with lab.gateway.drops() as drops:
            assert curl(lab.client, web.address, 80) == f"hello {CLIENT6}"
        assert nothing(drops)
        with lab.gateway.drops() as drops:
            assert curl(lab.client, web.address, 81) is None
        assert refused(drops, "destination_not_permitted")
    assert web.flow_entries() == 0


def test_curl_outward_and_its_replies_come_back(lab, request_eip):
    web = request_eip("web")
    web.permit("out tcp to any port 80")
    with web_server(lab.client, 80, "::"), web_server(lab.client, 81, "::"):
        assert curl(web.host, CLIENT6, 80) == f"hello {web.address}"
        assert web.flow_entries() == 1
        with lab.gateway.drops() as drops:
            assert curl(web.host, CLIENT6, 81) is None
        assert refused(drops, "source_not_permitted")


def test_prefixes_tell_clients_apart(lab, request_eip):
    web = request_eip("web")
    web.permit(f"in icmpv6 from {CLIENT6}/128")
    assert ping(lab.client, web.address)
    with lab.gateway.drops() as drops:
        assert lab.client.run("ping", "-n", "-q", "-c", "1", "-W", "1", "-I", CLIENT6_ALIAS, web.address).returncode != 0
    assert refused(drops, "destination_not_permitted")


def test_an_address_of_the_pool_is_its_own_eip(lab, request_eip):
    db = request_eip("db")
    assert db.address == VMS6["db"]
    db.permit("in tcp 80 from any", "in icmpv6 from any")
    with web_server(db.host, 80, "::"), web_server(db.host, 81, "::"):
        assert curl(lab.client, db.address) == f"hello {CLIENT6}"
        assert ping(lab.client, db.address)
        assert curl(lab.client, db.address, 81) is None


def test_a_pool_grows_and_shrinks_under_traffic(lab, tenant):
    more = "2001:db8:2::"
    netns.ip("-n", lab.client.namespace, "route", "add", f"{more}/64", "dev", "eth0", "src", CLIENT6)
    lab.gateway.portctl("pool", "create", "more", f"{more}/126")
    try:
        host = lab.vms["web"]
        lab.gateway.portctl("vm", "create", "web", "--port", host.port, "--mac", host.mac, "--dip6", host.address6)
        web = Endpoint(host, lab.gateway.portctl("eip", "request", "web", "--pool", "more", "--family", "6")["eip"]["address"],
                       lab.gateway)
        assert web.address == f"{more}1"
        web.permit("perf=in tcp 5201 from any", "in tcp 80 from any")
        with (iperf_server(web.host), web_server(web.host, address="::"),
              iperf_running(lab.client, web.address)):
            assert_flows(web)
            for length in (64, 112, 48, 126):
                lab.gateway.portctl("pool", "update", "more", f"{more}/{length}")
                assert_flows(web)
                assert curl(lab.client, web.address) == f"hello {CLIENT6}"
            with pytest.raises(Refused, match="does not hand out"):
                lab.gateway.portctl("pool", "update", "more", f"{more}2/127")
            assert_flows(web)
        web.release()
    finally:
        tenant.clear()
        lab.gateway.portctl("pool", "delete", "more")
        netns.ip("-n", lab.client.namespace, "route", "del", f"{more}/64", "dev", "eth0")


@pytest.mark.parametrize("other", ["app", "db"])
def test_one_endpoint_reaches_another_if_both_permit(lab, request_eip, other):
    # The other first: its private address may be what the pool would give to web.
    there, web = request_eip(other), request_eip("web")
    with web_server(there.host, 80, "::"):
        web.permit("out tcp to any port 80")
        with lab.gateway.drops() as drops:
            assert curl(web.host, there.address) is None
        assert refused(drops, "destination_not_permitted")
        there.permit(f"in tcp 80 from {web.address}")
        assert curl(web.host, there.address) == f"hello {web.address}"


def test_tags_name_remotes(lab, request_eip):
    web, app = request_eip("web"), request_eip("app")
    web.permit("out icmpv6 to any")
    app.permit("in icmpv6 from tag:front")
    assert not ping(web.host, app.address)
    web.tag("front")
    assert ping(web.host, app.address)


def test_both_families_of_one_vm(lab, request_eip):
    web = request_eip("web", "--dip", lab.vms["web"].address)
    four = lab.gateway.portctl("eip", "request", "web", "--family", "4")["eip"]["address"]
    lab.gateway.portctl("permit", "set", four, "in icmp from any")
    assert ping(lab.client, four)
    assert not ping(lab.client, web.address)
    web.permit("in icmpv6 from any")
    assert ping(lab.client, web.address)
    with pytest.raises(Refused, match="IPv6"):
        web.permit("in tcp 80 from 192.0.2.0/24")


@pytest.mark.parametrize("options", [(), ("--reverse",), ("--udp", "--bitrate", "20M")], ids=["tcp", "reverse", "udp"])
def test_iperf3(lab, request_eip, options):
    web = request_eip("web")
    web.permit("in tcp 5201 from any", "in udp 5201 from any")
    with iperf_server(web.host):
        report = iperf(lab.client, web.address, *options)
    assert report["end"]["sum" if "--udp" in options else "sum_received"]["bytes"] > 1_000_000


def test_a_withdrawn_rule_stops_a_connection(lab, request_eip):
    web = request_eip("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host), iperf_running(lab.client, web.address):
        with web.host.raw() as port:
            port.wait_for(bytes.fromhex("86dd"))
        web.permit("in icmpv6 from any")
        with web.host.raw() as port:
            assert wait_for_drops(lab, "destination_not_permitted")
            packed = socket.inet_pton(socket.AF_INET6, CLIENT6)
            assert not [frame for frame in port.received() if frame[22:38] == packed], "it still comes through"


def test_traceroute_both_ways(lab, request_eip):
    web = request_eip("web")
    web.permit("out udp to any", "in udp from any")
    assert traceroute(web.host, CLIENT6) == ["fe80::1%eth0", CLIENT6]
    assert traceroute(lab.client, web.address) == [GATEWAY6, web.address]
    web.permit("in tcp 80 from any")
    assert traceroute(lab.client, web.address) == ["*"] * 5


def test_path_mtu_both_ways(lab, request_eip):
    app = request_eip("app")
    app.permit("out udp to any", "in udp from any", "in tcp 5201 from any")
    assert path_mtu(lab.client, app.address) == 1400
    with iperf_server(app.host):
        assert iperf(lab.client, app.address)["end"]["sum_received"]["bytes"] > 1_000_000
    web = request_eip("web")
    web.permit("out udp to any")
    assert path_mtu(web.host, app.address) == 1400


@pytest.fixture(scope="module", name="far")
def _far(lab):
    return lab.host_behind_client("far", FAR6, ROUTER6, 1450)


def test_a_router_beyond_tells_of_hop_limits_and_its_link(lab, request_eip, far):
    """Time Exceeded and Packet Too Big of somebody else, about what a vm has sent: they are quoted as it sent it."""
    web = request_eip("web")
    web.permit("out udp to any", "out tcp to any port 5201")
    assert traceroute(web.host, FAR6) == ["fe80::1%eth0", CLIENT6, FAR6]
    with iperf_server(far):
        assert iperf(web.host, FAR6)["end"]["sum_received"]["bytes"] > 1_000_000
    assert path_mtu(web.host, FAR6) == 1450
    web.permit()
    with lab.gateway.drops() as drops:
        assert set(traceroute(web.host, FAR6)) == {"*"}
    assert refused(drops, "source_not_permitted"), "who may not send is told nothing"
    web.host.run("ip", "-6", "route", "flush", "cache", check=True)


@contextlib.contextmanager
def echo(host: Host, port: int):
    """Sends one datagram back."""
    with netns.entered(host.namespace):
        server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with server:
        server.bind(("::", port))
        server.settimeout(2)
        yield lambda: server.sendto(*server.recvfrom(65535))


def sent(host: Host, address: str, port: int, size: int) -> socket.socket:
    with netns.entered(host.namespace):
        made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.settimeout(2)
    made.sendto(bytes(n % 251 for n in range(size)), (address, port))
    return made


def test_the_gateway_answers_pings_by_its_own_list(lab, request_eip):
    del request_eip
    assert ping(lab.client, GATEWAY6, count=3)
    with lab.gateway.drops() as drops:
        assert curl(lab.client, GATEWAY6) is None
    assert refused(drops, "gateway_not_permitted")


def test_datagrams_one_frame_long(lab, request_eip):
    web = request_eip("web")
    web.permit("in udp 9000 from any")
    with echo(web.host, 9000) as answer, sent(lab.client, web.address, 9000, 1400) as client:
        answer()
        assert len(client.recv(65535)) == 1400
    with echo(web.host, 9001) as answer, sent(lab.client, web.address, 9001, 1400), pytest.raises(TimeoutError):
        answer()


def test_a_list_of_thousands_of_rules(lab, request_eip):
    """What one of 3,000 compiled rules permits passes and is counted for it; its neighbours do not pass."""
    web = request_eip("web")
    strangers = [f"2001:db8:e{n % 16:x}:{n:x}::/64" if n % 3 else f"2001:db8:f00::{n + 0x100:x}" for n in range(2700)]
    rules = [f"many{k}=in udp {7000 + k} from {','.join(strangers[k::9])}" for k in range(9)]
    ports = [f"port{k}=in udp {8000 + 2 * k} from any" for k in range(299)]
    web.permit(*rules, *ports, f"one=in udp 7004 from {CLIENT6}")
    for port in (7004, 8596):
        with echo(web.host, port) as answer, sent(lab.client, web.address, port, 100) as client:
            answer()
            assert len(client.recv(65535)) == 100
    hits = web.rule_hits()
    assert (hits["one"], hits["port298"], sum(hits.values())) == (2, 2, 4), "there and back"
    for port in (7003, 7005, 8595):
        with lab.gateway.drops() as drops:
            assert_unheard(lab, web, port)
        assert refused(drops, "destination_not_permitted")
    web.permit(*rules, *ports)
    with lab.gateway.drops() as drops:
        assert_unheard(lab, web, 7004)
    assert refused(drops, "destination_not_permitted")


def assert_unheard(lab, web, port: int) -> None:
    with echo(web.host, port) as answer, sent(lab.client, web.address, port, 100), pytest.raises(TimeoutError):
        answer()
