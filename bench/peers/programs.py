"""Programs that a benchmark starts: each in a private directory, known by its process id, gone when the run is."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

GRACE_SECONDS = 5


class Failed(Exception):
    """A program did not do what it was started for."""


@contextlib.contextmanager
def private_directory() -> Iterator[pathlib.Path]:
    path = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-peers-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Program:
    """Dies with this process, however that goes."""

    def __init__(self, command: list, log: pathlib.Path, environment: dict[str, str] | None = None, **options):
        self.name = pathlib.Path(str(command[0])).name
        self.log = log
        with log.open("wb") as file:
            options = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT} | options
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, command)],
                                            env=os.environ | (environment or {}), start_new_session=True, **options)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    # A poll-mode program takes its CPU whether it has packets or not, so it is stopped while others are measured.
    def suspend(self) -> None:
        self.require_running()
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def worker_seconds(self) -> float:
        """CPU time of the thread that has had most."""
        hertz = os.sysconf("SC_CLK_TCK")
        most = 0
        for path in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):  # a thread may end meanwhile
                fields = path.read_text().rpartition(")")[2].split()
                most = max(most, int(fields[11]) + int(fields[12]))
        return most / hertz

    def require_running(self) -> None:
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with status {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-500:]

    def wait_for(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            self.require_running()
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: no {what} within {seconds:.0f} s: {self.last_words()}")
            time.sleep(0.05)


def run(command: list, **options) -> str:
    """Its output; Failed, with what it said, if it fails."""
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=60, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    if done.returncode != 0:
        raise Failed(f"{pathlib.Path(str(command[0])).name}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def lines_of(path: pathlib.Path, **values: str) -> list[str]:
    """Of a configuration file: no comments, and each @NAME@ replaced by its value."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    for key, value in values.items():
        lines = [line.replace(f"@{key}@", value) for line in lines]
    return lines
