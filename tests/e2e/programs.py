"""Real programs on the hosts of the laboratory."""

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from lab import Host
from netns import Tcp, tcp_sockets

STOP = b"stop, please"
WHOAMI = pathlib.Path(__file__).with_name("whoami.py")


@contextlib.contextmanager
def web_server(host: Host, port: int = 80, address: str = "0.0.0.0") -> Iterator[None]:
    """Answers a GET with "hello ADDRESS", the address that it saw. `address`: "::" for IPv6."""
    with _running(host, sys.executable, str(WHOAMI), str(port), address):
        _wait_for_listener(host, port)
        yield


def curl(host: Host, address: str, port: int = 80, seconds: float = 1.5) -> str | None:
    """What the web server there says; None if nothing comes back."""
    literal = f"[{address}]" if ":" in address else address
    done = host.run("curl", "--silent", "--show-error", "--max-time", str(seconds), f"http://{literal}:{port}/")
    return done.stdout.strip() if done.returncode == 0 else None


def ping(host: Host, address: str, count: int = 1, seconds: float = 2) -> bool:
    """Whether every echo is answered. A host that has asked for its next hop in vain, while it was no vm, asks again a
    second later."""
    done = host.run("ping", "-n", "-q", "-c", str(count), "-i", "0.05", "-W", str(seconds), address)
    return done.returncode == 0 and " 0% packet loss" in done.stdout


@dataclasses.dataclass(frozen=True)
class _Family:
    """Of an endpoint's address."""

    any: str     # where a server listens
    client: str  # the client's address
    icmp: str    # as rules name it

    @staticmethod
    def of(lab, endpoint) -> "_Family":
        if ":" in endpoint.address:
            return _Family("::", lab.client.address6, "icmpv6")
        return _Family("0.0.0.0", lab.client.address, "icmp")


def assert_default_off(lab, endpoint) -> None:
    """Without a rule nothing reaches it and it reaches nothing; each for its own reason."""
    client, family = lab.client, _Family.of(lab, endpoint)
    with web_server(endpoint.host, address=family.any), web_server(client, address=family.any):
        with lab.gateway.drops() as drops:
            assert curl(client, endpoint.address) is None
        assert drops.reasons() == {"unbound"}
        with lab.gateway.drops() as drops:
            assert curl(endpoint.host, family.client) is None
        assert drops.reasons() == {"source_not_permitted"}


def assert_permitted_alone(lab, endpoint) -> None:
    """Pings and one port inward, and one outward, and nothing else."""
    client, family = lab.client, _Family.of(lab, endpoint)
    endpoint.permit("in tcp 80 from any", f"in {family.icmp} from any", "out tcp to any port 80")
    with (web_server(endpoint.host, 80, family.any), web_server(endpoint.host, 81, family.any),
          web_server(client, 80, family.any)):
        assert ping(client, endpoint.address, count=3)
        assert curl(client, endpoint.address) == f"hello {family.client}"
        assert curl(endpoint.host, family.client) == f"hello {endpoint.address}"
        with lab.gateway.drops() as drops:
            assert curl(client, endpoint.address, 81) is None
        assert drops.reasons() == {"destination_not_permitted"}


def assert_bulk(lab, endpoint, least: int) -> None:
    """Whole segments in both directions, for a second each: so many bytes arrive."""
    endpoint.permit("in tcp 5201 from any", f"in {_Family.of(lab, endpoint).icmp} from any")
    with iperf_server(endpoint.host):
        for options in ((), ("--reverse",)):
            report = iperf(lab.client, endpoint.address, *options, seconds=1)
            assert report["end"]["sum_received"]["bytes"] > least


