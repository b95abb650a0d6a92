"""What is acknowledged is on the disk, and what is on the disk is whole: kill -9 at random moments of a write
load, and the order of system calls, since after a kill the page cache would forgive a missing sync."""

import collections
import dataclasses
import ipaddress
import random
import re
import threading
import time

import grpc
import pytest

from api import Api, new
from gaps import STALL, gaps, stolen
from gateway import Gateway
from nest import Nest
from portless import POOL, config

WRITERS = 4
VMS_PER_WRITER = 4

LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


@pytest.fixture(name="gateway")
def _gateway():
    with Nest() as nest:
        gateway = Gateway(nest.namespace("gw"), nest.directory, config(nest))
        yield gateway
        if gateway.running():
            gateway.kill()


ANY_ADDRESS = "an address of the pool"


@dataclasses.dataclass(frozen=True)
class Thing:
    """A vm and what hangs on it, as it should be or as it is."""

    mac: str | None = None
    eip: str | None = None
    rules: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    def is_whole(self, expected: "Thing") -> bool:
        if expected.eip == ANY_ADDRESS:
            return (self.eip is not None and ipaddress.ip_address(self.eip) in ipaddress.ip_network(POOL)
                    and dataclasses.replace(self, eip=ANY_ADDRESS) == expected)
        return self == expected


@dataclasses.dataclass
class Asked:
    """A call, and what it makes of each vm that it is about."""

    call: str
    request: object
    after: dict[str, Thing]

    def send(self, api: Api):
        return getattr(api.tenant if hasattr(api.tenant, self.call) else api.provider, self.call)(
            self.request, timeout=20)

    def answered(self, reply) -> dict[str, Thing]:
        """With the addresses that the reply says were given."""
        addresses = ([result.name.rsplit("/", 1)[-1] for result in reply.results] if self.call == "Apply" else
                     [reply.eip.address if self.call == "RequestEip" else ""])
        return {vm: dataclasses.replace(after, eip=address) if after.eip == ANY_ADDRESS else after
                for (vm, after), address in zip(self.after.items(), addresses)}


