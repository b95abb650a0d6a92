"""The demonstration. Called by scripts/demo."""

import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from lab import CLIENT, CLIENT6, GATEWAY, GATEWAY6, METRICS, Host, Lab  # noqa: E402  (found by the path above)
from programs import iperf_server, refused, udp_echo, web_server  # noqa: E402
from traces import tracing  # noqa: E402

COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ
HEADING, COMMAND, GOOD, BAD, PLAIN = (
    ("\033[1;36m", "\033[1m", "\033[32m", "\033[1;31m", "\033[0m") if COLOURS else ("",) * 5)
QUARANTINE = 3  # seconds


class Demo:
    def __init__(self, lab: Lab, pause: bool) -> None:
        self.lab = lab
        self.held = self.failed = 0
        self._pause = pause
        self._step = 0
        self._drops: dict[str, int] = {}
        self._environment = os.environ | {"PORTCULLIS_SOCKET": str(lab.gateway.socket)}

    # --- telling ---

    def step(self, title: str, text: str) -> None:
        if self._pause and self._step:
            input(f"\n{HEADING}[Enter]{PLAIN} ")
        self._step += 1
        print(f"\n{HEADING}{self._step}. {title}{PLAIN}\n{text}", flush=True)

    def expect(self, held: bool, text: str) -> None:
        self.held += held
        self.failed += not held
        print(f"  {GOOD}held:{PLAIN} {text}" if held else f"  {BAD}DID NOT HOLD:{PLAIN} {text}", flush=True)

    # --- doing, and showing what is done ---

    def portctl(self, *words: str, refused: bool = False) -> str:
        print(f"\n{COMMAND}$ portctl {' '.join(quoted(word) for word in words)}{PLAIN}", flush=True)
        done = subprocess.run([ROOT / "build/bin/portctl", *words], env=self._environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(indented(done.stdout), flush=True)
        if (done.returncode != 0) != refused:
            self.expect(False, f"portctl ended with {done.returncode}")
        return done.stdout.strip()

    def on(self, host: Host, command: str) -> subprocess.CompletedProcess:
        """A command on a host."""
        print(f"\n{COMMAND}{host.name}$ {command}{PLAIN}", flush=True)
        done = host.run("sh", "-c", f"exec {command} 2>&1")
        print(indented(done.stdout), flush=True)
        return done

    def moved(self, *reasons: str) -> dict[str, int]:
        """Drops for these reasons since the last call, after the table that a person would look at."""
        self.portctl("show", "drops")
        now = self.lab.gateway.all_drops()
        before, self._drops = self._drops, now
        return {reason: now[reason] - before.get(reason, 0) for reason in reasons}


class Iperf:
    """An iperf3 whose reports are shown as they come."""

    def __init__(self, host: Host, address: str) -> None:
        words = ["iperf3", "--client", address, "--time", "120", "--interval", "0.5", "--forceflush",
                 "--bitrate", "100M", "--connect-timeout", "3000"]
        print(f"\n{COMMAND}{host.name}$ {' '.join(words)} &{PLAIN}", flush=True)
        self._process = host.start(*words, text=False, bufsize=0)
        self._rest = b""

    def __enter__(self) -> "Iperf":
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()

    def show(self, seconds: float) -> list[float]:
        """Mbit/s of every report in that time."""
        rates = []
        end = time.monotonic() + seconds
        while (remaining := end - time.monotonic()) > 0:
            if not select.select([self._process.stdout], [], [], remaining)[0]:
                break
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                break
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in map(bytes.decode, lines):
                print("  " + line, flush=True)
                if match := re.search(r"([\d.]+) ([KMG]?)bits/sec", line):
                    rates.append(float(match[1]) * {"": 1e-6, "K": 1e-3, "M": 1, "G": 1e3}[match[2]])
        return rates


def quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


def indented(text: str) -> str:
    return "\n".join("  " + line for line in text.rstrip().splitlines())


def default_off(demo: Demo, client: Host, web: Host, eip: str) -> None:
    demo.step("Off by default", """\
The vm 'web' has a public address now, and a web server. Nobody has permitted anything. The client cannot reach
it; nor can the vm reach the client, who runs a web server too.""")
    demo.moved()
    outside = demo.on(client, f"curl --silent --show-error --max-time 2 http://{eip}/")
    demo.expect(outside.returncode != 0, "the client does not reach the vm")
    drops = demo.moved("unbound", "destination_not_permitted", "source_not_permitted")
    demo.expect(drops["unbound"] > 0 and drops["destination_not_permitted"] == drops["source_not_permitted"] == 0,
                f"dropped as unbound ({drops['unbound']} packets): for the outside this address does not exist")
    inside = demo.on(web, f"curl --silent --show-error --max-time 2 http://{CLIENT}/")
    demo.expect(inside.returncode != 0, "the vm does not reach the client")
    drops = demo.moved("unbound", "source_not_permitted")
    demo.expect(drops["source_not_permitted"] > 0 and drops["unbound"] == 0,
                f"dropped as not permitted ({drops['source_not_permitted']} packets): the vm's list has no way out")


def one_rule(demo: Demo, client: Host, web: Host, eip: str) -> None:
    demo.step("One rule lets the client in", """\
One INBOUND rule. It opens this port and no other, and it is no way out. Replies need no state in the gateway: they
follow from the rule.""")
    demo.portctl("permit", "set", eip, "web=in tcp 80 from any")
    inside = demo.on(client, f"curl --silent --show-error --max-time 2 http://{eip}/")
    demo.expect(inside.returncode == 0, "the client reaches the vm")
    demo.expect(inside.stdout.strip() == f"hello {CLIENT}", f"the server sees the client's own address, {CLIENT}")
    other = demo.on(client, f"curl --silent --show-error --max-time 2 http://{eip}:81/")
    demo.expect(other.returncode != 0, "port 81, where a server listens too, stays closed")
    outward = demo.on(web, f"curl --silent --show-error --max-time 2 http://{CLIENT}/")
    demo.expect(outward.returncode != 0, "the vm still does not reach the client")
    demo.expect(demo.lab.gateway.flow_entries() == 0, "no outsider has made the gateway keep state")


def outward(demo: Demo, web: Host, eip: str) -> None:
    demo.step("The vm's own way out", """\
An OUTBOUND rule permits what the vm begins. The gateway keeps an entry for that flow, and by it lets the replies in.""")
    demo.portctl("permit", "set", eip, "web=in tcp 80 from any", "out tcp to any port 80")
    done = demo.on(web, f"curl --silent --show-error --max-time 2 http://{CLIENT}/")
    demo.expect(done.stdout.strip() == f"hello {eip}", f"the vm reaches the client, who sees it as {eip}")
    demo.expect(demo.lab.gateway.flow_entries() == 1, "the gateway has one flow entry, the vm's own")
    demo.portctl("show", "eip", eip)


def withdrawn(demo: Demo, client: Host, web: Host, eip: str) -> None:
    demo.step("Withdrawing a rule stops a flow in its middle", """\
An iperf3 from the client to the vm; then its rule goes. A connection that was let in has no right to go on.""")
    demo.portctl("permit", "set", eip, "iperf=in tcp 5201 from any")
    with iperf_server(web), Iperf(client, eip) as iperf:
        rates = iperf.show(2.2)
        demo.expect(len(rates) >= 3 and max(rates) > 1, "iperf3 runs")
        demo.portctl("permit", "set", eip, "--empty")
        demo.expect(silent(web, iperf, 2.2), "not one packet of it has reached the vm since portctl came back")
        demo.portctl("permit", "set", eip, "iperf=in tcp 5201 from any")
        demo.expect(max(iperf.show(6), default=0) > 1, "with the rule back, the same connection goes on")
    demo.lab.cut_connections()
    demo.portctl("permit", "set", eip, "--empty")


def silent(receiver: Host, iperf: Iperf, seconds: float) -> bool:
    """Whether the receiver gets nothing but ARP from here on, while iperf3's reports are shown."""
    with receiver.raw() as port:
        iperf.show(seconds)
        return all(frame[12:14] == b"\x08\x06" for frame in port.received())


def errors(demo: Demo, client: Host, eip: str) -> None:
    demo.step("What goes wrong is told, to whom it may concern", """\
ICMP errors cross with the packet that they are about: closed ports answer and traceroute works, where a rule lets the
packet pass. The vm's private address is in none of them.""")
    demo.portctl("permit", "set", eip, "in udp 33434-33534 from any")
    path = demo.on(client, f"traceroute -n -q 1 -w 1 -m 4 {eip}")
    hops = [line.split()[1] for line in path.stdout.splitlines()[1:]]
    demo.expect(hops == [GATEWAY, eip], f"the client sees the gateway, {GATEWAY}, and the vm by its public address")
    demo.expect(refused(client, eip, 33500), "a permitted port at which nobody listens says so")
    demo.expect(not refused(client, eip, 33600), "one that is not permitted says nothing")
    demo.portctl("permit", "set", eip, "--empty")


def explained(demo: Demo, client: Host, web: Host, eip: str) -> None:
    demo.step("Why, and what would happen: Explain", """\
One packet is taken through the gateway's own stages, on its tables as they are, and nothing is counted or sent.""")
    demo.portctl("permit", "set", eip, "http=in tcp 80 from any")
    with web_server(web, 80), web_server(web, 81):
        demo.moved()
        told = demo.portctl("explain", "--from", CLIENT, "--to", eip, "tcp", "80")
        demo.expect("rule http" in told and f"transmitted by {web.port}" in told, "port 80: the rule 'http' lets it in")
        told = demo.portctl("explain", "--from", CLIENT, "--to", eip, "tcp", "81")
        demo.expect("dropped: destination_not_permitted" in told, "port 81: no rule permits it")
        asked = demo.moved("destination_not_permitted")
        demo.expect(asked["destination_not_permitted"] == 0, "asking has dropped nothing")
        reached = demo.on(client, f"curl --silent --show-error --max-time 2 http://{eip}/")
        demo.expect(reached.returncode == 0, "and so it is: port 80 answers,")
        missed = demo.on(client, f"curl --silent --show-error --max-time 1 http://{eip}:81/")
        dropped = demo.moved("destination_not_permitted")["destination_not_permitted"]
        demo.expect(missed.returncode != 0 and dropped > 0, "port 81 does not: dropped as foretold")


def traced(demo: Demo, client: Host, eip: str) -> None:
    demo.step("What the stages make of real packets: trace", """\
A live packet is followed through the gateway's stages, a permitted one and a forbidden one.""")
    with web_server(demo.lab.vms["web"], 80):
        for port, end in ((80, f"transmitted by {demo.lab.vms['web'].port}"), (81, "dropped: destination_not_permitted")):
            words = ["--port", "uplink", "--eip", eip, "--count", "1"]
            print(f"\n{COMMAND}$ portctl trace {' '.join(words)} &{PLAIN}", flush=True)
            with tracing(demo.lab.gateway, *words) as trace:
                demo.on(client, f"curl --silent --show-error --max-time 1 http://{eip}:{port}/")
                trace.wait()
            print(indented(trace.out), flush=True)
            demo.expect(end in trace.out, f"the first packet to port {port} is told to its end: {end.split(':')[0]}")


def tags(demo: Demo, app: Host, db: Host) -> None:
    demo.step("Two vms talk by tag", """\
Tags instead of addresses: 'app' may send to whatever is tagged db, and 'db' lets in whatever is tagged app.""")
    app_eip = demo.portctl("eip", "request", "app")
    db_eip = demo.portctl("eip", "request", "db")
    demo.portctl("permit", "set", app_eip, "out tcp to tag:db")
    demo.portctl("permit", "set", db_eip, "in tcp 5201 from tag:app")
    with iperf_server(db):
        before = demo.on(app, f"iperf3 --client {db_eip} --time 1 --connect-timeout 1000")
        demo.expect(before.returncode != 0, "without tags they do not talk")
        demo.portctl("tag", "set", app_eip, "app")
        demo.portctl("tag", "set", db_eip, "db")
        with Iperf(app, db_eip) as iperf:
            rates = iperf.show(2.2)
            demo.expect(len(rates) >= 3 and max(rates) > 1, "with them, they do")
            demo.portctl("tag", "set", app_eip)
            demo.expect(silent(db, iperf, 2.2), "the tag is gone, and iperf3 has stopped in its middle")
    demo.lab.cut_connections()
    demo.portctl("eip", "list")
    done = demo.on(demo.lab.client, f"ping -c 1 -W 1 {db_eip}")
    demo.expect(done.returncode != 0, "for the outside, neither address exists: their rules name only tags")
    demo.portctl("eip", "release", app_eip)


def reissued(demo: Demo, client: Host, web: Host, app: Host) -> None:
    demo.step("An address that comes back brings nothing with it", f"""\
'web' talks to the client over UDP and gives its address back. After a quarantine ({QUARANTINE} s here, 10 minutes by
default) 'app' gets it, with the very same permit list. The old flow's packets still arrive.""")
    demo.portctl("pool", "create", "single", "203.0.113.128/32")
    eip = demo.portctl("eip", "request", "web", "--pool", "single")
    demo.portctl("permit", "set", eip, "out udp to any port 9000")
    with udp_echo(client, 9000), web.udp(4000) as old:
        old.sendto(b"hello", (CLIENT, 9000))
        demo.expect(old.recv(100) == b"hello", "the vm 'web' sends to the client from port 4000, and is answered")
    demo.portctl("eip", "release", eip)
    answer = demo.portctl("eip", "request", "app", "--pool", "single", refused=True)
    demo.expect(eip not in answer.split(), "'app' asks for it at once, and is refused: the address rests")
    time.sleep(QUARANTINE + 0.2)
    again = demo.portctl("eip", "request", "app", "--pool", "single")
    demo.expect(again == eip, f"after the quarantine, 'app' gets {eip}")
    demo.portctl("permit", "set", eip, "out udp to any port 9000")
    demo.moved()
    with client.udp(9000) as peer, app.udp(4000) as new:
        for _ in range(3):
            peer.sendto(b"still there?", (eip, 4000))
        demo.expect(nothing_arrives(new), "the old flow's packets do not reach the new owner")
        drops = demo.moved("destination_not_permitted")
        demo.expect(drops["destination_not_permitted"] == 3, "all three are dropped as not permitted")
        new.sendto(b"hello", (CLIENT, 9000))
        _, source = peer.recvfrom(100)
        peer.sendto(b"welcome", source)
        demo.expect(new.recv(100) == b"welcome", "its own flow, with the same ports, is answered")
    demo.portctl("eip", "release", eip)


def moves(demo: Demo, client: Host, here: Host, there: Host) -> None:
    demo.step("A vm moves, and all that it has with it", f"""\
'web' moves from port {here.port} to port {there.port}. Address, list and flows stay; the client notices nothing.""")
    demo.portctl("vm", "delete", there.name)
    eip = demo.portctl("eip", "request", "web")
    demo.portctl("permit", "set", eip, "in udp 9000 from any")
    with client.udp() as peer, here.udp(9000) as before, there.udp(9000) as after:
        peer.sendto(b"one", (eip, 9000))
        demo.expect(before.recv(100) == b"one", f"a datagram of the client reaches it at {here.port}")
        demo.portctl("vm", "move", "web", "--port", there.port, "--mac", there.mac)
        peer.sendto(b"two", (eip, 9000))
        payload, source = after.recvfrom(100)
        demo.expect(payload == b"two", f"the next one reaches it at {there.port}")
        after.sendto(b"three", source)
        demo.expect(peer.recvfrom(100) == (b"three", (eip, 9000)), "its answer comes from the same address")
        demo.expect(nothing_arrives(before), "nothing more arrives at the old place")
        demo.moved()
        before.sendto(b"it is still me", source)
        demo.expect(nothing_arrives(peer), "and who is at the old place does not speak for it any more")
        demo.expect(demo.moved("spoofed_source") == {"spoofed_source": 1}, "that is dropped as spoofed")


def ipv6(demo: Demo, client: Host, host: Host) -> None:
    demo.step("The same with IPv6", f"""\
A vm whose private address, {host.address6}, is one of the pool's: it is its EIP, and nothing is translated. It is
off by default all the same.""")
    demo.portctl("vm", "create", "six", "--port", host.port, "--mac", host.mac, "--dip6", host.address6)
    eip = demo.portctl("eip", "request", "six")
    demo.expect(eip == host.address6, "its EIP is its own address")
    with web_server(host, 80, "::"):
        refused = demo.on(client, f"curl --silent --show-error --max-time 2 http://[{eip}]/")
        demo.expect(refused.returncode != 0, "without a rule the client does not reach it")
        demo.portctl("permit", "set", eip, f"in tcp 80 from {CLIENT6}/128", "in udp from any")
        reached = demo.on(client, f"curl --silent --show-error --max-time 2 http://[{eip}]/")
        demo.expect(reached.stdout.strip() == f"hello {CLIENT6}", f"with one the server sees the client, {CLIENT6}")
    way = demo.on(client, f"traceroute -n -q 1 -w 1 -m 5 {eip}")
    demo.expect(GATEWAY6 in way.stdout and way.stdout.split()[-3] == eip, "traceroute shows the gateway and the vm")


def seen_live(demo: Demo, client: Host, web: Host) -> None:
    demo.step("What the gateway does, as it does it", """\
Rates of ports, workers, EIPs and drops while an iperf3 and forbidden pings run; and the page that Prometheus reads.""")
    eip = demo.portctl("eip", "request", "web")
    demo.portctl("permit", "set", eip, "iperf=in tcp 5201 from any")
    with iperf_server(web), Iperf(client, eip) as iperf, pings(demo, client, eip):
        iperf.show(1.2)
        shown = demo.portctl("watch", "--once")
        rows = {words[0]: words for words in map(str.split, shown.splitlines()) if words}
        demo.expect(eip in rows and rows[eip][2][-1] in "MG", f"watch shows the megabits of {eip}")
        demo.expect("destination_not_permitted" in rows, "and the pings as not permitted")
    demo.lab.cut_connections()
    gateway = Host("gateway", demo.lab.gateway.namespace, "", "", "")
    page = demo.on(gateway, f"curl --silent http://{METRICS}/metrics | grep destination_not_permitted")
    samples = [line.rpartition(" ")[2] for line in page.stdout.splitlines() if not line.startswith("#")]
    demo.expect(len(samples) == 1 and float(samples[0]) == demo.lab.gateway.all_drops()["destination_not_permitted"],
                "the metrics page counts the same drops as portctl")
    demo.portctl("eip", "release", eip)


@contextlib.contextmanager
def pings(demo: Demo, client: Host, address: str) -> Iterator[None]:
    words = ["ping", "-n", "-q", "-i", "0.05", address]
    print(f"\n{COMMAND}{client.name}$ {' '.join(words)} &{PLAIN}", flush=True)
    process = client.start(*words)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def bounded(demo: Demo, client: Host, web: Host, eip: str) -> None:
    demo.step("A quota bounds what a vm keeps open", """\
The provider sets how many flows this EIP may own: two. What would open a third is dropped, by that name.""")
    demo.portctl("flows", "clear", eip)
    demo.portctl("permit", "set", eip, "out udp to any port 9000")
    demo.portctl("quota", "set", eip, "--flows", "2")
    demo.moved()
    with client.udp(9000) as peer:
        for port in (4001, 4002, 4003):
            with web.udp(port) as vm:
                vm.sendto(b"hello", (CLIENT, 9000))
        demo.expect([peer.recv(100) for _ in range(2)] == [b"hello"] * 2, "the first two reach the client")
        demo.expect(nothing_arrives(peer), "the third does not")
        demo.expect(demo.moved("flow_quota") == {"flow_quota": 1}, "it is dropped as above the quota")
        demo.portctl("quota", "set", eip, "--flows", "3")
        with web.udp(4003) as vm:
            vm.sendto(b"hello", (CLIENT, 9000))
        demo.expect(peer.recv(100) == b"hello", "with a quota of three it does")
    demo.portctl("quota", "get", eip)
    demo.portctl("quota", "clear", eip)
    demo.portctl("permit", "set", eip, "--empty")


def nothing_arrives(receiver: socket.socket) -> bool:
    receiver.settimeout(1)
    try:
        receiver.recv(100)
        return False
    except TimeoutError:
        receiver.settimeout(3)
        return True


PICTURE = f"""\
Portcullis: every endpoint gets a public address, off by default, and says at the endpoint what it wants.

    client {CLIENT} ---- [ portcullisd ] -+-- web 10.0.0.1
    (the outside)                            +-- app 10.0.0.1 (the same private address at another port)
                                             +-- db  10.0.0.2

Each is a Linux host in a network namespace of its own."""


def tour(demo: Demo) -> None:
    print(PICTURE, flush=True)
    lab = demo.lab
    client, web, app, db = lab.client, lab.vms["web"], lab.vms["app"], lab.vms["db"]
    for vm in (web, app, db):
        demo.portctl("vm", "create", vm.name, "--port", vm.port, "--mac", vm.mac, "--dip", vm.address)
    eip = demo.portctl("eip", "request", "web")
    with web_server(web, 80), web_server(web, 81), web_server(client, 80):
        default_off(demo, client, web, eip)
        one_rule(demo, client, web, eip)
        outward(demo, web, eip)
    withdrawn(demo, client, web, eip)
    errors(demo, client, eip)
    explained(demo, client, web, eip)
    traced(demo, client, eip)
    bounded(demo, client, web, eip)
    tags(demo, app, db)
    demo.portctl("eip", "release", eip)
    seen_live(demo, client, web)
    reissued(demo, client, web, app)
    moves(demo, client, web, app)
    ipv6(demo, client, db)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pause = "--no-pause" not in sys.argv[1:] and sys.stdin.isatty()
    began = time.monotonic()
    with Lab(quarantine=QUARANTINE, ipv6=True, metrics=True) as lab:
        lab.gateway.start()
        lab.wait_for_next_hop()
        demo = Demo(lab, pause)
        tour(demo)
    colour = BAD if demo.failed else GOOD
    print(f"\n{colour}{demo.held} of {demo.held + demo.failed} shown allows and denies held{PLAIN}, in "
          f"{time.monotonic() - began:.0f} s; everything is removed again.", flush=True)
    return 1 if demo.failed else 0


if __name__ == "__main__":
    sys.exit(main())