def assert_talk_as_both_permit(lab, one, other) -> None:
    """One endpoint's connection to the other."""
    one.permit("out tcp to any port 80")
    with web_server(other.host, address=_Family.of(lab, other).any):
        with lab.gateway.drops() as drops:
            assert curl(one.host, other.address) is None
        assert drops.reasons() == {"destination_not_permitted"}
        other.permit(f"in tcp 80 from {one.address}")
        assert curl(one.host, other.address) == f"hello {one.address}"
        one.permit()
        with lab.gateway.drops() as drops:
            assert curl(one.host, other.address) is None
        assert drops.reasons() == {"source_not_permitted"}


@contextlib.contextmanager
def udp_echo(host: Host, port: int) -> Iterator[None]:
    """Sends every datagram back to where it came from."""
    with host.udp(port) as server:
        server.settimeout(None)

        def serve() -> None:
            while True:
                payload, source = server.recvfrom(65535)
                if payload == STOP and source[0] == "127.0.0.1":
                    return
                server.sendto(payload or b"empty", source)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        with host.udp() as stopper:
            stopper.sendto(STOP, ("127.0.0.1", port))
        thread.join(timeout=5)


@contextlib.contextmanager
def iperf_server(host: Host, port: int = 5201) -> Iterator[None]:
    with _running(host, "iperf3", "--server", "--port", str(port)):
        _wait_for_listener(host, port)
        yield


def iperf(host: Host, address: str, *options: str, seconds: float = 2, port: int = 5201) -> dict:
    """The report of `iperf3 --json`."""
    done = host.run("iperf3", "--client", address, "--port", str(port), "--time", str(seconds), "--json",
                    "--connect-timeout", "2000", *options, timeout=seconds + 30)
    report = json.loads(done.stdout)
    assert "error" not in report, report["error"]
    return report


@contextlib.contextmanager
def iperf_running(host: Host, address: str, *options: str, port: int = 5201) -> Iterator[subprocess.Popen]:
    """An iperf3 that goes on until the block ends."""
    with _running(host, "iperf3", "--client", address, "--port", str(port), "--time", "300",
                  "--connect-timeout", "2000", *options) as process:
        yield process


def traceroute(host: Host, address: str, *options: str) -> list[str]:
    """The address of each hop, "*" for one that says nothing, up to the destination or five hops."""
    done = host.run("traceroute", "-n", "-q", "1", "-w", "3", "-m", "5", *options, address, check=True)
    return [line.split()[1] for line in done.stdout.splitlines()[1:]]


def path_mtu(host: Host, address: str) -> int:
    """What tracepath finds."""
    done = host.run("tracepath", "-n", "-m", "5", address, check=True)
    resume = next(line for line in done.stdout.splitlines() if "Resume:" in line)
    return int(resume.split("pmtu")[1].split()[0])


def refused(host: Host, address: str, port: int) -> bool:
    """Whether a datagram to a port where nobody is gets an ICMP error."""
    with host.udp() as sender:
        sender.settimeout(1)
        sender.connect((address, port))
        sender.send(b"is anybody there?")
        try:
            sender.recv(100)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
    raise AssertionError("somebody answers")


def nmap(host: Host, address: str, scan: str, ports: str) -> dict[int, str]:
    """Port -> state, as nmap names it."""
    done = host.run("nmap", "-n", "-Pn", "--disable-arp-ping", "--max-retries", "1", "--host-timeout", "60s",
                    "--reason", "-oG", "-", "-dd", scan, "-p", ports, address, timeout=90, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("Host:") and "Ports:" in line)
    states = (entry.strip().split("/") for entry in line.split("Ports:")[1].split("\t")[0].split(","))
    return {int(number): state for number, state, *_ in states}


@contextlib.contextmanager
def _running(host: Host, *words: str) -> Iterator[subprocess.Popen]:
    process = host.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_for_listener(host: Host, port: int) -> None:
    deadline = time.monotonic() + 5
    while (Tcp.LISTEN, port) not in tcp_sockets(host.namespace):
        assert time.monotonic() < deadline, f"nothing listens at port {port} of {host.name}"
        time.sleep(0.02)
