"""The kernel's own NAT, for a sense of scale: nftables in a network namespace, fed through veth."""

import os
import pathlib
import re
import subprocess

import feed
from peer import Lab, Peer, Trial, count
from programs import Failed, Program, lines_of, run

HERE = pathlib.Path(__file__).resolve().parent / "nftables"
START_SECONDS = 20


class Nftables(Peer):
    name = "nftables"
    work = "stateful 1:1 NAT by a map, 4 source prefixes; kernel, veth, af_packet feed"
    configuration = "nftables/rules.nft, nftables/feed.args"
    scale_only = True
    watches_itself = True  # the neighbour feeds it

    def __init__(self, lab: Lab):
        self.lab = lab
        self.holder: Program | None = None
        self.generator: Program | None = None

    def inside(self, *command: str, **options) -> str:
        assert self.holder
        return run(["nsenter", f"--net=/proc/{self.holder.process.pid}/ns/net", *command], **options)

    def open(self) -> None:
        directory = self.lab.scratch / "nftables"
        directory.mkdir()
        # The namespace lives as long as this sleeper; a feeding interface is on its inside, too.
        self.holder = Program(["unshare", "--net", "sleep", "infinity"], directory / "holder.log")
        ours = os.readlink("/proc/self/ns/net")
        self.holder.wait_for(lambda: os.readlink(f"/proc/{self.holder.process.pid}/ns/net") != ours, START_SECONDS,
                             "network namespace")
        for link in ("in", "out"):
            self.inside("ip", "link", "add", link, "type", "veth", "peer", "name", f"{link}-peer")
            self.inside("ip", "link", "set", link, "up")
            self.inside("ip", "link", "set", f"{link}-peer", "up")
        gateway = ":".join(f"{byte:02x}" for byte in feed.GATEWAY_MAC)
        self.inside("ip", "link", "set", "in", "address", gateway)
        self.inside("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                    "net.ipv4.conf.in.rp_filter=0")
        self.inside("ip", "address", "add", "198.18.255.254/15", "dev", "in")
        self.inside("ip", "address", "add", "10.0.255.254/16", "dev", "out")
        for n in range(feed.EIPS):
            self.inside("ip", "neighbour", "add", feed.dotted(feed.FIRST_DIP + n), "lladdr", "02:00:00:00:00:02",
                        "dev", "out", "nud", "permanent")
        rules = directory / "rules.nft"
        rules.write_text(expanded_rules())
        self.inside("nft", "-f", str(rules))
        # Packets go up the stack on the core under test, whichever core sends them.
        mask = f"{1 << self.lab.core:x}"
        self.inside("sh", "-c", f"mount -t sysfs none /sys && echo {mask} >/sys/class/net/in/queues/rx-0/rps_cpus")

    def read(self) -> tuple[int, int]:
        received = self.packets("in", "RX")
        return received, self.packets("out", "TX")

    def packets(self, link: str, way: str) -> int:
        shown = self.inside("ip", "-s", "link", "show", link)
        match = re.search(rf"{way}:.*\n\s+\d+\s+(\d+)", shown)
        if not match:
            raise Failed(f"no {way} packets of {link}: {shown}")
        return int(match[1])

    def trial(self, seconds: float) -> Trial:
        assert self.holder
        if self.generator is None:
            arguments = lines_of(HERE / "feed.args", CORE=str(self.lab.control_core), FEED=str(self.lab.feed))
            runtime = self.lab.scratch / "nftables"
            self.generator = Program(["nsenter", f"--net=/proc/{self.holder.process.pid}/ns/net", "dpdk-testpmd",
                                      *arguments], runtime / "feed.log", {"RUNTIME_DIRECTORY": str(runtime)},
                                     stdin=subprocess.PIPE)
        self.generator.resume()
        try:
            before = self.packets("in", "RX")
            self.generator.wait_for(lambda: self.packets("in", "RX") > before, START_SECONDS, "packets")
            result = count(self.read, seconds)
            result.lost = 0.0  # the feed is not paced, so what the queue between the CPUs drops says nothing
            return result
        finally:
            self.generator.suspend()

    def close(self) -> None:
        for program in (self.generator, self.holder):
            if program:
                program.stop()


def expanded_rules() -> str:
    """The map's elements, one an EIP, from their template."""
    elements = ", ".join(f"{feed.dotted(feed.FIRST_EIP + n)} : {feed.dotted(feed.FIRST_DIP + n)}"
                         for n in range(feed.EIPS))
    return (HERE / "rules.nft").read_text().replace("@ELEMENTS@", elements)


def peers(lab: Lab) -> list[Peer]:
    return [Nftables(lab)]
