"""Runs the rows of the table of targets, judges them, and writes page, JSON and plots. Called by scripts/bench."""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile

import bench_compare
import bench_machine as machine
import bench_page
import bench_rows

ROOT = pathlib.Path(__file__).resolve().parents[2]
PPS = ROOT / "build/bench/pps/bench-pps"
MEMORY = ROOT / "build/bench/memory/bench-memory"
PEERS = ROOT / "bench/peers/run"
RESULTS = ROOT / "bench/results"
PLOT_PACKAGES = ["python3-matplotlib"]
RUN_SECONDS = 900  # no run takes longer
TIED = ["setpriv", "--pdeathsig", "KILL"]


@dataclasses.dataclass(frozen=True)
class Effort:
    passes: int
    trials: int
    seconds: float
    retries: int  # of a run that was disturbed
    peer_rounds: int

    def arguments(self, run: bench_rows.Run, short: bool) -> list[str]:
        arguments = ["--trials", str(self.trials), "--seconds", str(self.seconds)]
        # Of several workers the neighbour says whether the target means them.
        if run.name.startswith("12"):
            return arguments
        # In short runs what only illustrates is measured for a few rows.
        if short and run.name not in ("1a", "1b", "2", "3", "4"):
            arguments += ["--no-stages", "--no-neighbour", "--load", "0"]
        elif run.name != "1a" and not run.name.startswith("1a --rig"):
            arguments += ["--no-neighbour"]
        return arguments


FULL = Effort(passes=2, trials=9, seconds=1.0, retries=2, peer_rounds=9)
SHORT = Effort(passes=1, trials=3, seconds=0.25, retries=1, peer_rounds=0)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def call(command: list, scratch: pathlib.Path) -> str:
    """Its output. Unable, with its last words, if it gives none."""
    try:
        done = subprocess.run([*TIED, *map(str, command)], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=RUN_SECONDS,
                              env=os.environ | {"RUNTIME_DIRECTORY": str(scratch)})
    except subprocess.TimeoutExpired as late:
        raise machine.Unable(f"not done after {RUN_SECONDS} s") from late
    if done.returncode != 0:
        words = [line.split("\r")[-1].strip() for line in done.stderr.splitlines() if line.strip()]
        raise machine.Unable(words[-1] if words else f"exit status {done.returncode}")
    return done.stdout


def measure(run: bench_rows.Run, effort: Effort, options: argparse.Namespace, scratch: pathlib.Path) -> dict:
    """One pass; again if it was disturbed."""
    for attempt in range(effort.retries + 1):
        output = call([PPS, *run.arguments, *effort.arguments(run, options.short), "--core", str(options.core), "--json"],
                      scratch)
        result = bench_compare.of_own_core(json.loads(output))
        if not result["verified"]:
            raise machine.Unable("bench-pps did not verify what came out")
        if not result["disturbed"]:
            break
        if attempt < effort.retries:
            say(f"  {run.name}: disturbed, once more")
    return result


def measure_all(runs: list[bench_rows.Run], effort: Effort, options: argparse.Namespace,
                scratch: pathlib.Path) -> tuple[dict[str, dict], dict[str, str]]:
    passes: dict[str, list[dict]] = {}
    failures: dict[str, str] = {}
    total = effort.passes * len(runs)
    # A whole pass over all rows before the next: what drifts in minutes shows.
    for number in range(total):
        run = runs[number % len(runs)]
        if run.name in failures:
            continue
        try:
            result = measure(run, effort, options, scratch)
        except machine.Unable as reason:
            failures[run.name] = str(reason)
            passes.pop(run.name, None)
            say(f"[{number + 1}/{total}] {run.name}: NO FIGURE: {reason}")
            continue
        passes.setdefault(run.name, []).append(result)
        say(f"[{number + 1}/{total}] {run.name}: G {result['g']:.1f}, {result['mpps']:.2f} Mpps"
            f"{', DISTURBED' if result['disturbed'] else ''}")
    return {name: bench_compare.merged(found) | {"run": name} for name, found in passes.items()}, failures


def commit() -> str:
    """"+" where the sources differ from it."""
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")


def measure_peers(effort: Effort, options: argparse.Namespace, scratch: pathlib.Path) -> tuple[str, list[dict]]:
    file = scratch / "peers.json"
    say("Peers")
    # It puts each peer on the CPU it wants, so it has all of them, though this program keeps off the worker's.
    done = subprocess.run([*TIED, PEERS, "--rounds", str(effort.peer_rounds), "--core", str(options.core), "--json", file],
                          stdout=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL,
                          preexec_fn=lambda: os.sched_setaffinity(0, machine.CPUS))
    if not file.exists():
        return f"bench/peers/run ended with status {done.returncode} and no figures.\n", []
    return done.stdout, json.loads(file.read_text())["peers"]


