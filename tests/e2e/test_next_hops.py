"""Whom the gateway knows on its links: next hops that answer ARP and Neighbor Discovery, and some that do not."""

import time

import netns
from lab import CLIENT, CLIENT_MAC, HYPERVISOR, HYPERVISOR6, LINK_PORT, METRICS, Lab

LAB = {"links": True, "metrics": True}
SILENT, SILENT6 = "192.0.2.150", "2001:db8:7::50"  # on the hypervisor's link, and nobody's


def next_hops(lab) -> dict[str, dict]:
    return {hop["address"]: hop for hop in lab.gateway.portctl("show", "next-hops").get("nextHops", [])}


def wait_for(lab, address: str, state: str) -> dict:
    deadline = time.monotonic() + 10
    while (hop := next_hops(lab)[address])["state"] != state:
        assert time.monotonic() < deadline, hop
        time.sleep(0.05)
    return hop


def gauges(lab) -> dict[tuple[str, str], int]:
    """Of the metrics page: how many, by port and state."""
    with netns.entered(lab.gateway.namespace):
        page = netns.run(["curl", "--silent", f"http://{METRICS}/metrics"]).stdout
    lines = [line.split() for line in page.splitlines() if line.startswith("portcullis_next_hops{")]
    return {tuple(name.split('"')[1::2]): int(value) for name, value in lines}


def test_the_uplinks_as_it_answers():
    with Lab() as lab:
        lab.client.run("ip", "link", "set", "eth0", "arp", "off", check=True)
        lab.gateway.start()
        time.sleep(0.5)  # it has been asked
        assert next_hops(lab) == {CLIENT: {
            "port": "ports/uplink", "family": "IPV4", "address": CLIENT, "state": "UNRESOLVED", "mac": "", "tunnels": 0,
            "remotes": []}}
        lab.client.run("ip", "link", "set", "eth0", "arp", "on", check=True)
        hop = wait_for(lab, CLIENT, "RESOLVED")
        assert hop["mac"] == CLIENT_MAC
        assert 0 <= hop["answeredSecondsAgo"] < 10


def test_of_tunnels_those_that_answer_and_those_that_do_not(lab, tenant):
    for name in ("vxlan", "geneve", "vxlan6"):
        tenant.endpoint(name)
    create = ("vm", "create", "--port", LINK_PORT, "--mac", "02:00:00:00:04:77", "--dip", "10.0.0.99")
    for number, remote in enumerate((SILENT, SILENT6)):
        lab.gateway.portctl(*create, f"lost{number}", "--vxlan", f"{remote},{6000 + number}")
        lab.gateway.portctl("eip", "request", f"lost{number}")

    for address, tunnels in ((HYPERVISOR, 2), (HYPERVISOR6, 1)):
        hop = wait_for(lab, address, "RESOLVED")
        assert (hop["port"], hop["mac"]) == (f"ports/{LINK_PORT}", lab.hypervisor.mac)
        assert (hop["tunnels"], hop["remotes"]) == (tunnels, [address])
    time.sleep(1.2)  # each has been asked twice
    for address in (SILENT, SILENT6):
        hop = next_hops(lab)[address]
        assert (hop["state"], hop["mac"], hop["tunnels"]) == ("UNRESOLVED", "", 1)
        assert "answeredSecondsAgo" not in hop
    assert gauges(lab) == {("uplink", "resolved"): 1, ("uplink", "unresolved"): 0, ("uplink", "fixed"): 0,
                           (LINK_PORT, "resolved"): 2, (LINK_PORT, "unresolved"): 2, (LINK_PORT, "fixed"): 0} | {
        (port, state): 0 for port in ("ep-web", "ep-app", "ep-db") for state in ("resolved", "unresolved", "fixed")}

    # They come up.
    for address in (f"{SILENT}/32", f"{SILENT6}/128"):
        netns.ip("-n", lab.hypervisor.namespace, "address", "add", address, "dev", "eth0")
    try:
        for address in (SILENT, SILENT6):
            assert wait_for(lab, address, "RESOLVED")["mac"] == lab.hypervisor.mac
    finally:
        for address in (f"{SILENT}/32", f"{SILENT6}/128"):
            netns.ip("-n", lab.hypervisor.namespace, "address", "del", address, "dev", "eth0")
    tenant.clear()
    assert set(next_hops(lab)) == {CLIENT}, "who serves nobody is asked for no more"
