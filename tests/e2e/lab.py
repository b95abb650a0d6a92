"""The laboratory: one gateway between an outside host and four vms, all in network namespaces of their own.

    client ---- uplink  [ portcullisd ]  ep-web --- web   10.0.0.1
    198.51.100.2        198.51.100.1     ep-app --- app   10.0.0.1 (the same private address at another port)
    203.0.113.0/24 on-link               ep-db  --- db    10.0.0.2 \\ behind one switch: two vms
                                                --- dbx   10.0.0.3 / at one port

Addresses are of the documentation ranges of RFC 5737. Hosts compute their own checksums and segments, as on a
wire: a veth that leaves them to a "NIC" would hand the gateway frames that no network carries.
"""

import contextlib
import dataclasses
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import netns
from gateway import Gateway
from nest import Nest
from netns import Tcp

CLIENT = "198.51.100.2"
CLIENT_MAC = "02:00:00:00:00:02"
CLIENT_ALIASES = ("198.51.100.77", "192.0.2.7")  # further addresses of the client: one on-link, one beyond
GATEWAY = "198.51.100.1"
POOL = "203.0.113.0/25"
ROUTED = "203.0.113.0/24"  # what the client sends to the gateway; its upper half is for pools that tests make
LINK_LOCAL_NEXT_HOP = "169.254.1.1"
# Of a laboratory that has IPv6, too (`ipv6: True`): documentation addresses of RFC 3849, private ones of RFC 4193.
CLIENT6 = "2001:db8:f00::2"
CLIENT6_ALIAS = "2001:db8:f00::77"
GATEWAY6 = "2001:db8:f00::1"
POOL6 = "2001:db8:1::/64"
NEXT_HOP6 = "fe80::1"
# Of a laboratory that has a metrics page (`metrics: True`): in the gateway's namespace.
METRICS = "127.0.0.1:9464"
ETHER_TYPE_ARP = b"\x08\x06"


@dataclasses.dataclass(frozen=True)
class Host:
    """A namespace with one interface, eth0."""

    name: str
    namespace: str
    address: str
    mac: str
    port: str
    address6: str = ""
    link: tuple[str, ...] = ()  # how its frames are told apart on the port, as `portctl vm create` has it

    def run(self, *words: str, timeout: float = 60, check: bool = False) -> subprocess.CompletedProcess:
        with netns.entered(self.namespace):
            return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=check)

    def start(self, *words: str, **options) -> subprocess.Popen:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
                   "text": True, "start_new_session": True} | options
        with netns.entered(self.namespace):
            return subprocess.Popen(words, **options)

    def raw(self) -> netns.RawPort:
        return netns.RawPort(self.namespace, "eth0")

    def open(self, kind: socket.SocketKind, port: int = 0, address: str = "", protocol: int = 0) -> socket.socket:
        """A socket of this process that lives on the host, bound."""
        with netns.entered(self.namespace):
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.settimeout(3)
        made.bind((address, port))
        return made

    def udp(self, port: int = 0, address: str = "") -> socket.socket:
        return self.open(socket.SOCK_DGRAM, port, address)

    def tcp(self, port: int = 0, address: str = "") -> socket.socket:
        return self.open(socket.SOCK_STREAM, port, address)

    def protocol(self, number: int) -> socket.socket:
        """Sends what follows an IP header of that protocol, and receives whole packets of it."""
        return self.open(socket.SOCK_RAW, protocol=number)

    def listener(self, port: int) -> socket.socket:
        made = self.tcp(port)
        made.listen(128)
        return made


# name -> (port, private address, MAC)
VMS = {
    "web": ("ep-web", "10.0.0.1", "02:00:00:00:01:01"),
    "app": ("ep-app", "10.0.0.1", "02:00:00:00:02:01"),
    "db": ("ep-db", "10.0.0.2", "02:00:00:00:03:02"),
    "dbx": ("ep-db", "10.0.0.3", "02:00:00:00:03:03"),
}
# The same private address at two ports; db's is an address of the pool: its DIP is its EIP.
VMS6 = {"web": "fd00::1", "app": "fd00::1", "db": "2001:db8:1::db", "dbx": "fd00::3"}

