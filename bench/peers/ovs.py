"""OVS-DPDK: one daemon of its own, in its own network namespace and directories; peers differ by their flows."""

import json
import os
import pathlib
import re
import socket
import time

import feed
from peer import Lab, Peer, Trial, count
from programs import Failed, Program, lines_of, run

HERE = pathlib.Path(__file__).resolve().parent / "ovs"
SWITCHD = pathlib.Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
SCHEMA = pathlib.Path("/usr/share/openvswitch/vswitch.ovsschema")
START_SECONDS = 30
SETTLE_SECONDS, SETTLE_ATTEMPTS = 0.2, 20
REFILL_SECONDS = 1.0  # until every flow is in the caches again, and the tracker has met it


def unixctl(path: pathlib.Path, method: str, *parameters: str) -> str:
    """ovs-appctl, without the cost of starting it: the moment of the answer matters."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(json.dumps({"id": 0, "method": method, "params": parameters}).encode())
        answer = b""
        while True:
            answer += connection.recv(65536)
            try:
                reply = json.loads(answer)
                break
            except json.JSONDecodeError:
                continue
    if reply["error"]:
        raise Failed(f"ovs-vswitchd: {method}: {reply['error'].strip()}")
    return reply["result"]


def port_packets(shown: str, port: str, way: str) -> int:
    """Packets of a port, from dpctl/show -s."""
    match = re.search(rf"port \d+: {port} .*?{way} packets:(\d+)", shown, re.DOTALL)
    if match is None:
        raise Failed(f"ovs-vswitchd shows no {way} packets of port {port}")
    return int(match[1])


class Switch:
    """Started for the first peer that needs it; runs while a peer is measured and is suspended otherwise."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.directory = lab.scratch / "ovs"
        self.programs: list[Program] = []
        self.failure: Failed | None = None
        self.flows = ""

    def open(self) -> None:
        if self.failure:
            raise self.failure
        if self.programs:
            return
        try:
            self.start()
        except Failed as failure:
            self.failure = failure
            self.close()
            raise

    def start(self) -> None:
        if not SWITCHD.exists():
            raise Failed(f"{SWITCHD} is missing (openvswitch-switch-dpdk)")
        self.directory.mkdir()
        at = str(self.directory)
        environment = {"OVS_RUNDIR": at, "OVS_LOGDIR": at, "OVS_DBDIR": at, "OVS_SYSCONFDIR": at,
                       "RUNTIME_DIRECTORY": at}
        self.environment = os.environ | environment
        database = self.directory / "conf.db"
        run(["ovsdb-tool", "create", database, SCHEMA], env=self.environment)
        server = Program(["ovsdb-server", database, f"--remote=punix:{at}/db.sock", f"--pidfile={at}/ovsdb.pid",
                          f"--unixctl={at}/ovsdb.ctl", "--no-chdir"], self.directory / "ovsdb.log", environment)
        self.programs.append(server)
        server.wait_for((self.directory / "db.sock").exists, START_SECONDS, "database")
        self.vsctl("--no-wait", "init")
        masks = {"CONTROL_MASK": hex(1 << self.lab.control_core), "PMD_MASK": hex(1 << self.lab.core)}
        for line in lines_of(HERE / "ovs.conf", **masks):
            key, value = line.split("=", 1)
            self.vsctl("--no-wait", "set", "Open_vSwitch", ".", f'other_config:{key}="{value}"')
        # Its bridge is a tap device: in a network namespace of its own it is nobody else's.
        self.daemon = Program(["unshare", "--net", "setpriv", "--pdeathsig", "KILL", SWITCHD, f"unix:{at}/db.sock",
                               f"--pidfile={at}/vswitchd.pid", f"--unixctl={at}/vswitchd.ctl", "--no-chdir"],
                              self.directory / "vswitchd.log", environment)
        self.programs.append(self.daemon)
        self.daemon.wait_for((self.directory / "vswitchd.ctl").exists, START_SECONDS, "control socket")
        self.vsctl("--timeout=30", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev",
                   "fail-mode=secure")
        for line in lines_of(HERE / "ports.conf", FEED=str(self.lab.feed)):
            name, number, arguments = line.split()
            self.vsctl("--timeout=30", "add-port", "br0", name, "--", "set", "Interface", name, "type=dpdk",
                       f"ofport_request={number}", f"options:dpdk-devargs={json.dumps(arguments)}")
            problem = self.vsctl("get", "Interface", name, "error").strip()
            if problem not in ("[]", '""'):
                raise Failed(f"ovs-vswitchd: port {name}: {problem}")
        self.daemon.suspend()

    def vsctl(self, *arguments: str) -> str:
        return run(["ovs-vsctl", f"--db=unix:{self.directory}/db.sock", *arguments], env=self.environment)

    def control(self, method: str, *parameters: str) -> str:
        return unixctl(self.directory / "vswitchd.ctl", method, *parameters)

    def use(self, name: str, expected: str) -> None:
        """Replaces the flows, and forgets what the caches and the connection tracker know of others: until every
        datapath flow looks as `expected`. A left-over one is no fault, but slows all packets of its port down."""
        if self.flows == name:
            return
        expanded = self.directory / f"{name}.flows"
        expanded.write_text(feed.expand((HERE / f"{name}.flows").read_text()))
        run(["ovs-ofctl", "--bundle", "replace-flows", f"unix:{self.directory}/br0.mgmt", expanded],
            env=self.environment)
        self.flows = ""
        for _ in range(SETTLE_ATTEMPTS):
            time.sleep(SETTLE_SECONDS)
            self.control("revalidator/purge")
            self.control("dpctl/flush-conntrack")
            time.sleep(SETTLE_SECONDS)
            installed = [line for line in self.control("dpctl/dump-flows").splitlines() if "recirc_id" in line]
            strange = [line for line in installed if not re.search(expected, line)]
            if installed and not strange:
                time.sleep(REFILL_SECONDS)
                self.flows = name
                return
        raise Failed(f"no datapath flow does /{expected}/, but: {(strange or ['there is none'])[0][:300]}")

    def read(self) -> tuple[int, int]:
        shown = self.control("dpctl/show", "-s")
        return port_packets(shown, "in", "RX"), port_packets(shown, "out", "TX")

    def close(self) -> None:
        for program in reversed(self.programs):
            program.stop()
        self.programs = []


