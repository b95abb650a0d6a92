"""Traces of a gateway under test, told by portctl."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator

from gateway import PORTCTL, Gateway

BEGUN = "tracing; Ctrl-C ends it\n"


class Trace:
    def __init__(self, gateway: Gateway, words: tuple[str, ...]) -> None:
        self.out = ""
        self.said = ""
        self.process = subprocess.Popen([PORTCTL, "--socket", gateway.socket, "trace", *words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = self.process.stderr.readline()
        if first != BEGUN:
            self.process.kill()
            raise RuntimeError(f"the trace does not begin: {first}{self.process.communicate()[1]}")

    def end(self) -> None:
        """As by Ctrl-C, or waits for its own end if it has a limit that is met."""
        if self.process.poll() is None:
            time.sleep(0.2)  # what is under way arrives
            self.process.send_signal(signal.SIGINT)
        self.wait()

    def wait(self) -> None:
        out, said = self.process.communicate(timeout=20)
        self.out, self.said = self.out or out, self.said or said
        assert self.process.returncode == 0, self.said

    def packets(self) -> list[dict]:
        """Of one with --json: what is told of each packet."""
        return [json.loads(line) for line in self.out.splitlines()]


@contextlib.contextmanager
def tracing(gateway: Gateway, *words: str) -> Iterator[Trace]:
    """Workers trace while the block runs."""
    trace = Trace(gateway, words)
    try:
        yield trace
        trace.end()
    finally:
        if trace.process.poll() is None:
            trace.process.kill()
            trace.process.communicate()
