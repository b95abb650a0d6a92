"""A vm on a vhost-user port: the virtio device is DPDK's virtio-user, behind which a real host speaks. The allow and
the deny, both ways, and a device that goes and comes again."""

import time

import pytest

from lab import CLIENT
from programs import curl, iperf, iperf_server, ping, web_server

LAB = {"vhost": True}


@pytest.fixture(name="guest")
def _guest(lab, tenant):
    device = lab.start_virtio()
    wait_for_link(lab, up=True)
    yield tenant.endpoint("guest")
    end(device)
    wait_for_link(lab, up=False)


def end(device) -> None:
    device.terminate()
    device.wait(timeout=20)


def wait_for_link(lab, up: bool) -> None:
    deadline = time.monotonic() + 20
    while lab.port("ep-vhost").get("linkUp", False) != up:
        assert time.monotonic() < deadline, f"the virtio device does not {'appear' if up else 'go'}"
        time.sleep(0.05)


def test_default_off(lab, guest):
    with web_server(guest.host), web_server(lab.client):
        with lab.gateway.drops() as drops:
            assert curl(lab.client, guest.address) is None
        assert set(drops.moved) == {"unbound"}
        with lab.gateway.drops() as drops:
            assert curl(guest.host, CLIENT) is None
        assert set(drops.moved) == {"source_not_permitted"}


def test_permitted_inward_and_outward(lab, guest):
    guest.permit("in tcp 80 from any", "in icmp from any", "out tcp to any port 80")
    with web_server(guest.host), web_server(guest.host, 81), web_server(lab.client):
        assert ping(lab.client, guest.address, count=5)
        assert curl(lab.client, guest.address) == f"hello {CLIENT}"
        assert curl(guest.host, CLIENT) == f"hello {guest.address}"
        with lab.gateway.drops() as drops:
            assert curl(lab.client, guest.address, 81) is None
        assert set(drops.moved) == {"destination_not_permitted"}


def test_bulk(lab, guest):
    guest.permit("in tcp 5201 from any")
    with iperf_server(guest.host):
        for options in ((), ("--reverse",)):
            assert iperf(lab.client, guest.address, *options, seconds=1)["end"]["sum_received"]["bytes"] > 1_000_000


def test_another_ports_vm_and_the_guest_talk(lab, tenant, guest):
    web = tenant.endpoint("web")
    guest.permit("out tcp to any port 80")
    with web_server(web.host):
        with lab.gateway.drops() as drops:
            assert curl(guest.host, web.address) is None
        assert set(drops.moved) == {"destination_not_permitted"}
        web.permit(f"in tcp 80 from {guest.address}")
        assert curl(guest.host, web.address) == f"hello {guest.address}"


def test_a_device_that_comes_again_is_served(lab, tenant):
    guest = tenant.endpoint("guest")
    guest.permit("in icmp from any")
    for _ in range(3):
        device = lab.start_virtio()
        wait_for_link(lab, up=True)
        assert ping(lab.client, guest.address, count=3)
        end(device)
        wait_for_link(lab, up=False)
        assert not ping(lab.client, guest.address)
