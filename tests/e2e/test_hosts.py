"""Real programs on real hosts: what a permit list lets through, and that nothing else gets through."""

import pytest

from lab import CLIENT
from programs import curl, iperf, iperf_server, nmap, ping, udp_echo, web_server


def test_nothing_reaches_an_endpoint_without_a_rule(lab, tenant):
    web = tenant.endpoint("web")
    with web_server(web.host), lab.gateway.drops() as drops:
        assert curl(lab.client, web.address) is None
        assert not ping(lab.client, web.address)
    assert set(drops.moved) == {"unbound"}


def test_an_endpoint_reaches_nothing_without_a_rule(lab, tenant):
    web = tenant.endpoint("web")
    with web_server(lab.client), lab.gateway.drops() as drops:
        assert curl(web.host, CLIENT) is None
        assert not ping(web.host, CLIENT)
    assert set(drops.moved) == {"source_not_permitted"}


def test_a_vm_without_an_eip_reaches_nothing(lab, tenant):
    web = tenant.create_vm("web")
    with lab.gateway.drops() as drops:
        assert not ping(web, CLIENT)
    assert drops.moved == {"spoofed_source": 1}


def test_curl_inward_sees_the_clients_address_and_only_the_permitted_port(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    with web_server(web.host, 80), web_server(web.host, 81):
        with lab.gateway.drops() as drops:
            assert curl(lab.client, web.address, 80) == f"hello {CLIENT}"
        assert drops.moved == {}
        with lab.gateway.drops() as drops:
            assert curl(lab.client, web.address, 81) is None
        assert set(drops.moved) == {"destination_not_permitted"}
    assert web.flow_entries() == 0, "an outsider has made the gateway keep state"


def test_an_inward_rule_is_no_way_out(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    with web_server(lab.client), lab.gateway.drops() as drops:
        assert curl(web.host, CLIENT) is None
    assert set(drops.moved) == {"source_not_permitted"}


def test_curl_outward_and_its_replies_come_back(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("out tcp to any port 80")
    with web_server(lab.client, 80), web_server(lab.client, 81):
        with lab.gateway.drops() as drops:
            assert curl(web.host, CLIENT, 80) == f"hello {web.address}"
        assert drops.moved == {}
        assert web.flow_entries() == 1
        with lab.gateway.drops() as drops:
            assert curl(web.host, CLIENT, 81) is None
        assert set(drops.moved) == {"source_not_permitted"}


def test_an_outward_rule_is_no_way_in(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("out tcp to any port 80")
    with web_server(web.host), lab.gateway.drops() as drops:
        assert curl(lab.client, web.address) is None
    assert set(drops.moved) == {"destination_not_permitted"}


def test_prefixes_tell_clients_apart(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(f"in icmp from {CLIENT}/32")
    assert ping(lab.client, web.address)
    with lab.gateway.drops() as drops:
        assert not ping_from(lab.client, "192.0.2.7", web.address)
    assert drops.moved == {"destination_not_permitted": 1}
    web.permit("in icmp from 192.0.2.0/24")
    assert ping_from(lab.client, "192.0.2.7", web.address)
    assert not ping(lab.client, web.address)


def ping_from(host, source: str, destination: str) -> bool:
    return host.run("ping", "-n", "-c", "1", "-W", "1", "-I", source, destination).returncode == 0


def test_ping_both_ways(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("in icmp from any type 8")
    assert ping(lab.client, web.address, count=5)
    assert web.flow_entries() == 0
    assert not ping(web.host, CLIENT)
    web.permit("out icmp to any type 8")
    assert ping(web.host, CLIENT, count=5)
    with lab.gateway.drops() as drops:
        assert not ping(lab.client, web.address)
    assert drops.moved == {"destination_not_permitted": 1}


@pytest.mark.parametrize("reverse", [False, True], ids=["to-vm", "from-vm"])
def test_iperf3_tcp(lab, tenant, reverse):
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host), lab.gateway.drops() as drops:
        report = iperf(lab.client, web.address, *(["--reverse"] if reverse else []))
    assert report["end"]["sum_received"]["bytes"] > 1_000_000
    assert set(drops.moved) <= {"transmit_full"}
    assert web.flow_entries() == 0
    hits = web.rule_hits()
    statistics = web.statistics()
    assert sum(hits.values()) == int(statistics["inPackets"]) + int(statistics["outPackets"])


@pytest.mark.parametrize("reverse", [False, True], ids=["to-vm", "from-vm"])
def test_iperf3_udp(lab, tenant, reverse):
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any", "in udp 5201 from any")
    with iperf_server(web.host), lab.gateway.drops() as drops:
        report = iperf(lab.client, web.address, "--udp", "--bitrate", "20M", "--length", "1400",
                       *(["--reverse"] if reverse else []))
    assert report["end"]["sum"]["packets"] > 1000
    assert report["end"]["sum"]["lost_percent"] < 5
    assert set(drops.moved) <= {"transmit_full"}


def test_iperf3_outward(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(f"out tcp to {CLIENT} port 5201")
    with iperf_server(lab.client):
        report = iperf(web.host, CLIENT)
    assert report["end"]["sum_received"]["bytes"] > 1_000_000


# nmap as an outsider sees an endpoint. Its list permits 80 (served), 81 (closed) and no other.

PERMITTED = ("in tcp 80-81 from any", "in udp 53-54 from any")


def test_nmap_syn_scan(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(*PERMITTED)
    with web_server(web.host, 80), web_server(web.host, 8080):
        states = nmap(lab.client, web.address, "-sS", "22,80-82,8080")
    assert states == {22: "filtered", 80: "open", 81: "closed", 82: "filtered", 8080: "filtered"}


def test_nmap_ack_scan(lab, tenant):
    web = tenant.endpoint("web")
    web.permit(*PERMITTED)
    states = nmap(lab.client, web.address, "-sA", "22,80-82,8080")
    assert states == {22: "filtered", 80: "unfiltered", 81: "unfiltered", 82: "filtered", 8080: "filtered"}


def test_nmap_udp_scan(lab, tenant):
    """A permitted port that is closed says so, by an ICMP error; what is not permitted says nothing."""
    web = tenant.endpoint("web")
    web.permit(*PERMITTED)
    with udp_echo(web.host, 53), udp_echo(web.host, 55):
        states = nmap(lab.client, web.address, "-sU", "53-55,161")
    silent = "open|filtered"
    assert states == {53: "open", 54: "closed", 55: silent, 161: silent}


def test_nmap_sees_nothing_of_an_endpoint_without_rules(lab, tenant):
    web = tenant.endpoint("web")
    with web_server(web.host, 80):
        assert nmap(lab.client, web.address, "-sS", "80-82") == {80: "filtered", 81: "filtered", 82: "filtered"}
        assert nmap(lab.client, web.address, "-sA", "80-82") == {80: "filtered", 81: "filtered", 82: "filtered"}
