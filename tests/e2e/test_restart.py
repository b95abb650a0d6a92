"""A gateway that ends, however it ends, comes back as the one it was."""

import subprocess
import time

import pytest

import netns
from gateway import PORTCULLISD, Refused
from lab import CLIENT
from programs import curl, ping, web_server


def end(gateway, how: str) -> None:
    if how == "asked":
        assert gateway.stop() == 0
    else:
        gateway.kill()


def everything(gateway) -> dict:
    """All that can be asked for, but how many addresses are free: that changes as they come out of quarantine."""
    pools = gateway.portctl("pool", "list")["pools"]
    eips = gateway.portctl("eip", "list", "--tenant", "-")["eips"]
    return {"eips": eips,
            "vms": gateway.portctl("vm", "list", "--tenant", "-"),
            "pools": [{key: value for key, value in pool.items() if key != "free"} for pool in pools],
            "permit": [gateway.portctl("permit", "get", eip["name"]) for eip in eips],
            "generation": gateway.portctl("show", "gateway")["generation"]}


@pytest.mark.parametrize("how", ["asked", "killed"])
def test_state_and_traffic_after_a_restart(lab, tenant, how):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("in tcp 80 from any", "out tcp to tag:app port 80")
    app.permit("in tcp 80 from tag:web")
    app.tag("app", "green")
    web.tag("web")
    before = everything(lab.gateway)

    end(lab.gateway, how)
    lab.gateway.start()
    lab.wait_for_next_hop()

    assert everything(lab.gateway) == before
    with web_server(web.host), web_server(app.host), lab.gateway.drops() as drops:
        assert curl(lab.client, web.address) == f"hello {CLIENT}"
        assert curl(web.host, app.address) == f"hello {web.address}"
        assert curl(lab.client, app.address) is None
        assert not ping(lab.client, web.address)
    assert set(drops.moved) == {"unbound", "destination_not_permitted"}


def test_an_outward_connection_goes_on_after_a_restart(lab, tenant):
    """Its entry is gone with the process; the vm's next segment makes it anew, and the peer's alone does not."""
    web = tenant.endpoint("web")
    web.permit("out tcp to any port 9000")
    with lab.client.listener(9000) as listener, web.host.tcp() as near:
        near.connect((CLIENT, 9000))
        far, _ = listener.accept()
        far.settimeout(5)
        with far:
            lab.gateway.kill()
            lab.gateway.start()
            lab.wait_for_next_hop()
            assert lab.gateway.flow_entries() == 0
            near.sendall(b"still here")
            assert far.recv(100) == b"still here"
            far.sendall(b"so am I")
            assert near.recv(100) == b"so am I"


def test_a_quarantine_survives_a_restart(lab, tenant):
    lab.gateway.portctl("pool", "create", "rest", "203.0.113.129/32")
    web = tenant.endpoint("web", "--pool", "rest")
    web.release()
    released = time.monotonic()
    lab.gateway.kill()
    lab.gateway.start()
    if time.monotonic() < released + 1.5:
        with pytest.raises(Refused):
            tenant.endpoint("web", "--pool", "rest")
    time.sleep(max(0.0, released + 2.1 - time.monotonic()))
    assert tenant.endpoint("web", "--pool", "rest").address == web.address


def test_a_second_gateway_on_the_same_store_is_refused(lab):
    with netns.entered(lab.gateway.namespace):
        second = subprocess.run([PORTCULLISD, "--config", lab.gateway.config],
                                capture_output=True, text=True, check=False, timeout=20)
    assert second.returncode not in (0, -6, -11), second.stderr
    lab.gateway.portctl("show", "workers")