class Writer:
    """Changes its own vms, one call at a time, by itself or several as one, and remembers for each what is
    acknowledged and what was asked for when the connection broke."""

    def __init__(self, number: int) -> None:
        self.tenant = f"w{number}"
        self.random = random.Random(number)
        self.acknowledged = {f"vm{i}": Thing() for i in range(VMS_PER_WRITER)}
        self.asked: Asked | None = None
        self.calls = collections.Counter()
        self.generation = 0
        self.failure: str | None = None
        self._number = number
        self._stamp = 0

    def run(self, api: Api) -> None:
        """Until the gateway dies."""
        try:
            while True:
                self._step(api)
        except grpc.RpcError as error:
            if error.code() not in LOST:
                self.failure = f"{self.asked}: {error.code()}: {error.details()}"
        except Exception as error:  # of this thread nobody else would hear
            self.failure = f"{self.asked}: {error!r}"

    def _step(self, api: Api) -> None:
        self.asked = self._ask()
        reply = self.asked.send(api)
        assert reply.generation > self.generation
        self._acknowledge(reply)

    def _acknowledge(self, reply) -> None:
        self.generation = reply.generation
        self.acknowledged |= self.asked.answered(reply)
        self.calls[self.asked.call] += 1
        self.asked = None

    def _ask(self) -> Asked:
        """A call by itself, or one for each of some vms as one; with an id, so that it may be repeated."""
        self._stamp += 1
        several = self.random.random() < 0.3
        vms = self.random.sample(sorted(self.acknowledged), self.random.randint(2, VMS_PER_WRITER) if several else 1)
        steps = [self._next(vm, self.acknowledged[vm]) for vm in vms]
        after = {vm: thing for vm, (_, _, thing) in zip(vms, steps)}
        call, request, _ = steps[0]
        if several:
            call = "Apply"
            request = new("ApplyRequest", operations=[
                new("Operation", **{re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): step}) for name, step, _ in steps])
        request.request_id = f"{self.tenant}-{self._stamp}"
        return Asked(call, request, after)

    def _next(self, vm: str, now: Thing):
        """A call that changes something, and what it makes of the vm."""
        name = f"tenants/{self.tenant}/vms/{vm}"
        if now.mac is None:
            mac = f"02:00:{self._number:02x}:{int(vm[2:]):02x}:{self._stamp >> 8 & 255:02x}:{self._stamp & 255:02x}"
            location = new("Location", port="vms", mac=mac)
            dip = f"10.0.{self._number}.{vm[2:]}"
            return "CreateVm", new("CreateVmRequest", vm=new("Vm", name=name, location=location, dip=dip)), Thing(mac)
        if now.eip is None:
            if self.random.random() < 0.2:
                return "DeleteVm", new("DeleteVmRequest", name=name), Thing()
            return ("RequestEip", new("RequestEipRequest", vm=name),
                    dataclasses.replace(now, eip=ANY_ADDRESS, rules=frozenset(), tags=frozenset()))
        eip = f"tenants/{self.tenant}/eips/{now.eip}"
        choice = self.random.random()
        if choice < 0.1:
            return "ReleaseEip", new("ReleaseEipRequest", name=eip), Thing(now.mac)
        if choice < 0.4:
            tags = [f"t{self._stamp}-{i}" for i in range(self.random.randint(1, 15))]
            return ("SetTag", new("SetTagRequest", eip=eip, tags=tags),
                    dataclasses.replace(now, tags=frozenset(tags)))
        rules = [new("PermitRule", name=f"r{self._stamp}-{i}", direction=1 + i % 2, protocol="tcp",
                     remote=new("Remote", any=True), local_ports=new("PortRange", first=i, last=self._stamp % 60000 + i))
                 for i in range(self.random.randint(1, 40))]
        return ("SetPermitList", new("SetPermitListRequest", eip=eip, rules=rules),
                dataclasses.replace(now, rules=frozenset(map(str, rules))))

    def check(self, api: Api) -> None:
        """Every vm is as it was acknowledged; or all that a call is about which was cut off are wholly as it asked for.
        A repeat of that call is then answered, and has not been carried out twice."""
        found = {vm: self._read(api, vm) for vm in self.acknowledged}
        as_asked = self.asked is not None and all(found[vm].is_whole(after) for vm, after in self.asked.after.items())
        for vm, expected in self.acknowledged.items():
            assert found[vm] == expected or (as_asked and vm in self.asked.after), (
                f"{self.tenant}/{vm}: found {found[vm]}, acknowledged {expected}, asked {self.asked}")
        if self.asked is None:
            return
        before = generation(api)
        self._acknowledge(self.asked.send(api))
        assert generation(api) == before + (0 if as_asked else 1), f"{self.tenant}: a repeat"
        for vm, expected in self.acknowledged.items():
            assert self._read(api, vm) == expected, f"{self.tenant}/{vm} after a repeat"

    def take_over(self, tags: frozenset[str]) -> None:
        """An import has given every EIP these."""
        self.acknowledged = {vm: dataclasses.replace(thing, tags=tags) if thing.eip else thing
                             for vm, thing in self.acknowledged.items()}

    def _read(self, api: Api, vm: str) -> Thing:
        try:
            found = api.provider.GetVm(new("GetVmRequest", name=f"tenants/{self.tenant}/vms/{vm}"), timeout=20)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND
            return Thing()
        if not found.eip:
            return Thing(found.location.mac)
        eip = api.tenant.GetEip(new("GetEipRequest", name=found.eip), timeout=20)
        permit = api.tenant.GetPermitList(new("GetPermitListRequest", eip=found.eip), timeout=20)
        assert eip.rule_count == len(permit.rules)
        return Thing(found.location.mac, eip.address, frozenset(map(str, permit.rules)), frozenset(eip.tags))


class Importer:
    """Imports the whole state over and over, each time with another tag for every EIP."""

    def __init__(self) -> None:
        self.imports = 0
        self.acknowledged: frozenset[str] | None = None  # of this life
        self.asked: frozenset[str] | None = None
        self.failure: str | None = None

    def run(self, api: Api) -> None:
        """Until the gateway dies."""
        self.acknowledged = self.asked = None
        try:
            document = api.provider.Export(new("ExportRequest"), timeout=20)
            while document.eips:
                tags = frozenset([f"import-{self.imports}"])
                for eip in document.eips:
                    eip.tags[:] = tags
                self.asked = tags
                api.provider.Import(new("ImportRequest", document=document), timeout=20)
                self.acknowledged, self.asked = tags, None
                self.imports += 1
        except grpc.RpcError as error:
            if error.code() not in LOST:
                self.failure = f"import: {error.code()}: {error.details()}"
        except Exception as error:  # of this thread nobody else would hear
            self.failure = f"import: {error!r}"

    def check(self, api: Api, writers: list[Writer]) -> None:
        """All EIPs have the tag that was acknowledged, or all that which was asked for."""
        now = [frozenset(eip.tags) for eip in api.provider.Export(new("ExportRequest"), timeout=20).eips]
        if self.asked is not None and now and set(now) == {self.asked}:
            self.acknowledged = self.asked
        if self.acknowledged is None:
            return
        assert set(now) == {self.acknowledged}, f"acknowledged {self.acknowledged}, asked {self.asked}"
        for writer in writers:
            writer.take_over(self.acknowledged)