class Ovs(Peer):
    def __init__(self, switch: Switch, flows: str, work: str, expected: str):
        self.switch = switch
        self.flows = flows
        self.name = f"OVS-DPDK {flows}"
        self.work = work
        self.configuration = f"ovs/ovs.conf, ovs/ports.conf, ovs/{flows}.flows"
        self.expected = expected  # of each datapath flow, so that it does the work that is claimed

    def open(self) -> None:
        self.switch.open()

    def trial(self, seconds: float) -> Trial:
        self.switch.daemon.resume()
        try:
            self.switch.use(self.flows, self.expected)
            return count(self.switch.read, seconds, self.switch.daemon.worker_seconds)
        finally:
            self.switch.daemon.suspend()

    def close(self) -> None:
        self.switch.close()


def peers(lab: Lab) -> list[Peer]:
    switch = Switch(lab)
    translated = r"set\(ipv4\(dst=10\.0\.0\.\d+.*ttl=63"
    return [Ovs(switch, "forward", "plain forward", r"ipv4\(frag=no\).*actions:\d+$"),
            Ovs(switch, "nat", "stateless 1:1 NAT", translated),
            Ovs(switch, "nat-prefixes", "stateless 1:1 NAT, 4 source prefixes each", translated),
            Ovs(switch, "ct-nat", "ct(nat), 4 source prefixes each", r"actions:ct\(|ttl=63")]
