"""One portcullisd in a namespace of a laboratory, and portctl to speak with it, which takes longer to start than the
gateway to answer: one portctl carries out many commands, and what is read again and again is asked of the API."""

import contextlib
import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

from google.protobuf.json_format import MessageToDict

from api import ROOT, Api, new

BINARIES = pathlib.Path(os.environ.get("PORTCULLIS_BIN", ROOT / "build" / "bin"))
PORTCULLISD = BINARIES / "portcullisd"
PORTCTL = BINARIES / "portctl"


class Refused(Exception):
    """portctl ended with another status than 0."""

    def __init__(self, command: str, status: int, message: str) -> None:
        super().__init__(f"{command}: exit status {status}: {message}")
        self.status = status
        self.message = message


@dataclasses.dataclass
class Drops:
    """Drops by reason within a `with gateway.drops()` block: reasons that did not move are absent."""

    moved: dict[str, int] = dataclasses.field(default_factory=dict)

    def own(self) -> dict[str, int]:
        """Without what hosts say of themselves, whenever they like: one with IPv6 on every link, and those behind
        tunnels and VLANs that no vm is registered for now, which ask for their next hop."""
        noise = {"neighbor_ignored", "wrong_destination_mac", "tunnel_unknown", "vlan_unknown"}
        return {reason: count for reason, count in self.moved.items() if reason not in noise}

    def reasons(self) -> set[str]:
        return set(self.own())


class Portctl:
    """`portctl batch`, held open: a command takes 4 ms, where a portctl of its own takes 40 to start."""

    # What is no single answer; and what reads standard input or has lines within a word.
    ALONE = {"capture", "trace", "watch", "events", "completion", "manual", "complete", "batch"}

    def __init__(self, socket: pathlib.Path) -> None:
        self._lock = threading.Lock()
        self._lines = 0
        self._said = b""
        self._process = subprocess.Popen([PORTCTL, "--socket", str(socket), "--json", "batch", "--keep-going"],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    @classmethod
    def takes(cls, words: tuple[str, ...]) -> bool:
        return not cls.ALONE.intersection(words) and "-" not in words and not any("\n" in word for word in words)

    def run(self, words: tuple[str, ...], timeout: float) -> dict:
        """status, and answer or error."""
        quoted = ('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
        with self._lock:
            self._process.stdin.write(" ".join(quoted).encode() + b"\n")
            self._process.stdin.flush()
            self._lines += 1
            answer = json.loads(self._next_line(time.monotonic() + timeout, words))
            assert answer["line"] == self._lines, f"{answer} is not to {words}"
            return answer

    def _next_line(self, deadline: float, words: tuple[str, ...]) -> bytes:
        while b"\n" not in self._said:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            some = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            if not some:
                self._process.kill()  # a late answer would be taken for that to the next command
                raise RuntimeError(f"portctl batch does not answer to {words}, or has ended")
            self._said += some
        line, self._said = self._said.split(b"\n", 1)
        return line

    def is_open(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=20)


class Gateway:
    def __init__(self, namespace: str, directory: pathlib.Path, config: str) -> None:
        self.namespace = namespace
        self.directory = directory
        self.socket = directory / "api.sock"
        self.config = directory / "portcullisd.txtpb"
        self.log = directory / "portcullisd.log"
        self.process: subprocess.Popen | None = None
        self._api: Api | None = None
        self._portctl: Portctl | None = None
        self._lock = threading.Lock()
        self.config.write_text(config)

    # --- the process ---

    def start(self, wrapper: tuple[str, ...] = (), timeout: float = 30) -> None:
        """Returns when it says that it is ready: its store is published, its ports and its API are open."""
        assert self.process is None
        with open(self.log, "ab") as log:
            said_before = log.tell()
            # With mounts of its own: a wrapper may add some.
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *wrapper, PORTCULLISD, "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                # DPDK's run-time files, which /run/dpdk would keep.
                env=os.environ | {"RUNTIME_DIRECTORY": str(self.directory)})
        deadline = time.monotonic() + timeout
        while b"ready: " not in self.log.read_bytes()[said_before:]:
            if self.process.poll() is not None:
                raise RuntimeError(f"portcullisd ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"portcullisd is not ready after {timeout} s:\n{self.tail()}")
            time.sleep(0.005)

    def stop(self) -> int:
        """Asks it to end, and gives its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(timeout=20)
        self.process = None
        for connected in filter(None, (self._api, self._portctl)):
            connected.close()
        self._api = self._portctl = None
        return status

    # --- the API ---

    def observe(self, method: str) -> dict:
        """What a method of ObserveService answers, as `portctl --json` prints it."""
        self._api = self._api or Api(self.socket)
        call = getattr(self._api.observe, method)
        reply = call(new(f"{method}Request"), timeout=30, wait_for_ready=True)
        return MessageToDict(reply, including_default_value_fields=True)

    def portctl(self, *words: str) -> dict:
        """What `portctl --json` prints, parsed; Refused if it ends with another status than 0."""
        if self.running() and Portctl.takes(words):
            done = self._held_portctl().run(words, timeout=30)
            status, answer, error = done["status"], done.get("answer"), done.get("error")
            message = error.strip() if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
        else:
            command = [PORTCTL, "--socket", str(self.socket), "--json", *words]
            alone = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
            status, message = alone.returncode, alone.stderr.strip()
            answer = json.loads(alone.stdout) if status == 0 and alone.stdout.strip() else {}
        if status != 0:
            raise Refused("portctl " + " ".join(words), status, message)
        return answer or {}

    def _held_portctl(self) -> Portctl:
        with self._lock:
            if not (self._portctl and self._portctl.is_open()):
                self._portctl = Portctl(self.socket)
            return self._portctl

    def all_drops(self) -> dict[str, int]:
        return {drop["reason"]: int(drop.get("packets", 0)) for drop in self.observe("ListDrops")["drops"]}

    @contextlib.contextmanager
    def drops(self, expected: int = 0, of: str = "") -> Iterator[Drops]:
        """Which drop counters move while the block runs, and by how much. `expected`: how many drops are waited
        for at its end, for the reason `of` or for any that is no noise; then, and without it, packets under way get a moment to
        arrive in."""
        before = self.all_drops()
        result = Drops()
        yield result
        deadline = time.monotonic() + 3
        time.sleep(0.05 if expected else 0.2)
        while True:
            after = self.all_drops()
            result.moved = {reason: after[reason] - before[reason]
                            for reason in after if after[reason] != before[reason]}
            met = result.moved.get(of, 0) if of else sum(result.own().values())
            if met >= expected or time.monotonic() > deadline:
                return
            time.sleep(0.02)

    def workers(self) -> dict[str, int]:
        """Counters of all workers, added up."""
        total: dict[str, int] = {}
        for worker in self.observe("ListWorkers")["workers"]:
            for name, value in worker.items():
                total[name] = total.get(name, 0) + int(value)
        return total

    def flow_entries(self) -> int:
        """Of both families."""
        workers = self.workers()
        return workers.get("flowEntries", 0) + workers.get("ipv6FlowEntries", 0)
