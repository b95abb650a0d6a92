"""The store's disk is full: changes are refused whole and say so, traffic goes on, and room mends it. Workers do not
stall meanwhile."""

import contextlib
import pathlib

import pytest

from api import Api
from gaps import STALL, gaps, stolen
from gateway import Refused
from lab import CLIENT
from programs import curl, ping, web_server


@contextlib.contextmanager
def small_disk(gateway):
    """The gateway with its store, a new one, on a file system of 4 MiB of its own. Gives that."""
    assert gateway.stop() == 0
    store = gateway.directory / "store"
    stolen_at_start = stolen()
    gateway.start(wrapper=("sh", "-c", f'mount -t tmpfs -o size=4m tmpfs "{store}" && exec "$0" "$@"'))
    yield pathlib.Path(f"/proc/{gateway.process.pid}/root{store}")
    with Api(gateway.socket) as api:
        seen = gaps(gateway, api, stolen_at_start)
    print(seen)
    assert seen.own() < STALL
    assert gateway.stop() == 0
    gateway.start()


def fill(directory: pathlib.Path) -> pathlib.Path:
    filler = directory / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def test_changes_are_refused_and_traffic_goes_on(lab, tenant):
    with small_disk(lab.gateway) as disk:
        lab.wait_for_next_hop()
        web = tenant.endpoint("web")
        web.permit("in tcp 80 from any", "in icmp from any")
        filler = fill(disk)
        before = lab.gateway.portctl("show", "gateway")["generation"]
        with web_server(web.host), web_server(web.host, 81):
            with pytest.raises(Refused) as refused:
                web.permit("in tcp 81 from any")
            assert "RESOURCE_EXHAUSTED" in refused.value.message
            assert "make room on its disk" in refused.value.message
            assert lab.gateway.portctl("show", "gateway")["generation"] == before
            assert curl(lab.client, web.address) == f"hello {CLIENT}"
            assert ping(lab.client, web.address, count=5)
            with lab.gateway.drops() as drops:
                assert curl(lab.client, web.address, 81) is None
            assert drops.reasons() == {"destination_not_permitted"}

            filler.unlink()
            web.permit("in tcp 81 from any")
            assert curl(lab.client, web.address, 81) == f"hello {CLIENT}"
            with lab.gateway.drops() as drops:
                assert curl(lab.client, web.address) is None
            assert drops.reasons() == {"destination_not_permitted"}
        tenant.clear()
