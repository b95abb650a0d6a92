"""IPv6 endpoints behind VLANs and tunnels (test_links.py has IPv4's): Neighbor Discovery, TCP and pings by each link,
the allow and the deny. All these vms have the same private address at the same port."""

import pytest

from lab import LINKED_VMS
from programs import assert_bulk, assert_default_off, assert_permitted_alone, assert_talk_as_both_permit

LAB = {"ipv6": True, "links": True}


@pytest.mark.parametrize("name", sorted(LINKED_VMS))
def test_default_off_and_then_permitted_alone(lab, tenant, name):
    vm = tenant.endpoint6(name)
    assert_default_off(lab, vm)
    assert_permitted_alone(lab, vm)
    assert_bulk(lab, vm, least=100_000)


@pytest.mark.parametrize("one, other", [("vxlan", "qinq"), ("geneve", "vxlan6"), ("vlan", "web")])
def test_two_talk_and_only_as_both_permit(lab, tenant, one, other):
    assert_talk_as_both_permit(lab, tenant.endpoint6(one), tenant.endpoint6(other))
