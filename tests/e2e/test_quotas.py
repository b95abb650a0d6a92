"""Quotas hold on the wire and at the API: the flow quota of one EIP is raised while another's stays, a tenant's is of
all its EIPs together, and its quota of EIPs and of rules refuses, then admits."""

import contextlib
import json

import pytest

from gateway import Refused
from test_limits import send_from_ports

FLOWS = 4  # of an EIP that has no quota of its own

LAB = {"flows_per_eip": FLOWS}


@pytest.fixture(autouse=True)
def defaults(lab):
    yield
    lab.gateway.portctl("quota", "clear")


def quota(lab, *words: str) -> dict[str, tuple[int, int, int]]:
    """Set, limit and used of each."""
    answer = lab.gateway.portctl("quota", "get", *words)
    return {name: tuple(int(value[field]) for field in ("set", "limit", "used"))
            for name, value in answer.items() if name != "name"}


def refusal(lab, *words: str) -> str:
    with pytest.raises(Refused) as refused:
        lab.gateway.portctl(*words)
    return refused.value.message


def arrived(far, most: int) -> int:
    """How many datagrams come, until none does for a while."""
    far.settimeout(0.5)
    count = 0
    with contextlib.suppress(TimeoutError):
        while count <= most:
            far.recv(100)
            count += 1
    return count


def open_flows(lab, endpoint, ports: range, refused: int, by: str = "flow_quota") -> None:
    """Sends a datagram from each port: all but `refused` of them reach the client, these are drops of the quota."""
    with lab.client.udp(9000) as far, lab.gateway.drops(expected=refused) as drops:
        send_from_ports(endpoint.host, ports)
        assert arrived(far, len(ports)) == len(ports) - refused
    assert drops.moved == ({by: refused} if refused else {})


