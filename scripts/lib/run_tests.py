"""Builds and runs every kind of test, and adds up what they say. Called by scripts/test."""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
JOBS = os.environ.get("BUILD_JOBS", "2")
CPP = (".cc", ".h")
BOLD, RED, PLAIN = ("\033[1m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
TAIL = 40  # lines of a failed test's output that are shown
SKIPPED = 77  # the exit status of a program that had nothing to test here

# Children die with this process, even if it is killed.
TIED = ["setpriv", "--pdeathsig", "TERM"]


@dataclasses.dataclass
class Case:
    """One test and what became of it."""

    suite: str
    name: str
    outcome: str  # passed, failed, skipped
    message: str = ""
    seconds: float = 0.0

    def title(self) -> str:
        return f"{self.suite}: {self.name}"


BEGAN = time.monotonic()


def say(text: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
    print(f"{BOLD}==> {minutes:2}:{seconds:02} {text}{PLAIN}", flush=True)


RUNNING: set[subprocess.Popen] = set()  # of all threads
ENDED = threading.Event()


def end(*_) -> None:
    """Nobody waits for what runs, and nothing else begins."""
    ENDED.set()
    for process in list(RUNNING):
        process.kill()
    sys.exit(143)


def done_by(command: list, timeout: float | None = None, **options) -> subprocess.CompletedProcess:
    with subprocess.Popen([*TIED, *map(str, command)], cwd=ROOT, stdin=subprocess.DEVNULL, **options) as process:
        RUNNING.add(process)
        try:
            if ENDED.is_set():
                sys.exit(143)
            output, _ = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
        finally:
            RUNNING.discard(process)
    return subprocess.CompletedProcess(process.args, process.returncode, output)


def run(command: list, **options) -> subprocess.CompletedProcess:
    """Standard output and error together, as text."""
    return done_by(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options)


def run_live(command: list, **options) -> int:
    """The same, shown as it comes."""
    return done_by(command, **options).returncode


def check(suite: str, name: str, command: list) -> Case:
    """A command that says by its exit status whether all is well."""
    began = time.monotonic()
    done = run(command)
    return Case(suite, name, "passed" if done.returncode == 0 else "failed", done.stdout, time.monotonic() - began)


# --- the sources ---


def sources() -> list[str]:
    """C++ files that git knows, or would if they were added."""
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"])
    found = [path for path in listed.stdout.splitlines() if path.endswith(CPP) and (ROOT / path).exists()]
    if not found:
        raise RuntimeError(f"git does not name the sources: {listed.stdout.strip()}")
    return found


def changed_sources() -> list[str]:
    """Those that differ from the main branch's remote; where there is none, or nothing differs, those of the last
    commit."""
    def differing(base: str) -> set[str]:
        done = run(["git", "diff", "--name-only", base])
        return set(done.stdout.splitlines()) if done.returncode == 0 else set()

    untracked = set(run(["git", "ls-files", "--others", "--exclude-standard"]).stdout.splitlines())
    base = run(["git", "merge-base", "HEAD", "origin/main"])
    changed = (differing(base.stdout.strip()) if base.returncode == 0 else set()) or differing("HEAD~1")
    return [path for path in sources() if path in changed | untracked]


def checks(full: bool) -> list[Case]:
    say("Checks of the sources")
    try:
        return check_sources(full)
    except RuntimeError as error:
        return [Case("checks", "the sources", "failed", str(error))]


def check_sources(full: bool) -> list[Case]:
    cases = [check("checks", "includes go one way", [ROOT / "scripts/check-includes"]),
             check("checks", "docs name what the code has", [ROOT / "scripts/check-docs"]),
             check("checks", "clang-format", ["clang-format", "--dry-run", "-Werror", *sources()])]
    for example in sorted((ROOT / "config/examples").glob("*.txtpb")):
        cases.append(check("checks", f"portcullisd --check-config {example.name}",
                           [BUILD / "bin/portcullisd", "--check-config", "--config", example]))
    if full:
        cases.append(check("checks", "benchmarks that no test runs can be built",
                           ["ninja", "-C", BUILD, "-j", JOBS, "bench-micro", "bench/memory/bench-memory"]))
    return cases + tidied([path for path in (sources() if full else changed_sources()) if path.endswith(".cc")])


def tidied(paths: list[str]) -> list[Case]:
    """clang-tidy on each that is compiled, by the command of a build of one file at a time, of which nothing is
    built but generated headers."""
    if not paths:
        return []
    directory = ROOT / "build-tidy"
    failure = configure(directory, [])
    if failure:
        return [failure]
    listed = run(["ninja", "-C", directory, "-t", "targets", "all"]).stdout.splitlines()
    headers = [output for output, _, rule in (line.partition(": ") for line in listed)
               if output.endswith(".pb.h") and rule.startswith("CUSTOM_COMMAND")]
    made = run(["ninja", "-C", directory, *headers])
    if made.returncode != 0:
        return [Case("checks", "generated headers", "failed", made.stdout)]
    compiled = {os.path.relpath(directory / entry["file"], ROOT)
                for entry in json.loads((directory / "compile_commands.json").read_text())}

    def tidy(path: str) -> Case:
        print(f"clang-tidy {path}", flush=True)
        return check("clang-tidy", path, ["clang-tidy", "--quiet", "-p", directory,
                                          "--extra-arg=-Wno-unknown-warning-option", path])

    with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
        return list(pool.map(tidy, [path for path in paths if path in compiled]))


# --- Meson's tests: unit, property, and both again under sanitizers ---


def configure(directory: pathlib.Path, options: list[str], environment: dict[str, str] | None = None) -> Case | None:
    """None if all is well."""
    if (directory / "build.ninja").exists():
        return None
    say(f"Configuring {directory.name}/")
    shutil.rmtree(directory, ignore_errors=True)  # what a configuration that was cut short left
    done = run(["meson", "setup", directory, *options], env=os.environ | (environment or {}))
    return Case("build", directory.name, "failed", done.stdout) if done.returncode != 0 else None


def tests_of(directory: pathlib.Path, wanted: Callable[[dict], bool]) -> list[dict]:
    """Meson's description of the tests that are wanted."""
    listed = json.loads(run(["meson", "introspect", "--tests", directory]).stdout)
    return [test for test in listed if wanted(test)]


def in_suites(*suites: str) -> Callable[[dict], bool]:
    wanted = {f"portcullis:{suite}" for suite in suites}
    return lambda test: bool(wanted.intersection(test["suite"]))


def meson_tests(label: str, directory: pathlib.Path, wanted: Callable[[dict], bool], build: bool = False,
                environment: dict[str, str] | None = None) -> list[Case]:
    """Runs the tests that are wanted, having built what they need."""
    tests = tests_of(directory, wanted)
    if not tests:
        return []
    if build:
        programs = sorted({os.path.relpath(test["cmd"][0], directory) for test in tests})
        say(f"Building {len(programs)} tests in {directory.name}/")
        if run_live(["ninja", "-C", directory, "-j", JOBS, *programs]) != 0:
            return [Case(label, f"build of {directory.name}", "failed", "the compiler's messages are above")]
    say(f"{label}: {len(tests)} programs")
    logs = directory / "meson-logs"
    for stale in ("testlog.json", "testlog.junit.xml"):
        (logs / stale).unlink(missing_ok=True)
    # Without address randomisation: the sanitizers of GCC 12 do not bear as much of it as new kernels give.
    status = run_live(["setarch", "--addr-no-randomize", "meson", "test", "-C", directory, "--no-rebuild",
                       "--print-errorlogs", "--num-processes", "2", *[test["name"] for test in tests]],
                      # DPDK's run-time files, which /run/dpdk would keep.
                      env=os.environ | {"RUNTIME_DIRECTORY": str(directory)} | (environment or {}))
    cases = meson_results(label, logs)
    if not cases or (status != 0 and not any(case.outcome == "failed" for case in cases)):
        cases.append(Case(label, "meson test", "failed", f"exit status {status}, {len(cases)} results"))
    return cases


def meson_results(label: str, logs: pathlib.Path) -> list[Case]:
    """Every GoogleTest case; and each program that ended badly though none of its cases failed: it crashed, took
    too long, or a sanitizer spoke up at its end."""
    cases = junit_cases(label, logs / "testlog.junit.xml")
    lines = (logs / "testlog.json").read_text().splitlines() if (logs / "testlog.json").exists() else []
    for entry in map(json.loads, lines):
        program = entry["name"].rpartition(" / ")[2]
        blamed = any(case.outcome == "failed" and program in case.name for case in cases)
        if entry["result"] not in ("OK", "SKIP") and not blamed:
            output = entry.get("stdout", "") + entry.get("stderr", "")
            cases.append(Case(label, program, "failed", f"{entry['result']}\n{output}"))
    return cases


def junit_cases(label: str, path: pathlib.Path) -> list[Case]:
    if not path.exists():
        return []
    cases = []
    for suite in ET.parse(path).getroot().iter("testsuite"):
        for element in suite.iter("testcase"):
            name = ".".join(filter(None, (element.get("classname"), element.get("name"))))
            if suite.get("name", "").startswith("portcullis."):
                # "portcullis.portcullis:unit / PROGRAM.SUITE"
                program = suite.get("name").split(".")[1].rpartition(" / ")[2]
                name = f"{program} {name}"
            outcome, message = "passed", ""
            for child in element:
                if child.tag in ("failure", "error"):
                    outcome = "failed"
                    message += (child.get("message") or "") + "\n" + (child.text or "")
                elif child.tag == "skipped" and outcome == "passed":
                    outcome, message = "skipped", child.get("message") or (child.text or "").strip()
            if element.get("status") == "notrun":
                outcome, message = "skipped", "disabled in its source"
            cases.append(Case(label, name, outcome, message, float(element.get("time") or 0)))
    return cases


def reporting(label: str, report: pathlib.Path, command: Callable[[pathlib.Path], list], seconds: float) -> list[Case]:
    """Runs a program that writes what became of its tests to `report`."""
    report.unlink(missing_ok=True)
    try:
        status = run_live(command(report), timeout=seconds)
    except subprocess.TimeoutExpired:
        return [Case(label, report.name, "failed", f"not done after {seconds:.0f} s")]
    cases = junit_cases(label, report)
    if not cases or (status not in (0, SKIPPED) and not any(case.outcome == "failed" for case in cases)):
        cases.append(Case(label, report.name, "failed", f"exit status {status}, {len(cases)} results"))
    return cases


def pytest(label: str, directory: pathlib.Path, seconds: float, options: tuple[str, ...] = (),
           report: str = "") -> list[Case]:
    return reporting(label, BUILD / f"{report or directory.name}.junit.xml",
                     lambda report: [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "--tb=short",
                                     f"--junit-xml={report}", *options, directory], seconds)


SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


# Warnings are errors in the ordinary build, and no matter here: GCC 12 warns of uninitialised values in its own
# headers when it instruments them. Several files at a time are compiled as one: most of what takes long is headers.
INSTRUMENTED = ["-Db_lundef=false", "-Dcpp_args=-w", "-Doptimization=1", "--unity=on", "--unity-size=16"]
# gold takes a third of the time that ld takes for what sanitizers make of a program.
INSTRUMENTED_BY = {"CC_LD": "gold", "CXX_LD": "gold"}

# What reads packets or files, and what lays out memory of its own. The rest is built with sanitizers by --full alone:
# the fuzz targets have most of it, too.
SANITIZED = ("unit-net", "unit-dataplane", "unit-ports", "unit-control-publisher", "unit-store", "property")
# What of these is long and asks the same code again, for each moment at which a disk may end.
NOT_SANITIZED = ("Durability.PowerCutAroundCheckpoints", "Durability.KilledAtRandomMoments")

# Tests and fuzz targets share one build: libFuzzer comes with clang, and its sanitizers do for the tests, too.
ASAN_BUILD = ROOT / "build-asan"


def configure_asan() -> Case | None:
    return configure(ASAN_BUILD, ["-Dfuzz=true", "-Db_sanitize=address,undefined", *INSTRUMENTED],
                     INSTRUMENTED_BY | {"CC": "clang", "CXX": "clang++"})


def asan(full: bool) -> list[Case]:
    """With --full every unit and property test, else those that need it most. All in one run: the longest takes as
    long as some others together."""
    def wanted(test: dict) -> bool:
        return in_suites("unit", "property")(test) and (full or test["name"].startswith(SANITIZED))

    failure = configure_asan()
    if failure:
        return [failure]
    some = {} if full else {"GTEST_FILTER": "-" + ":".join(NOT_SANITIZED)}
    return meson_tests("ASan, UBSan", ASAN_BUILD, wanted, build=True,
                       environment=SANITIZERS | some | worlds(2000 if full else 200))


def unit(full: bool) -> list[Case]:
    """Two at a time: the benchmarks' tests take as long as all others, most of it one compiler after another."""
    del full
    return side_by_side(bench_tools,
                        lambda: meson_tests("unit", BUILD, in_suites("unit")) + teaching() + instructions())


def side_by_side(*parts: Callable[[], list[Case]]) -> list[Case]:
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        return [case for cases in pool.map(lambda part: part(), parts) for case in cases]


def bench_tools() -> list[Case]:
    """bench-pps, and what reads and judges its figures. Some tests wait for a compiler, others for a clock."""
    return pytest("unit (bench)", ROOT / "tests/unit/bench", seconds=600, options=("-n", JOBS))


def teaching() -> list[Case]:
    """portctl's help, manual page and completion."""
    return pytest("unit (portctl)", ROOT / "tests/unit/portctl", seconds=120)


def instructions() -> list[Case]:
    """Instructions per packet for fixed traffic, against bench/callgrind/expected.json."""
    say("Instructions per packet")
    return reporting("instructions", BUILD / "callgrind.junit.xml",
                     lambda report: [ROOT / "bench/callgrind/guard.py", "--junit", report], seconds=240)


def worlds(count: int) -> dict[str, str]:
    return {"PORTCULLIS_PROPERTY_SEEDS": str(count)}


def property_(full: bool) -> list[Case]:
    return (meson_tests("property", BUILD, in_suites("property"), environment=worlds(10000 if full else 1000)) +
            mutants(full))


SAMPLED_FAULTS = "12"


def mutants(full: bool) -> list[Case]:
    """Faults planted in the pipeline, each of which the property tests must catch. All take an hour or so;
    else the commit decides which are tried, so that one after another they come to be."""
    say("Seeded faults")
    commit = run(["git", "rev-parse", "HEAD"]).stdout.strip()
    some = [] if full else ["--sample", SAMPLED_FAULTS, "--draw", commit, "--changed", *changed_sources()]
    return reporting("mutants", BUILD / "mutants.junit.xml",
                     lambda report: [ROOT / "tests/model/mutants.py", "--build", BUILD, "--jobs", JOBS, "--junit",
                                     report, *some], seconds=3 * 3600 if full else 1800)


def tsan(full: bool) -> list[Case]:
    del full
    directory = ROOT / "build-tsan"
    failure = configure(directory, ["-Dtsan_workers_only=true", "-Db_sanitize=thread", *INSTRUMENTED],
                        INSTRUMENTED_BY)
    if failure:
        return [failure]
    cases = meson_tests("threads (TSan)", directory, in_suites("tsan"), build=True, environment=SANITIZERS)
    if any(case.outcome == "failed" for case in cases):
        return cases
    say("Seeded races")
    # Without a race the program was silent just now.
    return cases + reporting("races", directory / "races.junit.xml",
                             lambda report: [ROOT / "tests/model/races.py", "--build", directory, "--planted-only",
                                             "--junit", report], seconds=1500)


# --- end to end ---


LABORATORIES = "3"


def machine() -> set[str]:
    """What laboratories add to a machine and take away again. The mount of /run/netns itself stays where `ip netns`
    has made it."""
    mounts = {line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()} - {"/run/netns"}
    devices = {line.split()[0] for line in run(["ip", "-brief", "link", "show"]).stdout.splitlines()}
    return ({f"mount {path}" for path in mounts} | {f"device {name}" for name in devices} |
            {f"namespace {line}" for line in run(["ip", "netns", "list"]).stdout.splitlines()} |
            {f"rule {line}" for line in run(["ip", "rule", "list"]).stdout.splitlines()})


def e2e(full: bool) -> list[Case]:
    """Hosts wait more than they work, and laboratories know nothing of one another: a few at a time, a module in one
    piece. What is marked `alone` follows. At the end the machine is as it was."""
    options = ("--full",) if full else ()
    seconds = 2400 if full else 1500
    before = machine()
    say(f"End to end, {LABORATORIES} laboratories at a time")
    together = pytest("e2e", ROOT / "tests/e2e", seconds,
                      ("-m", "not alone", "-n", LABORATORIES, "--dist", "loadfile", *options))
    say("End to end, alone")
    alone = pytest("e2e", ROOT / "tests/e2e", seconds, ("-m", "alone", *options), report="e2e-alone")
    left = sorted(machine() - before)
    return [*together, *alone,
            Case("e2e", "nothing is left on the machine", "failed" if left else "passed", "\n".join(left))]


# --- fuzzing ---


# Leaks are looked for at the end of a run: doing so after each input would take most of the time.
FUZZER = ["-max_len=8192", "-timeout=30", "-detect_leaks=0"]
# To weigh the many features that an input of these has takes libFuzzer as long as to run it.
FUZZ_TARGETS = {"frames": [], "config": ["-entropic=0"], "api": ["-entropic=0"]}


def fuzz(full: bool) -> list[Case]:
    """All targets for a while, from the inputs they begin with; what they find is kept in build-asan/."""
    failure = configure_asan()
    if failure:
        return [failure]
    programs = [f"tests/fuzz/{target}-{part}" for target in FUZZ_TARGETS for part in ("fuzz", "corpus")]
    say(f"Building {len(programs)} programs in {ASAN_BUILD.name}/")
    if run_live(["ninja", "-C", ASAN_BUILD, "-j", JOBS, *programs]) != 0:
        return [Case("fuzz", f"build of {ASAN_BUILD.name}", "failed", "the compiler's messages are above")]
    with concurrent.futures.ThreadPoolExecutor(len(FUZZ_TARGETS)) as pool:
        return list(pool.map(lambda target: fuzzed(ASAN_BUILD / "tests/fuzz", target, 1200 if full else 60),
                             FUZZ_TARGETS))


def fuzzed(directory: pathlib.Path, target: str, seconds: int) -> Case:
    """For so long; then every input that was worth keeping once more, to be judged by what they reach."""
    say(f"Fuzzing {target}: {seconds} s")
    # Apart: libFuzzer puts a smaller input that reaches as much in the place of one in its own directory, even if
    # a call that was carried out there is refused in the smaller one.
    seeds, corpus = directory / f"{target}.seeds", directory / f"{target}.inputs"
    fuzzer = [*FUZZER, *FUZZ_TARGETS[target]]
    for inputs in (seeds, corpus):
        shutil.rmtree(inputs, ignore_errors=True)
        inputs.mkdir()
    began = time.monotonic()
    for environment, command in (
            ({}, [f"{target}-corpus", seeds]),
            ({}, [f"{target}-fuzz", f"-max_total_time={seconds}", *fuzzer, f"-artifact_prefix={directory}/{target}-",
                  corpus, seeds]),
            ({"PORTCULLIS_FUZZ_JUDGES": "1"}, [f"{target}-fuzz", "-runs=0", *fuzzer, corpus, seeds])):
        program, *arguments = command
        # Without address randomisation, as for the other sanitizers.
        done = run(["setarch", "--addr-no-randomize", directory / program, *arguments],
                   env=os.environ | SANITIZERS | {"RUNTIME_DIRECTORY": str(directory)} | environment)
        print("\n".join(line for line in done.stdout.splitlines() if line.startswith(f"{target}: ")), flush=True)
        if done.returncode != 0:
            break
    return Case("fuzz", target, "passed" if done.returncode == 0 else "failed", done.stdout, time.monotonic() - began)


def tools() -> None:
    """What tests find on PATH and no package of scripts/setup has; without it they are skipped."""
    directory = BUILD / "prometheus"
    if run_live([ROOT / "scripts/lib/fetch-prometheus", directory]) == 0:
        os.environ["PATH"] += f":{directory}"


KINDS = {"checks": checks, "unit": unit, "property": property_, "asan": asan, "tsan": tsan, "e2e": e2e, "fuzz": fuzz}


# --- results ---


def write_junit(path: pathlib.Path, cases: Iterable[Case]) -> None:
    root = ET.Element("testsuites")
    suites: dict[str, ET.Element] = {}
    for case in cases:
        if case.suite not in suites:
            suites[case.suite] = ET.SubElement(root, "testsuite", name=case.suite)
        element = ET.SubElement(suites[case.suite], "testcase", classname=case.suite, name=case.name,
                                time=f"{case.seconds:.3f}")
        message = "".join(letter for letter in case.message if letter in "\t\n" or letter >= " ")
        if case.outcome == "failed":
            ET.SubElement(element, "failure", message="failed").text = message
        elif case.outcome == "skipped":
            ET.SubElement(element, "skipped", message=message)
    for suite in suites.values():
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def report(cases: list[Case]) -> int:
    """Skips with their reasons, failures with what they said, the sum; the exit status."""
    def having(outcome: str) -> list[Case]:
        return [case for case in cases if case.outcome == outcome]

    for case in having("skipped"):
        print(f"skipped {case.title()}: {case.message}")
    for case in having("failed"):
        print(f"{RED}failed {case.title()}{PLAIN}")
        print("\n".join("    " + line for line in case.message.strip().splitlines()[-TAIL:]))
    print(f"{len(having('passed'))} passed, {len(having('failed'))} failed, {len(having('skipped'))} skipped",
          flush=True)
    return 1 if having("failed") else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test", allow_abbrev=False)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--junit", type=lambda text: pathlib.Path(text).absolute())
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, end)

    cases: list[Case] = []
    if run_live([ROOT / "scripts/setup"]) != 0:
        cases.append(Case("build", "scripts/setup", "failed", "its messages are above"))
    else:
        tools()
        for kind in [options.only] if options.only else KINDS:
            began = time.monotonic()
            cases += KINDS[kind](options.full)
            say(f"{kind}: {time.monotonic() - began:.0f} s")
    if options.junit:
        write_junit(options.junit, cases)
    return report(cases)


if __name__ == "__main__":
    sys.exit(main())
