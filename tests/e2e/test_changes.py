"""Changes that are more than one call of one object, and what holds of them on the wire."""

import json

import grpc
import pytest

from api import Api, new
from gateway import Refused
from lab import CLIENT
from programs import curl, iperf_running, iperf_server, web_server
from test_revocation import assert_flows, assert_silence


def test_rules_come_and_go_by_name_and_leave_the_others(lab, tenant):
    web = tenant.endpoint("web")
    web.permit("perf=in tcp 5201 from any")
    with iperf_server(web.host), web_server(web.host), iperf_running(lab.client, web.address):
        assert_flows(web)
        assert curl(lab.client, web.address) is None
        lab.gateway.portctl("permit", "add", web.address, "web=in tcp 80 from any")
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
        try:
            lab.gateway.portctl("permit", "add", web.address, "web=in tcp 443 from any")
            raise AssertionError("another rule of that name was taken")
        except Refused as refusal:
            assert "another rule 'web'" in refusal.message
        assert_flows(web)
        lab.gateway.portctl("permit", "remove", web.address, "web")
        assert curl(lab.client, web.address) is None
        assert_flows(web)
        lab.gateway.portctl("permit", "remove", web.address, "perf")
        assert_silence(web.host)


def write(lab, name: str, text: str) -> str:
    path = lab.gateway.directory / name
    path.write_text(text)
    return str(path)


def test_many_changes_are_one_and_are_enforced_at_its_reply(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.create_vm("app")
    before = int(lab.gateway.portctl("show", "gateway")["generation"])
    rule = 'rules { name: "web" direction: INBOUND protocol: "tcp" local_ports { first: 80 last: 80 } remote { %s } }'
    eip = f"tenants/default/eips/{web.address}"
    operations = write(lab, "operations.txtpb", f"""
        operations {{ set_permit_list {{ eip: "{eip}" {rule % "any: true"} }} }}
        operations {{ set_tag {{ eip: "{eip}" tags: "web" }} }}
        operations {{ request_eip {{ vm: "tenants/default/vms/app" }} }}""")
    dry = lab.gateway.portctl("apply", "-f", operations, "--dry-run")
    assert int(dry["generation"]) == before and len(dry["changes"]) == 2
    with web_server(web.host):
        assert curl(lab.client, web.address) is None
        done = lab.gateway.portctl("apply", "-f", operations, "--expected-generation", str(before))
        assert int(done["generation"]) == before + 1
        assert curl(lab.client, web.address) == f"hello {CLIENT}"

        # Again: nothing changes. One that is refused takes the others with it.
        assert lab.gateway.portctl("apply", "-f", operations)["changes"] == []
        bad = write(lab, "bad.txtpb", f"""
            operations {{ set_permit_list {{ eip: "{eip}" }} }}
            operations {{ delete_vm {{ name: "tenants/default/vms/app" }} }}""")
        try:
            lab.gateway.portctl("apply", "-f", bad)
            raise AssertionError("a vm with an EIP was deleted")
        except Refused as refusal:
            assert "operations[1].delete_vm.name" in refusal.message
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    assert int(lab.gateway.portctl("show", "gateway")["generation"]) == before + 1
    assert app.address


def test_a_document_brings_a_state_back(lab, tenant):
    """Also to a gateway that has lost its store; and as it is there already, it changes nothing and cuts nothing."""
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any", "perf=in tcp 5201 from any")
    web.tag("web")
    document = lab.gateway.portctl("export")
    exported = write(lab, "state.json", json.dumps(document))
    with iperf_server(web.host), iperf_running(lab.client, web.address):
        assert_flows(web)
        lab.gateway.kill()
        lab.gateway.start()
        lab.wait_for_next_hop()
        again = lab.gateway.portctl("import", "-f", exported)
        assert again["changes"] == [] and again["generation"] == document["generation"]
        assert_flows(web)

    lab.gateway.kill()
    for store in (lab.gateway.directory / "store").iterdir():
        store.unlink()
    lab.gateway.start()
    lab.wait_for_next_hop()
    with web_server(web.host):
        assert curl(lab.client, web.address) is None
        lab.gateway.portctl("import", "-f", exported)
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
    now = lab.gateway.portctl("export")
    for what in ("pools", "vms", "eips"):
        assert now[what] == document[what]


def test_a_request_id_outlives_the_process(lab, tenant):
    """A call whose answer was lost is made again after a crash: it gets the same answer, and undoes nothing."""
    web = tenant.endpoint("web")
    rule = ("permit", "set", web.address, "in tcp 80 from any", "--request-id", "5f0c9c8e-web")
    with web_server(web.host):
        first = lab.gateway.portctl(*rule)
        lab.gateway.kill()
        lab.gateway.start()
        lab.wait_for_next_hop()
        assert lab.gateway.portctl(*rule) == first
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
        web.permit()
        assert lab.gateway.portctl(*rule) == first
        assert curl(lab.client, web.address) is None
        try:
            lab.gateway.portctl("permit", "set", web.address, "--empty", "--request-id", "5f0c9c8e-web")
            raise AssertionError("an id was taken for another request")
        except Refused as refusal:
            assert "request_id" in refusal.message


def test_events_come_when_they_are_enforced_and_without_a_gap(lab, tenant):
    web = tenant.endpoint("web")
    with web_server(web.host), Api(lab.gateway.socket) as api:
        now = int(lab.gateway.portctl("show", "gateway")["generation"])
        events = api.observe.WatchEvents(new("WatchEventsRequest", parent="tenants/default", after_generation=now),
                                         timeout=60)
        for turn in range(20):
            web.permit(*["in tcp 80 from any"] * (turn % 2 == 0))
            event = next(events)
            assert event.generation == now + turn + 1
            assert [change.name for change in event.changes] == [f"tenants/default/eips/{web.address}"]
            assert (curl(lab.client, web.address) is not None) == (turn % 2 == 0)
        events.cancel()

    lab.gateway.kill()
    lab.gateway.start()
    lab.wait_for_next_hop()
    with Api(lab.gateway.socket) as api:
        late = api.observe.WatchEvents(new("WatchEventsRequest", parent="tenants/-", after_generation=now), timeout=20)
        with pytest.raises(grpc.RpcError) as refusal:
            next(late)
        assert refusal.value.code() == grpc.StatusCode.OUT_OF_RANGE
        assert f"events after generation {now + 20} are" in refusal.value.details()


def test_a_pool_grows_and_shrinks_under_traffic(lab, tenant):
    lab.gateway.portctl("pool", "create", "more", "203.0.113.128/30")
    web = tenant.endpoint("web", "--pool", "more")
    web.permit("perf=in tcp 5201 from any", "in tcp 80 from any")
    with iperf_server(web.host), web_server(web.host), iperf_running(lab.client, web.address):
        assert_flows(web)
        for prefix in ("203.0.113.128/26", "203.0.113.128/29", "203.0.113.128/30"):
            lab.gateway.portctl("pool", "update", "more", prefix)
            assert_flows(web)
            assert curl(lab.client, web.address) == f"hello {CLIENT}"
        with pytest.raises(Refused):
            lab.gateway.portctl("pool", "update", "more", "203.0.113.130/31")
        assert_flows(web)
    web.release()
    lab.gateway.portctl("pool", "delete", "more")