SHARED_PORTS = {"ep-db"}

# Of a laboratory that has links, too (`links: True`): a port to a hypervisor, which is the remote end of the tunnels,
# and vms behind it. Two are on VXLAN devices of Linux, the others on ends of links in user space (link_peer.py), for
# this kernel need have neither VLAN nor Geneve devices. All have one private address.
LINK_PORT = "ep-link"
LINK_DIP, LINK_DIP6 = "10.0.0.9", "fd00::9"
TUNNEL_END, TUNNEL_END6 = "192.0.2.129", "2001:db8:7::1"
HYPERVISOR, HYPERVISOR6 = "192.0.2.130", "2001:db8:7::9"
LINKED_VMS = {
    "vxlan": ("--vxlan", f"{HYPERVISOR},5000"),
    "vxlan6": ("--vxlan", f"{HYPERVISOR6},5006"),
    "geneve": ("--geneve", f"{HYPERVISOR},77"),
    "vlan": ("--vlan", "100"),
    "qinq": ("--vlan", "200.30"),
}


@dataclasses.dataclass(frozen=True)
class Guest:
    """A vm at a port of another kind, which `lab.start_guest()` connects."""

    port: str
    address: str
    mac: str
    device: str  # of the gateway's port
    peer: str    # what DPDK's testpmd has of it, which passes frames on, as they are, to the host's eth0; "": a bridge


# Of a laboratory that has guests, too (`guests: ("vhost", ...)`). {}: the laboratory's directory.
GUESTS = {
    # A virtio device, as a hypervisor gives one: DPDK's virtio-user.
    "vhost": Guest("ep-vhost", "10.0.0.8", "02:00:00:00:05:08", "net_vhost0,iface={}/vhost.sock",
                   "net_virtio_user0,path={}/vhost.sock"),
    "memif": Guest("ep-memif", "10.0.0.6", "02:00:00:00:05:06",
                   "net_memif0,role=server,socket={}/memif.sock,socket-abstract=no",
                   "net_memif0,role=client,socket={}/memif.sock,socket-abstract=no"),
    "tap": Guest("ep-tap", "10.0.0.7", "02:00:00:00:05:07", "net_tap0,iface=ep-tap", ""),
}


class Watch:
    """The hosts' interfaces, recorded."""

    def __init__(self, ports: dict[str, netns.RawPort]) -> None:
        self._ports = ports

    def __getitem__(self, host: str) -> netns.RawPort:
        return self._ports[host]

    def assert_silent(self) -> None:
        """No host has received anything but ARP."""
        for host, port in self._ports.items():
            frames = [frame.hex() for frame in port.received() if frame[12:14] != ETHER_TYPE_ARP]
            assert not frames, f"{host} received {frames}"


