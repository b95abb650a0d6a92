"""Ports of all kinds in one gateway: af_packet, vhost-user, memif and TAP. Each with the client, and one with another;
the allow and the deny."""

import pytest

from programs import assert_default_off, assert_permitted_alone, assert_talk_as_both_permit, iperf, iperf_server

LAB = {"guests": ("vhost", "memif", "tap"), "workers": 2}
GUESTS = LAB["guests"]


@pytest.fixture(scope="module", autouse=True)
def _guests(lab):
    for name in GUESTS:
        lab.start_guest(name)
        lab.wait_for_link(lab.vms[name].port, up=True)


@pytest.mark.parametrize("name", GUESTS)
def test_default_off(lab, tenant, name):
    assert_default_off(lab, tenant.endpoint(name))


@pytest.mark.parametrize("name", GUESTS)
def test_permitted_inward_and_outward(lab, tenant, name):
    assert_permitted_alone(lab, tenant.endpoint(name))


@pytest.mark.parametrize("name", GUESTS)
def test_bulk(lab, tenant, name):
    guest = tenant.endpoint(name)
    guest.permit("in tcp 5201 from any")
    with iperf_server(guest.host):
        for options in ((), ("--reverse",)):
            assert iperf(lab.client, guest.address, *options, seconds=1)["end"]["sum_received"]["bytes"] > 1_000_000


@pytest.mark.parametrize("one, other", [("vhost", "memif"), ("memif", "tap"), ("tap", "web"), ("web", "vhost")])
def test_one_talks_with_another(lab, tenant, one, other):
    assert_talk_as_both_permit(lab, tenant.endpoint(one), tenant.endpoint(other))
