"""testpmd: what the drivers of the rig cost with next to nothing between them."""

import os
import pathlib
import re
import select
import subprocess
import time

from peer import Lab, Peer, Trial, count
from programs import Failed, Program, lines_of

HERE = pathlib.Path(__file__).resolve().parent / "testpmd"
START_SECONDS = 30
# What "show port stats all" draws below a port.
FRAME = re.compile(r"^\s*#{60,}\s*$", re.MULTILINE)


def packets(shown: str) -> tuple[int, int]:
    """Received by port 0, transmitted by port 1."""
    received = re.search(r"port 0 .*?RX-packets:\s*(\d+)", shown, re.DOTALL)
    transmitted = re.search(r"port 1 .*?TX-packets:\s*(\d+)", shown, re.DOTALL)
    if not received or not transmitted:
        raise Failed(f"dpdk-testpmd shows no packets: {shown[-200:]}")
    return int(received[1]), int(transmitted[1])


class Testpmd(Peer):
    """One process for a forwarding mode."""

    configuration = "testpmd/args"

    def __init__(self, lab: Lab, mode: str, work: str):
        self.lab = lab
        self.mode = mode
        self.name = f"testpmd {mode}"
        self.work = work
        self.program: Program | None = None

    def open(self) -> None:
        arguments = lines_of(HERE / "args", CONTROL_CORE=str(self.lab.control_core), CORE=str(self.lab.core),
                             FEED=str(self.lab.feed))
        runtime = self.lab.scratch / f"testpmd-{self.mode}"
        runtime.mkdir(exist_ok=True)
        self.program = Program(["stdbuf", "-oL", "dpdk-testpmd", *arguments, f"--forward-mode={self.mode}"],
                               runtime / "log", {"RUNTIME_DIRECTORY": str(runtime)}, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
        self.read()
        self.say("start")
        self.read()
        self.program.suspend()

    def say(self, command: str) -> None:
        assert self.program and self.program.process.stdin
        try:
            self.program.process.stdin.write(command.encode() + b"\n")
            self.program.process.stdin.flush()
        except BrokenPipeError:
            self.program.process.wait()
            self.program.require_running()

    def read(self) -> tuple[int, int]:
        """What the ports counted. Port 1 is shown last, and a frame is drawn below it."""
        assert self.program and self.program.process.stdout
        self.say("show port stats all")
        shown, deadline = "", time.monotonic() + START_SECONDS
        while "port 1 " not in shown or len(FRAME.findall(shown[shown.rindex("port 1 "):])) < 1:
            ready, _, _ = select.select([self.program.process.stdout], [], [], deadline - time.monotonic())
            text = os.read(self.program.process.stdout.fileno(), 65536).decode(errors="replace") if ready else ""
            shown += text
            if not text:
                raise Failed(f"dpdk-testpmd does not answer: {shown[-300:].strip()}")
        return packets(shown)

    def trial(self, seconds: float) -> Trial:
        assert self.program
        self.program.resume()
        try:
            return count(self.read, seconds, self.program.worker_seconds)
        finally:
            self.program.suspend()

    def close(self) -> None:
        if self.program:
            self.program.stop()


def peers(lab: Lab) -> list[Peer]:
    return [Testpmd(lab, "io", "nothing: the floor"), Testpmd(lab, "macswap", "the MACs of each frame swapped")]