def draw(results: dict[str, dict], directory: pathlib.Path, short: bool) -> list[tuple[str, str]]:
    try:
        machine.install(PLOT_PACKAGES)
        import bench_plots  # it needs what was installed just now
    except (machine.Unable, ImportError) as reason:
        say(f"note: no plots: {reason}")
        return []
    return bench_plots.draw(results, directory, short)


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", allow_abbrev=False)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--row", action="append", default=[])
    parser.add_argument("--json", type=lambda text: pathlib.Path(text).absolute())
    parser.add_argument("--output", type=lambda text: pathlib.Path(text).absolute())
    parser.add_argument("--core", type=int, default=machine.default_core())
    parser.add_argument("--trials", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args(arguments)
    try:
        options.targets = bench_rows.selected(options.row)
    except KeyError as unknown:
        parser.error(f"--row: there is no row {unknown}; there are "
                     + ", ".join(dict.fromkeys(target.row for target in bench_rows.TARGETS)))
    if options.core not in machine.CPUS:
        parser.error(f"--core: there is no CPU {options.core}")
    return options


def run_everything(options: argparse.Namespace, arguments: list[str], scratch: pathlib.Path) -> int:
    effort = SHORT if options.short else FULL
    effort = dataclasses.replace(effort, trials=options.trials or effort.trials,
                                 seconds=options.seconds or effort.seconds)
    runs = bench_rows.runs_for(options.targets, everything=not options.row, short=options.short)
    now = datetime.datetime.now(datetime.timezone.utc)
    about = {"short": options.short, "time": now.isoformat(timespec="seconds"), "commit": commit(),
             "command": shlex.join(["scripts/bench", *arguments]), "core": options.core, "machine": machine.description(),
             **{key: value for key, value in dataclasses.asdict(effort).items()
                if key in ("passes", "trials", "seconds")}}
    failures: dict[str, str] = {}
    memory_mb = max((run.memory_mb for run in runs), default=0)
    with machine.hugepages(memory_mb) as enough:
        if not enough:
            say(f"note: fewer than {memory_mb} MiB of hugepages are free; rows with large tables will have no figure")
        results, failures = measure_all(runs, effort, options, scratch)
        peers_text, peers = "", []
        if not options.row and effort.peer_rounds and not options.no_peers:
            peers_text, peers = measure_peers(effort, options, scratch)
    rows = list(results.values())
    try:
        results["memory"] = json.loads(call([MEMORY], scratch))
    except machine.Unable as reason:
        failures["memory"] = str(reason)
    verdicts = bench_rows.judge(options.targets, results, failures)
    memory = results.pop("memory", {})

    name = f"{now:%Y-%m-%d}-{machine.slug(about['machine']['cpu'])}" + ("-SHORT" if options.short else "")
    directory = options.output or RESULTS / name
    directory.mkdir(parents=True, exist_ok=True)
    said = [{"row": verdict.target.row, "work": verdict.target.work, "target": verdict.target.text(),
             "figure": verdict.figure, "met": verdict.met(), "verdict": verdict.words()} for verdict in verdicts]
    document = about | {"rows": rows, "targets": said, "memory": memory, "failures": failures, "peers": peers}
    before = bench_compare.previous(RESULTS, about, directory)
    compared = bench_page.comparison(before[0], bench_compare.differences(document, before[1])) if before else ""
    plots = draw(results, directory, options.short)
    page = bench_page.page(about, rows, verdicts, failures, compared=compared, plots=plots, peers=peers_text)
    text = json.dumps(document, indent=1) + "\n"
    (directory / bench_compare.PAGE).write_text(page)
    (directory / bench_compare.RESULTS).write_text(text)
    if options.json:
        options.json.write_text(text)
    if options.short:
        print("SHORT: no figure to quote for a target\n")
    print(bench_page.targets(verdicts))
    if compared:
        print(compared)
    print(f"{directory}/{bench_compare.PAGE}")
    return 3 if any(verdict.figure is None for verdict in verdicts) else 0


def main() -> int:
    arguments = sys.argv[1:]
    options = options_of(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if others := set(machine.CPUS) - {options.core}:
        os.sched_setaffinity(0, others)
    try:
        with tempfile.TemporaryDirectory(prefix="portcullis-bench-") as scratch:
            return run_everything(options, arguments, pathlib.Path(scratch))
    except KeyboardInterrupt:
        say("interrupted; nothing was written")
        return 130


if __name__ == "__main__":
    sys.exit(main())
