"""The machine a benchmark runs on: hugepages for the time of it, what disturbs it, what it is called."""

import contextlib
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

PAGE_MB = 2
POOL = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
# The share of a trial that something else may take of a CPU before the trial is called disturbed.
STOLEN = 0.01
NEIGHBOUR_BUSY = 0.15
CPUS = sorted(os.sched_getaffinity(0))  # before anybody pins this process


class Unable(Exception):
    """Why something cannot run here."""


# --- packages ---


def packages(path: pathlib.Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def missing(names: list[str]) -> list[str]:
    def installed(name: str) -> bool:
        done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", name], capture_output=True, text=True,
                              check=False)
        return done.stdout == "installed"

    return [name for name in names if not installed(name)]


def install(names: list[str]) -> None:
    """Installs what is missing, starting no service that comes with it. Unable, if it cannot."""
    wanted = missing(names)
    if not wanted:
        return
    print(f"Installing {len(wanted)} Debian packages: {' '.join(wanted)}", file=sys.stderr, flush=True)
    if os.geteuid() != 0:
        raise Unable(f"installing {' '.join(wanted)} needs root")
    command = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300", "install", "--yes",
               "--no-install-recommends", *wanted]
    with no_services():
        for attempt in (command, ["apt-get", "-qq", "update"], command):
            done = subprocess.run(attempt, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True,
                                  text=True, check=False)
            if attempt is command and done.returncode == 0:
                return
    raise Unable(f"apt-get could not install {' '.join(wanted)}: {done.stderr.strip()[-400:]}")


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """Debian's way to say that no daemon be started; a policy that is there is left alone."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


# --- hugepages ---


@contextlib.contextmanager
def hugepages(megabytes: int) -> Iterator[bool]:
    """That many MiB free in hugepages, for as long as this lasts; False if the machine does not give them. Pages that
    others reserved stay."""
    knob, free = POOL / "nr_hugepages", POOL / "free_hugepages"
    if not knob.exists():
        yield False
        return
    before = int(knob.read_text())
    lacking = -(-megabytes // PAGE_MB) - int(free.read_text())
    try:
        if lacking > 0:
            with contextlib.suppress(OSError):
                knob.write_text(str(before + lacking))
        yield int(free.read_text()) * PAGE_MB >= megabytes
    finally:
        if lacking > 0:
            with contextlib.suppress(OSError):
                knob.write_text(str(before))


# --- what disturbs ---


@dataclasses.dataclass
class CpuTimes:
    """Seconds since start, of one CPU."""

    busy: float
    stolen: float
    total: float


def cpu_times(text: str, cpu: int) -> CpuTimes:
    """From /proc/stat: user nice system idle iowait irq softirq steal."""
    hertz = os.sysconf("SC_CLK_TCK")
    for line in text.splitlines():
        name, *ticks = line.split()
        if name == f"cpu{cpu}":
            fields = [int(tick) / hertz for tick in ticks[:8]]
            idle, stolen = fields[3] + fields[4], fields[7]
            return CpuTimes(sum(fields) - idle - stolen, stolen, sum(fields))
    raise Unable(f"there is no CPU {cpu}")


class Watch:
    """What happened beside the device under test while it ran on `core`."""

    def __init__(self, core: int):
        self.core = core
        self.others = [cpu for cpu in CPUS if cpu != core]
        self.before = self.read()

    def read(self) -> dict[int, CpuTimes]:
        text = pathlib.Path("/proc/stat").read_text()
        return {cpu: cpu_times(text, cpu) for cpu in [self.core, *self.others]}

    def disturbances(self) -> list[str]:
        """In words, since the beginning; empty if all was quiet."""
        after, found = self.read(), []
        for cpu, now in after.items():
            was = self.before[cpu]
            total = max(now.total - was.total, 1e-9)
            if (now.stolen - was.stolen) / total > STOLEN and cpu == self.core:
                found.append(f"the host took {(now.stolen - was.stolen) / total:.0%} of CPU {cpu}")
            if cpu != self.core and (now.busy - was.busy) / total > NEIGHBOUR_BUSY:
                found.append(f"CPU {cpu} was {(now.busy - was.busy) / total:.0%} busy")
        return found


def default_core() -> int:
    """The last CPU: the first is where others' interrupts and daemons go."""
    return CPUS[-1]


# --- its name ---


def cpu_model() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def slug(text: str) -> str:
    """For a directory's name."""
    text = re.sub(r"\((r|tm)\)", "", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def description() -> dict:
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {"cpu": cpu_model(), "cpus": len(CPUS), "memory_mb": int(memory[1]) // 1024,
            "kernel": os.uname().release, "hugepages_2mb": int((POOL / "nr_hugepages").read_text())
            if POOL.exists() else 0}
