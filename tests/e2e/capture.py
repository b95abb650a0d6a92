"""Captures of a gateway under test, written by portctl and read by tshark."""

import contextlib
import dataclasses
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

from gateway import PORTCTL, Gateway

FIELDS = ("frame.interface_name", "frame.packet_flags_direction", "frame.comment", "ip.src", "ip.dst", "tcp.dstport",
          "frame.len", "frame.cap_len", "frame.time_epoch", "frame.packet_id", "eth.src")
INBOUND, OUTBOUND = "0x00000001", "0x00000002"


@dataclasses.dataclass(frozen=True)
class Packet:
    """As tshark reads it; of a packet in a tunnel the addresses are "outer,inner"."""

    port: str
    direction: str
    comment: str
    source: str
    destination: str
    tcp_port: str
    length: int
    captured: int
    time: float
    mac: str


def read(file: pathlib.Path, condition: str = "") -> list[Packet]:
    """The packets of a file for which the display filter holds; tshark must find nothing wrong with it."""
    words = [word for field in FIELDS for word in ("-e", field)]
    done = subprocess.run(["tshark", "-n", "-r", file, "-T", "fields", "-E", "separator=/t", *words, condition or "frame"],
                          capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    assert (done.returncode, said) == (0, [])
    packets = []
    for line in done.stdout.splitlines():
        port, direction, comment, source, destination, tcp_port, length, captured, when, _, mac = line.split("\t")
        packets.append(Packet(port, direction, comment, source, destination, tcp_port, int(length), int(captured),
                              float(when), mac))
    return packets


def count(file: pathlib.Path) -> int:
    """How many packets a file has, of which nothing else is asked: tshark takes its time for many."""
    done = subprocess.run(["capinfos", "-c", "-M", "-T", "-r", file], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout.split()[-1])


class Capture:
    def __init__(self, gateway: Gateway, file: pathlib.Path, words: tuple[str, ...]) -> None:
        self.file = file
        self.said = ""
        file.unlink(missing_ok=True)  # of a capture before
        self.process = subprocess.Popen([PORTCTL, "--socket", gateway.socket, "capture", *words, "-w", file],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True)
        deadline = time.monotonic() + 10
        while not (file.exists() and file.stat().st_size):
            if self.process.poll() is not None:
                raise RuntimeError(f"the capture has ended: {self.process.stderr.read()}")
            if time.monotonic() > deadline:
                raise RuntimeError("the capture does not begin")
            time.sleep(0.01)

    def end(self) -> None:
        """As by Ctrl-C, or waits for its own end if it has a limit that is met."""
        if self.process.poll() is None:
            time.sleep(0.1)  # what is under way arrives
            self.process.send_signal(signal.SIGINT)
        self.wait()

    def wait(self) -> None:
        _, said = self.process.communicate(timeout=20)
        self.said = self.said or said
        assert self.process.returncode == 0, self.said

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def packets(self, condition: str = "") -> list[Packet]:
        return read(self.file, condition)


@contextlib.contextmanager
def capturing(gateway: Gateway, file: pathlib.Path, *words: str) -> Iterator[Capture]:
    """Workers copy while the block runs."""
    capture = Capture(gateway, file, words)
    try:
        yield capture
        if capture.process.returncode is None:  # else who has seen its end has judged it
            capture.end()
    finally:
        if capture.process.poll() is None:
            capture.kill()
