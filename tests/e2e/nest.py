"""Where a test keeps what it creates: network namespaces, and a directory. Nothing is made in the namespace that
the test itself runs in, and every process of a test runs in one of those made here. A reaper process removes
them all when the nest is closed or its process dies, however it dies."""

import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

import netns

_serial = itertools.count()


class Nest:
    def __init__(self) -> None:
        self.name = f"pc{os.getpid()}x{next(_serial)}"
        self._reaper = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("reaper.py")],
            stdin=subprocess.PIPE, start_new_session=True, text=True)
        self.directory = pathlib.Path(tempfile.gettempdir()) / self.name
        self._record("directory", str(self.directory))
        self.directory.mkdir(mode=0o700)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._reaper.stdin.close()
        self._reaper.wait(timeout=60)

    def namespace(self, name: str) -> str:
        """A new namespace, with loopback up. The name is unique on this machine."""
        namespace = f"{self.name}-{name}"
        self._record("namespace", namespace)
        netns.ip("netns", "add", namespace)
        # IPv6 is not spoken here; its router solicitations would only stir the drop counters. TCP as every kernel
        # has it, whatever this machine prefers.
        with netns.entered(namespace):
            netns.run(["sysctl", "-eqw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1",
                       "net.ipv4.tcp_congestion_control=reno"])
        netns.ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    def _record(self, kind: str, name: str) -> None:
        """Before the thing is made: a reaper that looks for what is not there yet does no harm."""
        self._reaper.stdin.write(f"{kind} {name}\n")
        self._reaper.stdin.flush()
