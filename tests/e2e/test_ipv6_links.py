"""IPv6 endpoints behind VLANs and tunnels (test_links.py has IPv4's): Neighbor Discovery, TCP and pings by each link,
the allow and the deny. All these vms have the same private address at the same port."""

import pytest

from lab import CLIENT6, LINKED_VMS
from programs import curl, iperf, iperf_server, ping, web_server

LAB = {"ipv6": True, "links": True}
ALL = sorted(LINKED_VMS)


@pytest.mark.parametrize("name", ALL)
def test_default_off_and_permitted_alone(lab, tenant, name):
    vm = tenant.endpoint6(name)
    with web_server(vm.host, address="::"), web_server(vm.host, 81, "::"), web_server(lab.client, address="::"):
        with lab.gateway.drops() as drops:
            assert curl(lab.client, vm.address) is None
        assert drops.reasons() == {"unbound"}
        with lab.gateway.drops() as drops:
            assert curl(vm.host, CLIENT6) is None
        assert drops.reasons() == {"source_not_permitted"}
        vm.permit("in tcp 80 from any", "in icmpv6 from any", "out tcp to any port 80")
        assert ping(lab.client, vm.address, count=3)
        assert curl(lab.client, vm.address) == f"hello {CLIENT6}"
        assert curl(vm.host, CLIENT6) == f"hello {vm.address}"
        with lab.gateway.drops() as drops:
            assert curl(lab.client, vm.address, 81) is None
        assert drops.reasons() == {"destination_not_permitted"}


@pytest.mark.parametrize("name", ALL)
def test_bulk(lab, tenant, name):
    vm = tenant.endpoint6(name)
    vm.permit("in tcp 5201 from any", "in icmpv6 from any")
    with iperf_server(vm.host):
        for options in ((), ("--reverse",)):
            report = iperf(lab.client, vm.address, *options, seconds=1)
            assert report["end"]["sum_received"]["bytes"] > 100_000


@pytest.mark.parametrize("one, other", [("vxlan", "qinq"), ("geneve", "vxlan6"), ("vlan", "web")])
def test_two_talk_and_only_as_both_permit(lab, tenant, one, other):
    first, second = tenant.endpoint6(one), tenant.endpoint6(other)
    first.permit("out tcp to any port 80")
    with web_server(second.host, address="::"):
        with lab.gateway.drops() as drops:
            assert curl(first.host, second.address) is None
        assert drops.reasons() == {"destination_not_permitted"}
        second.permit(f"in tcp 80 from {first.address}")
        assert curl(first.host, second.address) == f"hello {first.address}"
