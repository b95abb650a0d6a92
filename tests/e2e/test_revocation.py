"""What is withdrawn stops at once, in mid-flow too; an address that comes back brings nothing with it."""

import time

from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether

from frames import inward, marker
from gateway import Refused
from lab import CLIENT
from programs import curl, iperf_running, iperf_server, udp_echo, web_server


def assert_flows(endpoint) -> None:
    """The endpoint's counters rise."""
    before = int(endpoint.statistics()["inPackets"])
    deadline = time.monotonic() + 5
    while int(endpoint.statistics()["inPackets"]) < before + 500:
        assert time.monotonic() < deadline, "the flow does not come up"
        time.sleep(0.05)


def assert_silence(host, seconds: float = 1) -> None:
    """The host receives nothing but ARP."""
    with host.raw() as port:
        time.sleep(seconds)
        assert [frame for frame in port.received() if frame[12:14] != b"\x08\x06"] == []


def test_withdrawing_an_inward_rule_stops_iperf3(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host), iperf_running(lab.client, web.address):
        assert_flows(web)
        web.permit()
        assert_silence(web.host)
        web.permit("in tcp 5201 from any")
        assert_flows(web)  # the same connection goes on: it was the gateway that held it


def test_withdrawing_an_outward_rule_stops_iperf3(lab, tenant):
    """This one has a flow entry, and loses its power with the rule that made it."""
    web = tenant.endpoint("web")
    web.permit("out tcp to any port 5201")
    with iperf_server(lab.client), iperf_running(web.host, CLIENT):
        assert_flows(web)
        web.permit("out udp to any")
        assert_silence(lab.client)


def test_narrowing_a_rule_stops_what_it_no_longer_covers(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(f"in tcp 5201-5202 from {CLIENT}")
    with iperf_server(web.host), iperf_running(lab.client, web.address):
        assert_flows(web)
        web.permit(f"in tcp 5202 from {CLIENT}")
        assert_silence(web.host)


def test_keep_established_lets_a_tracked_flow_finish_and_no_other_begin(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("out tcp to any port 5201", "out tcp to any port 80")
    with iperf_server(lab.client), web_server(lab.client), iperf_running(web.host, CLIENT):
        assert_flows(web)
        web.permit(keep_established=True)
        assert_flows(web)
        assert curl(web.host, CLIENT) is None
        web.permit("in icmp from any")  # an ordinary change ends the grace
        assert_silence(lab.client)


def test_two_vms_talk_by_tag_until_it_is_taken_away(lab, tenant):
    app, db = tenant.endpoint("app"), tenant.endpoint("db")
    app.permit("out tcp to tag:db")
    db.permit("in tcp 5201 from tag:app")
    with iperf_server(db.host):
        with lab.gateway.drops() as drops:
            assert not connects(app.host, db.address, 5201)
        assert set(drops.moved) == {"source_not_permitted"}
        db.tag("db")
        with lab.gateway.drops() as drops:
            assert not connects(app.host, db.address, 5201)
        assert set(drops.moved) == {"destination_not_permitted"}
        app.tag("app")
        with iperf_running(app.host, db.address):
            assert_flows(db)
            app.tag()  # the sender's tag, which db's list names
            assert_silence(db.host)
            app.tag("app")
            assert_flows(db)
            db.tag()  # the receiver's tag, which app's list names: app holds a flow entry
            assert_silence(db.host)


def connects(host, address: str, port: int) -> bool:
    with host.tcp() as connection:
        connection.settimeout(0.7)
        try:
            connection.connect((address, port))
            return True
        except TimeoutError:
            return False


def test_vms_at_one_port_and_with_one_private_address(lab, tenant):
    """db and dbx share a port; web and app share a private address."""
    endpoints = {name: tenant.endpoint(name) for name in ("web", "app", "db", "dbx")}
    for name, endpoint in endpoints.items():
        endpoint.tag(name)
    for source, target in (("web", "app"), ("app", "web"), ("db", "dbx"), ("web", "dbx")):
        lab.cut_connections()
        for endpoint in endpoints.values():
            endpoint.permit()
        endpoints[source].permit(f"out tcp to tag:{target} port 80")
        with web_server(endpoints[target].host):
            assert curl(endpoints[source].host, endpoints[target].address) is None
            endpoints[target].permit(f"in tcp 80 from tag:{source}")
            assert curl(endpoints[source].host, endpoints[target].address) == f"hello {endpoints[source].address}"
            lab.cut_connections()
            # Only tags are named: from the uplink these addresses do not exist.
            with lab.gateway.drops() as drops:
                assert curl(lab.client, endpoints[target].address) is None
            assert set(drops.moved) == {"unbound"}


def test_a_released_address_rests_and_its_next_owner_inherits_no_flow(lab, tenant):
    """The quarantine is 2 s in this laboratory, and the pool has one address."""
    lab.gateway.portctl("pool", "create", "single", "203.0.113.128/32")
    rules = ("out udp to any port 9000",)
    first = tenant.endpoint("web", "--pool", "single")
    first.permit(*rules)
    with udp_echo(lab.client, 9000), first.host.udp(4000) as talker:
        talker.sendto(b"hello", (CLIENT, 9000))
        assert talker.recv(100) == b"hello"
    content = marker()
    reply = Ether(bytes(inward(lab, first) / content))
    reply[UDP].sport, reply[UDP].dport = 9000, 4000
    del reply[UDP].chksum
    with lab.client.raw() as client, first.host.raw() as port:
        client.send(bytes(reply))
        port.wait_for(content)  # the flow is alive

    first.release()
    released = time.monotonic()
    with lab.gateway.drops(expected=1) as drops, lab.client.raw() as client:
        client.send(bytes(reply))
    assert drops.moved == {"unbound": 1}

    tenant.create_vm("app")
    while (second := request_if_free(tenant, "app")) is None:
        assert time.monotonic() < released + 5, "not handed out again after its rest"
        time.sleep(0.1)
    assert time.monotonic() > released + 1.9, "handed out again while it rests"
    assert second.address == first.address

    second.permit(*rules)
    with second.host.raw() as port, lab.client.raw() as client:
        with lab.gateway.drops(expected=1) as drops:
            client.send(bytes(reply))
        assert drops.moved == {"destination_not_permitted": 1}
        assert not port.saw(content)


def request_if_free(tenant, vm):
    try:
        return tenant.endpoint(vm, "--pool", "single")
    except Refused as refused:
        assert "RESOURCE_EXHAUSTED" in refused.message or '"code": 8' in refused.message
        return None
