"""Takes a laboratory down, whatever became of the process that built it.

The laboratory starts this program in a session of its own and writes to its standard input, one line each,
what it is about to create: "namespace NAME" or "directory PATH". When the pipe reaches its end - because the
laboratory closed it, or because its process died of anything, SIGKILL too - every process inside the recorded
namespaces is killed, then the namespaces and the directories are removed. Every process of a laboratory lives
in one of its namespaces, so no other bookkeeping is needed; and since this is the only way a laboratory goes,
the way after a crash is the one that every run takes.
"""

import os
import shutil
import signal
import subprocess
import sys
import time


def processes_in(namespace: str) -> list[int]:
    answer = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(pid) for pid in answer.stdout.split()]


def remove_namespace(namespace: str) -> None:
    deadline = time.monotonic() + 10
    while pids := processes_in(namespace):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if time.monotonic() > deadline:
            print(f"reaper: processes {pids} in {namespace} do not die", file=sys.stderr)
            break
        time.sleep(0.01)
    if os.path.exists(f"/run/netns/{namespace}"):
        subprocess.run(["ip", "netns", "delete", namespace], check=False)


def main() -> None:
    # A terminal's signals are for the laboratory; this process ends by the end of its input alone.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    namespaces, directories = [], []
    for line in sys.stdin:
        kind, _, name = line.rstrip("\n").partition(" ")
        {"namespace": namespaces, "directory": directories}[kind].append(name)
    for namespace in reversed(namespaces):
        remove_namespace(namespace)
    for directory in reversed(directories):
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
