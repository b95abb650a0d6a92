"""A vm on a vhost-user port: the virtio device is DPDK's virtio-user, behind which a real host speaks. The allow and
the deny, both ways, and a device that goes and comes again."""

import pytest

from programs import assert_default_off, assert_permitted_alone, assert_talk_as_both_permit, iperf, iperf_server, ping

LAB = {"guests": ("vhost",)}


@pytest.fixture(name="guest")
def _guest(lab, tenant):
    device = start(lab)
    yield tenant.endpoint("vhost")
    end(lab, device)


def start(lab):
    device = lab.start_guest("vhost")
    lab.wait_for_link("ep-vhost", up=True)
    return device


def end(lab, device) -> None:
    device.terminate()
    device.wait(timeout=20)
    lab.wait_for_link("ep-vhost", up=False)


def test_default_off(lab, guest):
    assert_default_off(lab, guest)


def test_permitted_inward_and_outward(lab, guest):
    assert_permitted_alone(lab, guest)


def test_bulk(lab, guest):
    guest.permit("in tcp 5201 from any")
    with iperf_server(guest.host):
        for options in ((), ("--reverse",)):
            assert iperf(lab.client, guest.address, *options, seconds=1)["end"]["sum_received"]["bytes"] > 1_000_000


def test_another_ports_vm_and_the_guest_talk(lab, tenant, guest):
    assert_talk_as_both_permit(lab, guest, tenant.endpoint("web"))


def test_a_device_that_comes_again_is_served(lab, tenant):
    guest = tenant.endpoint("vhost")
    guest.permit("in icmp from any")
    for _ in range(3):
        device = start(lab)
        assert ping(lab.client, guest.address, count=3)
        end(lab, device)
        assert not ping(lab.client, guest.address)
