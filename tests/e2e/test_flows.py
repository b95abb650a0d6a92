"""Flow entries as people list and clear them: with real connections, two workers, both families."""

import json

import pytest

from gateway import Refused
from lab import CLIENT, CLIENT6

LAB = {"ipv6": True, "workers": 2}


def flows(lab, *words: str) -> list[dict]:
    return lab.gateway.portctl("flows", "list", *words).get("flows", [])


def test_a_connection_is_listed_cleared_and_comes_again(lab, tenant):
    """It is the vm's to open: its next segment makes the entry anew, and until then the peer's is denied."""
    web = tenant.endpoint("web")
    web.permit("out tcp to any port 9000")
    assert flows(lab, web.address) == []
    with lab.client.listener(9000) as listener, web.host.tcp() as near:
        near.connect((CLIENT, 9000))
        far, _ = listener.accept()
        far.settimeout(5)
        with far:
            near.sendall(b"one")
            assert far.recv(100) == b"one"
            (flow,) = flows(lab, web.address)
            assert (flow["eip"], flow["remote"], flow["remotePort"]) == (web.address, CLIENT, 9000)
            assert (flow["protocol"], flow["opened"], flow["state"]) == ("tcp", "OUTBOUND", "ESTABLISHED")
            assert flow["localPort"] == near.getsockname()[1] and 7000 < flow["expiresInSeconds"] <= 7440
            for words in ([], ["--protocol", "tcp"], [web.address, "--remote", f"{CLIENT}/32"]):
                (same,) = flows(lab, *words)
                assert same["localPort"] == flow["localPort"]
            assert flows(lab, web.address, "--protocol", "udp") == []

            assert lab.gateway.portctl("flows", "clear", web.address, "--remote-port", "9001")["cleared"] == "0"
            assert lab.gateway.portctl("flows", "clear", web.address)["cleared"] == "1"
            audited = json.loads((lab.gateway.directory / "store/audit.log").read_text().splitlines()[-1])
            assert (audited["call"], audited["object"].endswith(web.address)) == ("ClearFlows", True)
            assert flows(lab) == []
            with lab.gateway.drops(expected=1) as drops:
                far.sendall(b"denied")
            assert drops.reasons() == {"destination_not_permitted"}
            near.sendall(b"two")
            assert far.recv(100) == b"two"
            near.settimeout(5)
            assert near.recv(100) == b"denied", "TCP sends it again, and there is an entry now"


def test_of_ipv6(lab, tenant):
    web = tenant.endpoint6("web")
    web.permit("out udp to any port 9000")
    with lab.client.udp(9000, CLIENT6) as far, web.host.udp(0, "::") as near:
        far.settimeout(5)
        near.settimeout(5)
        near.sendto(b"query", (CLIENT6, 9000))
        _, source = far.recvfrom(100)
        (flow,) = flows(lab, web.address)
        assert (flow["eip"], flow["remote"], flow["protocol"]) == (web.address, CLIENT6, "udp")
        assert flow["localPort"] == source[1] and flow["state"] == "STATE_UNSPECIFIED"
        far.sendto(b"answer", source)
        assert near.recv(100) == b"answer"
        assert lab.gateway.portctl("flows", "clear", "--all", "--remote", CLIENT6)["cleared"] == "1"
        with lab.gateway.drops(expected=1) as drops:
            far.sendto(b"late", source)
        assert drops.reasons() == {"destination_not_permitted"}


def test_a_tenants_own_and_what_is_wrong(lab, tenant):
    web = tenant.endpoint("web")
    with pytest.raises(Refused, match="either one EIP, or --all"):
        lab.gateway.portctl("flows", "clear")
    with pytest.raises(Refused, match="no prefix or address"):
        lab.gateway.portctl("flows", "list", web.address, "--remote", "everywhere")
    with pytest.raises(Refused, match="NOT_FOUND|does not exist"):
        lab.gateway.portctl("flows", "list", "tenants/other/eips/203.0.113.9")
