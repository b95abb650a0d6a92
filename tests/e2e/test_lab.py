"""The laboratory itself leaves nothing behind, however its process ends."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

HOLDER = """
import sys, time
from lab import Lab
from programs import iperf_running, iperf_server
from tenant import Tenant
with Lab() as lab:
    lab.gateway.start()
    lab.wait_for_next_hop()
    web = Tenant(lab).endpoint("web")
    web.permit("in tcp 5201 from any")
    with iperf_server(web.host), iperf_running(lab.client, web.address):
        print(lab.name, flush=True)
        if sys.argv[1] == "closed":
            sys.exit()
        time.sleep(60)
"""


def traces(name: str) -> list[str]:
    """Namespaces, files and processes that bear the laboratory's name or lived in its namespaces."""
    namespaces = [str(path) for path in pathlib.Path("/run/netns").glob(f"{name}-*")]
    files = [path for path in (f"/tmp/{name}", f"/run/dpdk/{name}") if pathlib.Path(path).exists()]
    processes = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"/tmp/{name}" in words or f"{name}-" in words:
            processes.append(words)
    return namespaces + files + processes


@pytest.mark.parametrize("how", ["closed", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left(how):
    # A shell that starts the tests in the background has them ignore SIGINT, and they would hand that down.
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, cwd=pathlib.Path(__file__).parent,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    name = holder.stdout.readline().strip()
    assert name.startswith("pc")
    if how != "closed":
        assert traces(name)
        holder.send_signal(getattr(signal, how))
    holder.wait(timeout=30)
    deadline = time.monotonic() + 10
    while left := traces(name):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