def test_the_flow_quota_of_one_eip_is_raised_while_another_stays(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    for endpoint in (web, app):
        endpoint.permit("out udp to any")
    assert quota(lab, web.address)["flows"] == (0, FLOWS, 0)
    lab.gateway.portctl("quota", "set", web.address, "--flows", "10")
    open_flows(lab, web, range(5000, 5013), refused=3)
    open_flows(lab, app, range(5000, 5000 + FLOWS + 2), refused=2)
    assert quota(lab, web.address)["flows"] == (10, 10, 10)
    assert quota(lab, app.address)["flows"] == (0, FLOWS, FLOWS)
    assert int(web.statistics()["flowQuota"]) == 10

    # Raised under traffic it admits what it has refused.
    lab.gateway.portctl("quota", "set", app.address, "--flows", str(FLOWS + 2))
    open_flows(lab, app, range(5000, 5000 + FLOWS + 2), refused=0)
    # Lowered it takes nothing away, and adds nothing.
    lab.gateway.portctl("quota", "set", web.address, "--flows", "2")
    open_flows(lab, web, range(5000, 5010), refused=0)
    open_flows(lab, web, range(6000, 6003), refused=3)
    assert quota(lab, web.address)["flows"] == (2, 2, 10)


def test_a_tenants_flow_quota_is_of_all_its_eips(lab, tenant):
    lab.gateway.kill()  # entries of EIPs that earlier tests have released are the tenant's until they age
    lab.gateway.start()
    lab.wait_for_next_hop()
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    for endpoint in (web, app):
        endpoint.permit("out udp to any")
        lab.gateway.portctl("quota", "set", endpoint.address, "--flows", "100")
    assert quota(lab)["flows"] == (0, 2**32 - 1, 0)
    lab.gateway.portctl("quota", "set", "--flows", "5")
    open_flows(lab, web, range(5000, 5003), refused=0)
    open_flows(lab, app, range(5000, 5004), refused=2, by="tenant_flow_quota")
    open_flows(lab, web, range(6000, 6002), refused=2, by="tenant_flow_quota")
    open_flows(lab, web, range(5000, 5003), refused=0)  # those that are there go on
    assert quota(lab)["flows"] == (5, 5, 5)
    [listed] = lab.gateway.portctl("quota", "list")["quotas"]
    assert (listed["flows"]["limit"], int(listed["flows"]["used"])) == (5, 5)

    # Raised under traffic it admits what it has refused; cleared, everything.
    lab.gateway.portctl("quota", "set", "--flows", "6")
    open_flows(lab, app, range(5000, 5004), refused=1, by="tenant_flow_quota")
    lab.gateway.portctl("quota", "clear")
    open_flows(lab, app, range(5000, 5010), refused=0)
    assert quota(lab)["flows"] == (0, 2**32 - 1, 13)


def test_a_tenants_quota_of_eips_refuses_and_admits(lab, tenant):
    web = tenant.endpoint("web")
    lab.gateway.portctl("quota", "set", "--eips", "1")
    app = tenant.create_vm("app")
    assert "tenants/default has 1 EIPs, and its quota is 1; release one" in refusal(lab, "eip", "request", "app")
    assert quota(lab)["eips"] == (1, 1, 1)
    lab.gateway.portctl("quota", "set", "--eips", "2")
    address = lab.gateway.portctl("eip", "request", "app")["eip"]["address"]
    lab.gateway.portctl("permit", "set", address, "in udp 9000 from any")
    with app.udp(9000) as near, lab.client.udp(5000) as far:
        far.sendto(b"hello", (address, 9000))
        assert near.recv(100) == b"hello"
    # Below what there is: both stay.
    lab.gateway.portctl("quota", "set", "--eips", "1")
    assert quota(lab)["eips"] == (1, 1, 2)
    assert lab.gateway.portctl("eip", "get", web.address)["address"] == web.address


def test_a_tenants_quota_of_rules_is_of_all_its_lists(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    lab.gateway.portctl("quota", "set", "--rules", "3")
    web.permit("in udp 9000 from any", "in udp 9001 from any")
    with app.host.udp(9001) as near, lab.client.udp(5000) as far:
        said = refusal(lab, "permit", "set", app.address, "in udp 9000 from any", "in udp 9001 from any")
        assert "would have 4 rules" in said and "its quota is 3" in said
        with lab.gateway.drops(expected=1) as drops:
            far.sendto(b"refused", (app.address, 9001))
        assert drops.moved == {"unbound": 1}
        lab.gateway.portctl("quota", "set", "--rules", "4")
        app.permit("in udp 9000 from any", "in udp 9001 from any")
        far.sendto(b"admitted", (app.address, 9001))
        assert near.recv(100) == b"admitted"


def test_quotas_survive_the_process_and_come_back_with_a_document(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("out udp to any")
    lab.gateway.portctl("quota", "set", "--eips", "1", "--rules", "9", "--flows", "1")
    lab.gateway.portctl("quota", "set", web.address, "--flows", "2", "--rules", "7")
    before = int(lab.gateway.portctl("show", "gateway")["generation"])
    lab.gateway.kill()
    lab.gateway.start()
    lab.wait_for_next_hop()
    assert int(lab.gateway.portctl("show", "gateway")["generation"]) == before
    assert quota(lab)["eips"] == (1, 1, 1)
    assert quota(lab, web.address) == {"rules": (7, 7, 1), "flows": (2, 2, 0)}
    open_flows(lab, web, range(5000, 5003), refused=2, by="tenant_flow_quota")

    document = lab.gateway.directory / "quotas.json"
    exported = lab.gateway.portctl("export")
    assert exported["quotas"] == [{"name": "tenants/default/quota", "eips": 1, "rules": 9, "flows": 1}]
    document.write_text(json.dumps(exported))
    assert lab.gateway.portctl("import", "-f", str(document))["changes"] == []
    assert int(lab.gateway.portctl("show", "gateway")["generation"]) == before
    lab.gateway.portctl("quota", "clear")
    changes = lab.gateway.portctl("import", "-f", str(document))["changes"]
    assert changes == [{"name": "tenants/default/quota", "kind": "CREATED"}]
    assert quota(lab)["rules"] == (9, 9, 1)
