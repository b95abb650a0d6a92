"""Changes that are more than one call of one object, and what holds of them on the wire."""

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