class Lab(Nest):
    """`with Lab() as lab:` - hosts are up; `lab.gateway.start()` starts the gateway."""

    def __init__(self, **settings) -> None:
        """Settings: those of config_text()."""
        super().__init__()
        self.gateway: Gateway | None = None
        self._peers: list[subprocess.Popen] = []
        try:
            self._build(settings)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self.gateway is not None and self.gateway.running():
            self.gateway.stop()
        for peer in self._peers:
            peer.kill()
            peer.wait()
        super().close()

    # --- looking ---

    def wait_for_next_hop(self) -> None:
        """The gateway knows the client's MAC, and the client and the vms that of the gateway."""
        deadline = time.monotonic() + 10
        while not self.port("uplink").get("nextHopMac"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the client's MAC stays unresolved:\n{self.gateway.tail()}")
            time.sleep(0.05)

    def port(self, name: str) -> dict:
        ports = self.gateway.portctl("show", "ports")["ports"]
        return next(port for port in ports if port["name"] == f"ports/{name}")

    def mac(self, port: str) -> str:
        """The gateway's MAC on a port."""
        return self.port(port)["mac"]

    def cut_connections(self) -> None:
        """Makes every host forget its TCP connections. Those whose program was killed would retransmit for minutes,
        into the counters of whatever comes next."""
        connected = [host for host in (self.client, *self.vms.values())
                     if any(state not in (Tcp.LISTEN, Tcp.TIME_WAIT) for state, _ in netns.tcp_sockets(host.namespace))]
        for host in connected:
            host.run("ss", "--kill", "--tcp", "--numeric")
        if connected:
            time.sleep(0.05)  # for the resets to be gone

    @contextlib.contextmanager
    def watch(self) -> Iterator["Watch"]:
        """What comes in on every host while the block runs."""
        with contextlib.ExitStack() as stack:
            yield Watch({host.name: stack.enter_context(host.raw())
                         for host in (self.client, *self.vms.values())})

    def assert_balanced(self) -> None:
        """No packet is lost without a name. Counters are read while the worker runs, so one read may fall into a
        burst; a gateway at rest adds up."""
        for _ in range(50):
            sums = self.gateway.workers()
            into = sum(sums.get(name, 0) for name in ("received", "originated", "takenOver"))
            out = sum(sums.get(name, 0) for name in ("transmitted", "dropped", "punted", "held", "handedOver"))
            if into == out and sums.get("takenOver", 0) == sums.get("handedOver", 0):
                return
            time.sleep(0.05)
        raise AssertionError(f"{into} packets came in, but {out} are accounted for: {sums}")

    def host_behind_client(self, name: str, address: str, router: str, mtu: int) -> Host:
        """A further outside host, to which the client is the router, of either family. `mtu`: of the link between
        them, of which the host's TCP says nothing to its peers."""
        host = self._host(name, "uplink", address, "02:00:00:00:00:03")
        client = self.client.namespace
        self._link(host.namespace, "eth0", host.mac, client, name)
        netns.ip("-n", client, "link", "set", name, "mtu", str(mtu))
        family, whole, mss = ("-6", 128, 1440) if ":" in address else ("-4", 32, 1460)
        if family == "-6":
            self._allow_ipv6(client, name)
            self._allow_ipv6(host.namespace)
            forwarding = ["net.ipv6.conf.all.forwarding=1", "net.ipv6.icmp.ratelimit=0"]
        else:
            forwarding = ["net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0", f"net.ipv4.conf.{name}.rp_filter=0"]
        with netns.entered(client):
            netns.run(["sysctl", "-qw", *forwarding])
        without_dad = ["nodad"] if family == "-6" else []
        netns.ip("-n", client, "address", "add", f"{router}/{whole}", "dev", name, *without_dad)
        netns.ip("-n", client, family, "route", "add", f"{address}/{whole}", "dev", name)
        netns.ip("-n", host.namespace, "address", "add", f"{address}/{whole}", "dev", "eth0", *without_dad)
        netns.ip("-n", host.namespace, family, "route", "add", "default", "via", router, "dev", "eth0", "onlink",
                 "mtu", str(mtu), "advmss", str(mss))
        return host

    # --- building ---

    def _build(self, settings: Mapping) -> None:
        gateway_namespace = self.namespace("gw")
        self.client = self._host("client", "uplink", CLIENT, CLIENT_MAC)
        self._link(self.client.namespace, "eth0", self.client.mac, gateway_namespace, "uplink")
        netns.ip("-n", self.client.namespace, "address", "add", f"{CLIENT}/24", "dev", "eth0")
        for alias in CLIENT_ALIASES:
            netns.ip("-n", self.client.namespace, "address", "add", f"{alias}/32", "dev", "eth0")
        netns.ip("-n", self.client.namespace, "route", "add", ROUTED, "dev", "eth0", "src", CLIENT)

        switch = None
        self.vms: dict[str, Host] = {}
        for name, (port, dip, mac) in VMS.items():
            vm = self._host(name, port, dip, mac)
            self.vms[name] = vm
            if port in SHARED_PORTS:
                if switch is None:
                    switch = self._switch(gateway_namespace, port)
                self._link(vm.namespace, "eth0", mac, switch, f"to-{name}")
                netns.ip("-n", switch, "link", "set", f"to-{name}", "master", "bridge0")
            else:
                self._link(vm.namespace, "eth0", mac, gateway_namespace, port)
            netns.ip("-n", vm.namespace, "address", "add", f"{dip}/32", "dev", "eth0")
            netns.ip("-n", vm.namespace, "route", "add", "default", "via", LINK_LOCAL_NEXT_HOP, "dev", "eth0", "onlink")

        if settings.get("ipv6"):
            self._add_ipv6()
        ports = sorted({port for port, _, _ in VMS.values()})
        if settings.get("links"):
            self._add_links(gateway_namespace)
            ports.append(LINK_PORT)
        for name in settings.get("guests", ()):
            self._add_guest(name, gateway_namespace)
        self.gateway = Gateway(gateway_namespace, self.directory,
                               config_text(self.directory, self.name, ports, **settings))

    def _add_ipv6(self) -> None:
        """As for IPv4: the client has the pool on-link, a vm one address and a default route."""
        client = self.client.namespace
        self._allow_ipv6(client)
        for address in (f"{CLIENT6}/64", f"{CLIENT6_ALIAS}/128"):
            netns.ip("-n", client, "address", "add", address, "dev", "eth0", "nodad")
        netns.ip("-n", client, "route", "add", POOL6, "dev", "eth0", "src", CLIENT6)
        self.client = dataclasses.replace(self.client, address6=CLIENT6)
        for name, dip in VMS6.items():
            self._give_ipv6(name, dip)

    def _give_ipv6(self, name: str, dip: str) -> None:
        vm = self.vms[name] = dataclasses.replace(self.vms[name], address6=dip)
        self._allow_ipv6(vm.namespace)
        netns.ip("-n", vm.namespace, "address", "add", f"{dip}/128", "dev", "eth0", "nodad")
        netns.ip("-n", vm.namespace, "route", "add", "default", "via", NEXT_HOP6, "dev", "eth0")

    def _add_links(self, gateway_namespace: str) -> None:
        hypervisor = self.hypervisor = self._host("hypervisor", LINK_PORT, HYPERVISOR, "02:00:00:00:04:00")
        self._link(hypervisor.namespace, "eth0", hypervisor.mac, gateway_namespace, LINK_PORT)
        self._allow_ipv6(hypervisor.namespace)
        netns.ip("-n", hypervisor.namespace, "address", "add", f"{HYPERVISOR}/25", "dev", "eth0")
        netns.ip("-n", hypervisor.namespace, "address", "add", f"{HYPERVISOR6}/64", "dev", "eth0", "nodad")
        for number, (name, link) in enumerate(LINKED_VMS.items(), start=1):
            vm = self._host(name, LINK_PORT, LINK_DIP, f"02:00:00:00:04:{number:02x}")
            self.vms[name] = dataclasses.replace(vm, link=link)
            kind, place = link
            if kind == "--vxlan":
                self._vxlan_device(vm, *place.split(","))
            elif kind == "--geneve":
                self._link_peer(vm, "geneve", HYPERVISOR, TUNNEL_END, place.split(",")[1])
            else:
                self._link_peer(vm, "vlan", "eth0", place)
            mtu = {"--vxlan": 1430, "--geneve": 1450, "--vlan": 1492}[kind]
            netns.ip("-n", vm.namespace, "link", "set", "eth0", "mtu", str(mtu))
            netns.ip("-n", vm.namespace, "address", "add", f"{LINK_DIP}/32", "dev", "eth0")
            netns.ip("-n", vm.namespace, "route", "add", "default", "via", LINK_LOCAL_NEXT_HOP, "dev", "eth0", "onlink")
            if self.client.address6:
                self._give_ipv6(name, LINK_DIP6)

    def _vxlan_device(self, vm: Host, local: str, vni: str) -> None:
        """Made where its underlay is, and moved to the vm."""
        remote = TUNNEL_END6 if ":" in local else TUNNEL_END
        netns.ip("-n", self.hypervisor.namespace, "link", "add", "made", "address", vm.mac, "type", "vxlan", "id", vni,
                 "local", local, "remote", remote, "dstport", "4789", "nolearning")
        netns.ip("-n", self.hypervisor.namespace, "link", "set", "made", "netns", vm.namespace, "name", "eth0")
        with netns.entered(vm.namespace):
            netns.run(["ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off"])
        netns.ip("-n", vm.namespace, "link", "set", "eth0", "up")

    def _add_guest(self, name: str, gateway_namespace: str) -> None:
        guest = GUESTS[name]
        vm = self.vms[name] = self._host(name, guest.port, guest.address, guest.mac)
        beside = self.namespace(f"{name}-peer") if guest.peer else gateway_namespace
        self._link(vm.namespace, "eth0", guest.mac, beside, f"to-{name}")
        netns.ip("-n", vm.namespace, "address", "add", f"{guest.address}/32", "dev", "eth0")
        netns.ip("-n", vm.namespace, "route", "add", "default", "via", LINK_LOCAL_NEXT_HOP, "dev", "eth0", "onlink")

    def start_guest(self, name: str) -> subprocess.Popen | None:
        """Connects the guest to the gateway, which runs: by a device that lives until it is ended, or by a bridge."""
        if not GUESTS[name].peer:
            self._bridge(name)
            return None
        runtime = self.directory / name
        runtime.mkdir(exist_ok=True)
        device = subprocess.Popen(
            ["ip", "netns", "exec", f"{self.name}-{name}-peer", "stdbuf", "-oL", "dpdk-testpmd", "--lcores", "0@0,1@0", "--no-huge",
             "-m", "256", "--no-pci", "--file-prefix", f"{self.name}{name}", f"--vdev={GUESTS[name].peer.format(self.directory)}",
             f"--vdev=net_af_packet0,iface=to-{name}", "--", "--auto-start", "--forward-mode=io", "--total-num-mbufs=8192"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env=os.environ | {"RUNTIME_DIRECTORY": str(runtime)})
        self._peers.append(device)
        said = []
        for line in device.stdout:
            said.append(line)
            if line.startswith("Press enter to exit"):
                return device
        raise RuntimeError(f"the device of {name} ended: {''.join(said[-5:])}")

    def _bridge(self, name: str) -> None:
        """From the TAP that the gateway has made to the guest. The TAP has the gateway's MAC, which a bridge would take
        for its own."""
        namespace, tap = self.gateway.namespace, GUESTS[name].port
        bridge = f"br-{name}"
        netns.ip("-n", namespace, "link", "add", bridge, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        netns.ip("-n", namespace, "link", "set", tap, "address", "02:00:00:00:05:ff")
        for device in (tap, f"to-{name}"):
            netns.ip("-n", namespace, "link", "set", device, "master", bridge)
        for device in (tap, bridge):
            netns.ip("-n", namespace, "link", "set", device, "up")

    def wait_for_link(self, port: str, up: bool) -> None:
        deadline = time.monotonic() + 20
        while self.port(port).get("linkUp", False) != up:
            assert time.monotonic() < deadline, f"the link of {port} does not {'come up' if up else 'go down'}"
            time.sleep(0.05)

    def _link_peer(self, vm: Host, *link: str) -> None:
        script = pathlib.Path(__file__).with_name("link_peer.py")
        peer = self.hypervisor.start(sys.executable, str(script), vm.namespace, vm.mac, *link,
                                     stderr=subprocess.DEVNULL)
        self._peers.append(peer)
        said = peer.stdout.readline().strip()
        if said != "ready":
            raise RuntimeError(f"the end of the link of {vm.name} did not start: {said}")

    @staticmethod
    def _allow_ipv6(namespace: str, interface: str = "eth0") -> None:
        """With a link-local address of its own, and nothing learnt from others."""
        of_link = f"net.ipv6.conf.{interface}"
        with netns.entered(namespace):
            netns.run(["sysctl", "-qw", f"{of_link}.accept_ra=0", f"{of_link}.accept_dad=0",
                       f"{of_link}.router_solicitations=0", f"{of_link}.disable_ipv6=0"])

    def _host(self, name: str, port: str, address: str, mac: str) -> Host:
        return Host(name, self.namespace(name), address, mac, port)

    def _switch(self, gateway_namespace: str, port: str) -> str:
        switch = self.namespace("switch")
        netns.ip("-n", switch, "link", "add", "bridge0", "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        netns.ip("-n", switch, "link", "set", "bridge0", "up")
        self._link(switch, "to-gateway", None, gateway_namespace, port)
        netns.ip("-n", switch, "link", "set", "to-gateway", "master", "bridge0")
        return switch

    def _link(self, left: str, left_name: str, left_mac: str | None, right: str, right_name: str) -> None:
        mac = ["address", left_mac] if left_mac else []
        # An af_xdp port receives from one queue.
        queues = ["numtxqueues", "1", "numrxqueues", "1"]
        netns.ip("-n", left, "link", "add", left_name, *mac, *queues, "type", "veth",
                 "peer", "name", right_name, *queues, "netns", right)
        for namespace, name in ((left, left_name), (right, right_name)):
            with netns.entered(namespace):
                netns.run(["ethtool", "-K", name, "tx", "off", "rx", "off", "sg", "off", "tso", "off", "gso", "off",
                           "gro", "off"])
            netns.ip("-n", namespace, "link", "set", name, "up")


def config_text(directory: pathlib.Path, file_prefix: str, endpoint_ports: list[str], *, quarantine: int = 2,
                driver: str = "net_af_packet", gateway_permit: str = "", flows_per_eip: int = 1024, udp_idle: int = 0, ipv6: bool = False,
                links: bool = False, guests: tuple[str, ...] = (), metrics: bool = False, workers: int = 1, queues: int = 1, frames: int = 0,
                denied_log: int = 0,
                mtus: Mapping[str, int] = MappingProxyType({})) -> str:
    """The gateway's start-up configuration, in the schema of config/config.proto; times in seconds."""
    # What the gateway itself sends does not leave an af_xdp port (docs/limits.md): it cannot ask for the client's MAC.
    next_hop_mac = f'mac: "{CLIENT_MAC}"' if driver == "net_af_xdp" else ""
    uplink6 = f'next_hop6 {{ address: "{CLIENT6}" {next_hop_mac} }}' if ipv6 else ""
    gateway6 = f'addresses: "{GATEWAY6}/64"' if ipv6 else ""
    pool6 = f'pools {{ name: "public6" prefix: "{POOL6}" }}' if ipv6 else ""
    tunnel = f'tunnel {{ addresses: ["{TUNNEL_END}/25", "{TUNNEL_END6}/64"] }}' if links else ""
    rings = (f",qpairs={queues}" if queues > 1 else "") + (f",framecnt={frames}" if frames else "")
    ports = "\n".join(
        f'ports {{ name: "{name}" device: "{driver}{number},iface={name}{rings}" queues: {queues} role: ENDPOINT'
        f' mtu: {mtus.get(name, 0)} {tunnel if name == LINK_PORT else ""} }}'
        for number, name in enumerate(endpoint_ports, start=1))
    for guest in (GUESTS[name] for name in guests):
        ports += f'\nports {{ name: "{guest.port}" device: "{guest.device.format(directory)}" role: ENDPOINT }}'
    # The first on core 1, as ever; the others go around.
    cores = [1, 0, 1, 0][:workers]
    return f"""\
eal {{ no_huge: true memory_mb: 512 file_prefix: "{file_prefix}" main_core: 0 }}
ports {{
  name: "uplink" device: "{driver}0,iface=uplink{rings}" queues: {queues} role: UPLINK
  next_hop {{ address: "{CLIENT}" {next_hop_mac} }} {uplink6} proxy_arp: true
}}
{ports}
workers {{ cores: {cores} idle_polls: 256 idle_sleep_us: 50 }}
gateway {{ addresses: "{GATEWAY}/24" {gateway6} {gateway_permit} }}
pools {{ name: "public" prefix: "{POOL}" }}
{pool6}
capacity {{ eips: 1024 index_pages: {40 if ipv6 else 8} permit_chunks: 4096 flows: 2048 flows_per_eip: {flows_per_eip} }}
flows {{ quarantine: {quarantine} udp: {udp_idle} }}
api {{ socket: "{directory}/api.sock" }}
store {{ path: "{directory}/store/state.db" }}
{f'metrics {{ listen: "{METRICS}" }}' if metrics else ""}
{f'denied_log {{ packets_a_second: {denied_log} }}' if denied_log else ""}
"""
