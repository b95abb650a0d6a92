"""Two workers, each with a queue of its own at every port: the kernel spreads what a port receives over both queues by
a hash of its own, so what a worker receives is often the other's; each transmits by its own queue."""

from lab import CLIENT, CLIENT_ALIASES
from programs import assert_default_off, assert_permitted_alone, assert_talk_as_both_permit, iperf, iperf_server

LAB = {"workers": 2, "queues": 2}


def test_default_off(lab, tenant):
    assert_default_off(lab, tenant.endpoint("web"))


def test_permitted_inward_and_outward(lab, tenant):
    assert_permitted_alone(lab, tenant.endpoint("web"))


def test_endpoints_talk_as_both_permit(lab, tenant):
    assert_talk_as_both_permit(lab, tenant.endpoint("web"), tenant.endpoint("db"))


def test_both_workers_receive_and_transmit(lab, tenant):
    """Connections of remotes that either owns."""
    web = tenant.endpoint("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host):
        for source in (CLIENT, *CLIENT_ALIASES):
            report = iperf(lab.client, web.address, "--parallel", "8", "--bind", source, seconds=1)["end"]
            assert report["sum_received"]["bytes"] > 1_000_000
    workers = lab.gateway.portctl("show", "workers")["workers"]
    assert all(int(worker.get("received", 0)) > 0 and int(worker.get("transmitted", 0)) > 0 for worker in workers)
