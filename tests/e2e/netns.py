"""Network namespaces from inside one process: sockets that live in another namespace, raw frames in and out."""

import contextlib
import ctypes
import enum
import os
import pathlib
import select
import socket
import subprocess
import time
from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33  # RCVBUF beyond rmem_max, which root may

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def entered(namespace: str) -> Iterator[None]:
    """The calling thread is in the namespace; sockets opened and programs started here stay there. That is what `ip
    netns exec` does, but for the /sys that it mounts, which takes longer than most programs."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


class Tcp(enum.StrEnum):
    """States of a connection, as /proc/net/tcp has them."""

    TIME_WAIT = "06"
    LISTEN = "0A"


def tcp_sockets(namespace: str) -> list[tuple[str, int]]:
    """The state and the port of each of a namespace."""
    with entered(namespace):
        lines = [line.split() for name in ("tcp", "tcp6")
                 for line in pathlib.Path(f"/proc/thread-self/net/{name}").read_text(encoding="ascii").splitlines()[1:]]
    return [(state, int(local.rpartition(":")[2], 16)) for _, local, _, state, *_ in lines]


def ip(*arguments: str) -> None:
    run(["ip", *arguments])


def run(command: list[str], **options) -> subprocess.CompletedProcess:
    """subprocess.run that fails with the command's own words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr or done.stdout}")
    return done


class RawPort:
    """Frames as they are on one interface of a namespace: sent, and recorded from the moment it is opened."""

    def __init__(self, namespace: str, interface: str) -> None:
        with entered(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        with entered(namespace):
            self._socket.bind((interface, 0))
        self._seen: list[bytes] = []

    def __enter__(self) -> "RawPort":
        return self

    def __exit__(self, *_) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def received(self) -> list[bytes]:
        """Every frame that has come in, in order. Frames sent from this host are not among them."""
        while select.select([self._socket], [], [], 0)[0]:
            self._read()
        return list(self._seen)

    def wait_for(self, marker: bytes, timeout: float = 3.0) -> bytes:
        """The first frame that came in with the marker in it."""
        checked = 0
        deadline = time.monotonic() + timeout
        while True:
            for frame in self._seen[checked:]:
                if marker in frame:
                    return frame
            checked = len(self._seen)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"no frame with {marker!r} within {timeout} s")
            if select.select([self._socket], [], [], remaining)[0]:
                self._read()

    def saw(self, marker: bytes) -> bool:
        return any(marker in frame for frame in self.received())

    def _read(self) -> None:
        frame, address = self._socket.recvfrom(65535)
        if address[2] != PACKET_OUTGOING:
            self._seen.append(frame)