def test_kill_at_random_moments_of_a_write_load(gateway, pytestconfig):
    """The store is compacted all the time, so that many a kill falls into that; one life in ten is of imports. Workers
    do not stall meanwhile."""
    kills = 1000 if pytestconfig.getoption("full") else 100
    writers = [Writer(number) for number in range(WRITERS)]
    importer = Importer()
    moments = random.Random(2)
    seen = []
    stolen_at_start = stolen()
    gateway.start()
    cut_off = applied = 0
    with Api(gateway.socket) as api:
        reached = generation(api)
    for life in range(kills):
        imports = life % 10 == 9
        with Api(gateway.socket) as api:
            threads = [threading.Thread(target=caller.run, args=(api,))
                       for caller in ([importer] if imports else writers)]
            for thread in threads:
                thread.start()
            time.sleep(moments.uniform(0.005, 0.15))
            seen.append(gaps(gateway, api, stolen_at_start))
            gateway.kill()
            for thread in threads:
                thread.join(timeout=30)
                assert not thread.is_alive()
        for caller in [importer, *writers]:
            assert caller.failure is None, f"life {life}: {caller.failure}"
        stolen_at_start = stolen()
        gateway.start()
        with Api(gateway.socket) as api:
            if imports:
                importer.check(api, writers)
            else:
                # A short life may end before its first reply: then it began with what was reached before.
                acknowledged = max(reached, *(writer.generation for writer in writers))
                now = generation(api)
                asked = [writer.asked for writer in writers if writer.asked is not None]
                assert acknowledged <= now <= acknowledged + len(asked), f"life {life}"
                cut_off += len(asked)
                applied += now - acknowledged
            for writer in writers:
                writer.check(api)
            reached = generation(api)
    calls = sum((writer.calls for writer in writers), collections.Counter())
    print(f"{kills} kills: {sum(calls.values())} acknowledged calls ({dict(calls)}), {importer.imports} imports, "
          f"{cut_off} cut off, {applied} of them applied")
    assert sum(calls.values()) > kills, "there was no load to speak of"
    assert calls["Apply"] > kills / 2 and importer.imports > kills / 20
    assert cut_off > kills / 2, "the kills did not fall into calls"
    print("of the worker under these loads:", max(seen, key=lambda gap: gap.longest))
    assert max(gap.own() for gap in seen) < STALL
    assert gateway.stop() == 0


def generation(api: Api) -> int:
    return api.observe.GetGateway(new("GetGatewayRequest"), timeout=20).generation


def test_every_reply_comes_after_the_sync(gateway):
    """strace: for each call the log is written, then synced, and only then is the reply sent."""
    trace = gateway.directory / "trace"
    gateway.start(wrapper=("strace", "-D", "-f", "-qq", "-y", "-s", "16384", "-o", str(trace), "--seccomp-bpf", "-e",
                           "trace=fsync,fdatasync,write,writev,pwrite64,pwritev,sendto,sendmsg"), timeout=60)
    marks = []
    with Api(gateway.socket) as api:
        api.provider.CreateVm(new("CreateVmRequest", vm=new(
            "Vm", name="tenants/t/vms/a", dip="10.0.0.1", location=new("Location", port="vms", mac="02:00:00:00:00:01"))),
            timeout=20)
        eip = api.tenant.RequestEip(new("RequestEipRequest", vm="tenants/t/vms/a"), timeout=20).eip.name
        for number in range(20):
            marks.append(f"mark-{number:04}-of-the-trace")
            rule = new("PermitRule", name=marks[-1], direction=1, remote=new("Remote", any=True))
            api.tenant.SetPermitList(new("SetPermitListRequest", eip=eip, rules=[rule]), timeout=20)
    assert gateway.stop() == 0
    lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    for mark in marks:
        written = index(lines, 0, rf"p?write(64|v)?\(\d+<[^>]*state\.db-wal>.*{mark}")
        synced = sync_ends(lines, written)
        sent = index(lines, 0, rf"(sendmsg|sendto|write|writev)\(\d+<(?!/)[^>]*>.*{mark}")
        assert written < synced < sent, f"{mark}: written at {written}, synced at {synced}, sent at {sent}"


def index(lines: list[str], start: int, pattern: str) -> int:
    expression = re.compile(r"^\d+ +" + pattern)
    found = next((i for i in range(start, len(lines)) if expression.search(lines[i])), None)
    assert found is not None, f"the trace has no line with {pattern}"
    return found


def sync_ends(lines: list[str], start: int) -> int:
    """Where the first sync of the log that began after `start` has succeeded."""
    began = index(lines, start, r"f(data)?sync\(\d+<[^>]*state\.db-wal>")
    if "<unfinished" not in lines[began]:
        assert lines[began].rstrip().endswith("= 0")
        return began
    thread = lines[began].split()[0]
    return next(i for i in range(began, len(lines))
                if lines[i].split()[0] == thread and "sync resumed>" in lines[i] and lines[i].rstrip().endswith("= 0"))
