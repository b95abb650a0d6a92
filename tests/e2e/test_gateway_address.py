"""The gateway's own address under a gateway permit list that has a rule: ping, over the TAP."""

from lab import CLIENT, GATEWAY
from programs import curl, ping

LAB = {"gateway_permit": f"""
  permit {{ name: "ping" direction: INBOUND remote {{ prefixes {{ prefixes: "{CLIENT}/32" }} }}
           protocol: "icmp" icmp_type: 8 }}"""}


def test_a_permitted_ping_is_answered(lab):
    with lab.gateway.drops() as drops:
        assert ping(lab.client, GATEWAY, count=5)
    assert drops.moved == {}


def test_the_rule_permits_no_more_than_it_says(lab):
    with lab.gateway.drops() as drops:
        assert lab.client.run("ping", "-c", "1", "-W", "1", "-I", "192.0.2.7", GATEWAY).returncode != 0
        assert curl(lab.client, GATEWAY) is None
    assert set(drops.moved) == {"gateway_not_permitted"}


def test_a_flood_of_pings_is_policed(lab):
    """The default is 1000 packets a second and port."""
    with lab.gateway.drops(expected=1, of="punt_rate") as drops:
        lab.client.run("ping", "-f", "-l", "1500", "-c", "1500", "-W", "1", "-q", "-s", "8", GATEWAY)
    assert set(drops.moved) == {"punt_rate"}
    assert ping(lab.client, GATEWAY, count=3, seconds=2)
