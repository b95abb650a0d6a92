"""Ports of all kinds in one gateway: af_packet, TAP, memif and vhost-user, whose virtio device is DPDK's virtio-user.
Behind each a real host speaks, with the client and with a vm at another kind; the allow and the deny. And a device that
goes and comes again."""

import pytest

from programs import assert_bulk, assert_default_off, assert_permitted_alone, assert_talk_as_both_permit, ping

LAB = {"guests": ("vhost", "memif", "tap"), "workers": 2}
GUESTS = LAB["guests"]


@pytest.fixture(scope="module", autouse=True, name="devices")
def _devices(lab):
    return {name: start(lab, name) for name in GUESTS}


def start(lab, name: str):
    device = lab.start_guest(name)
    lab.wait_for_link(lab.vms[name].port, up=True)
    return device


@pytest.mark.parametrize("name", GUESTS)
def test_default_off_and_then_permitted_alone(lab, tenant, name):
    guest = tenant.endpoint(name)
    assert_default_off(lab, guest)
    assert_permitted_alone(lab, guest)
    assert_bulk(lab, guest, least=1_000_000)


@pytest.mark.parametrize("one, other", [("vhost", "memif"), ("memif", "tap"), ("tap", "web"), ("web", "vhost")])
def test_one_talks_with_another(lab, tenant, one, other):
    assert_talk_as_both_permit(lab, tenant.endpoint(one), tenant.endpoint(other))


def test_a_device_that_comes_again_is_served(lab, tenant, devices):
    guest = tenant.endpoint("vhost")
    guest.permit("in icmp from any")
    for _ in range(3):
        assert ping(lab.client, guest.address, count=3)
        devices["vhost"].terminate()
        devices["vhost"].wait(timeout=20)
        lab.wait_for_link("ep-vhost", up=False)
        assert not ping(lab.client, guest.address)
        devices["vhost"] = start(lab, "vhost")
