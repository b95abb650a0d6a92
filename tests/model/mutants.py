#!/usr/bin/python3
"""Seeded faults: plants each fault of mutants.toml in the pipeline and runs the property tests, which must fail.

The sources stay as they are: a mutated file lies in a directory of its own that comes first on the include path.
Only the translation units that see it are compiled again, and linked before the library that has the good ones.
The same is done without any fault: the tests must pass then.

Needs a build: ninja -C build tests/model/property
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = "tests/model/property"
# Where the CPU lacks AVX-512 (tests/support/avx512_emulated.h); built only there.
EMULATED = "tests/model/property-avx512-emulated"
LIBRARY = "dataplane/libdataplane.a.p/"
EMULATED_LIBRARY = "tests/libdataplane-emulated.a.p/"
STAGES = "dataplane/worker.cc"  # includes every stage
SEEDS, STEPS = "PORTCULLIS_PROPERTY_SEEDS", "PORTCULLIS_PROPERTY_STEPS"
BUDGET = {SEEDS: "2400", STEPS: "200"}
# Without a fault, beside a sample: scripts/test has run more of them before.
SHORT_BUDGET = BUDGET | {SEEDS: "300"}
RUN_SECONDS = 180
FAULTLESS_SECONDS = 600  # it runs to its end, beside others
# A source of the build that includes several (meson's --unity).
UNITY = re.compile(r"-unity\d+\.\w+$")
# What the CPU must have for the fault of one back end to be reached (dataplane/isa.cc).
CPU_FLAGS = {"avx2": {"avx2", "bmi1", "bmi2"}, "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}}
# Options of the build that a throw-away object does without.
DROPPED = {"-g", "-O3", "-O2", "-Werror", "-MD"}
DROPPED_WITH_VALUE = {"-o", "-MF", "-MQ"}


@dataclasses.dataclass
class Mutant:
    name: str
    file: str
    old: str
    new: str
    isa: str = ""  # the back end that alone has the fault

    def unit(self) -> str:
        return self.file if self.file.endswith(".cc") else STAGES


@dataclasses.dataclass
class Outcome:
    name: str
    caught: bool
    how: str  # or why it was skipped
    detail: str = ""
    seconds: float = 0.0
    skipped: bool = False

    def missed(self) -> bool:
        return not self.caught and not self.skipped


class Workshop:
    """Compiles, links and runs mutants with the commands of an existing build."""

    def __init__(self, build: pathlib.Path, scratch: pathlib.Path, program: str, library: str = LIBRARY):
        self.build = build
        self.scratch = scratch
        self.program = program
        self.faultless = BUDGET
        entries = json.loads((build / "compile_commands.json").read_text())
        # What only one target compiles, and what more than one does as the program's own library does.
        entries.sort(key=lambda entry: entry["output"].startswith(library))
        self.compile_commands: dict[str, list[str]] = {}
        self.objects: dict[str, str] = {}
        self.together: dict[str, pathlib.Path] = {}  # what is compiled with others, and the file that includes them
        for entry in entries:
            file = build / entry["file"]
            sources = included(file) if UNITY.search(file.name) else [file]
            for name in (os.path.relpath(source, ROOT) for source in sources):
                self.compile_commands[name] = shlex.split(entry["command"])
                self.objects[name] = entry["output"]
                self.together.pop(name, None)
                if len(sources) > 1:
                    self.together[name] = file
        commands = subprocess.run(["ninja", "-C", build, "-t", "commands", program], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout.strip().splitlines()
        self.link_command = shlex.split(commands[-1])

    def run(self, command: list, timeout: float = 300, **options) -> subprocess.CompletedProcess:
        return subprocess.run(list(map(str, command)), cwd=self.build, stdin=subprocess.DEVNULL, text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              check=False, **options)

    def unfit(self, mutant: Mutant) -> str:
        """Why this fault cannot be planted, or nothing."""
        file = ROOT / mutant.file
        found = file.read_text().count(mutant.old) if file.exists() else 0
        if found != 1:
            return f"text found {found} times in {mutant.file}"
        return "" if mutant.unit() in self.compile_commands else f"nothing in {self.build} compiles {mutant.unit()}"

    def try_out(self, mutant: Mutant | None) -> Outcome:
        began = time.monotonic()
        name = mutant.name if mutant else "no fault at all"
        directory = self.scratch / "".join(letter if letter.isalnum() else "-" for letter in name)
        directory.mkdir(parents=True)
        try:
            outcome = self.plant_and_run(mutant, name, directory)
        finally:
            shutil.rmtree(directory)
        outcome.seconds = time.monotonic() - began
        return outcome

    def plant_and_run(self, mutant: Mutant | None, name: str, directory: pathlib.Path) -> Outcome:
        if mutant:
            if reason := self.unfit(mutant):
                return Outcome(name, False, reason)
            planted = directory / mutant.file
            planted.parent.mkdir(parents=True)
            planted.write_text((ROOT / mutant.file).read_text().replace(mutant.old, mutant.new))
        unit = mutant.unit() if mutant else STAGES
        made = self.compile(unit, directory)
        if made.returncode != 0:
            return Outcome(name, False, "does not compile", made.stdout)
        made = self.link(unit, directory)
        if made.returncode != 0:
            return Outcome(name, False, "does not link", made.stdout)
        program = directory / "program"
        return self.judge(name, program, RUN_SECONDS, BUDGET) if mutant else self.judge(
            name, program, FAULTLESS_SECONDS, self.faultless)

    def judge(self, name: str, program: pathlib.Path, seconds: float, budget: dict[str, str]) -> Outcome:
        """Runs the tests, of which one should fail."""
        try:
            ran = self.run([program, "--gtest_brief=1"], timeout=seconds, env=os.environ | budget)
        except subprocess.TimeoutExpired:
            return Outcome(name, True, "hangs")
        if ran.returncode < 0:
            return Outcome(name, True, f"killed by signal {-ran.returncode}", ran.stdout)
        if ran.returncode == 0:
            return Outcome(name, False, "survived")
        return Outcome(name, True, first_difference(ran.stdout), ran.stdout)

    def compile(self, unit: str, directory: pathlib.Path) -> subprocess.CompletedProcess:
        planted = directory / unit
        command = []
        given = iter(self.compile_commands[unit])
        for argument in given:
            if argument in DROPPED_WITH_VALUE:
                next(given)
            elif argument == "-c":
                next(given)
            elif argument not in DROPPED:
                command.append(argument)
        at = next(i for i, argument in enumerate(command) if argument.startswith("-I"))
        command.insert(at, f"-I{directory}")
        source = planted if planted.exists() else ROOT / unit
        if unit in self.together:
            sources = [source if os.path.relpath(path, ROOT) == unit else path
                       for path in included(self.together[unit])]
            source = directory / "together.cc"
            source.write_text("".join(f'#include "{path}"\n' for path in sources))
        return self.run([*command, "-w", "-O1", "-c", source, "-o", directory / "unit.o"])

    def link(self, unit: str, directory: pathlib.Path) -> subprocess.CompletedProcess:
        command = list(self.link_command)
        command[command.index("-o") + 1] = str(directory / "program")
        # In the place of the good one, or before the library that has it.
        own = [n for n, argument in enumerate(command) if argument == self.objects[unit]]
        if own:
            command[own[0]] = str(directory / "unit.o")
        else:
            command.insert(command.index("-o") + 2, str(directory / "unit.o"))
        return self.run(command)


def included(unity: pathlib.Path) -> list[pathlib.Path]:
    return [pathlib.Path(path) for path in re.findall(r"#include\s*<(.+)>", unity.read_text())]


class Workshops:
    """One for each program that a fault may need."""

    def __init__(self, build: pathlib.Path, scratch: pathlib.Path):
        self.plain = Workshop(build, scratch, PROGRAM)
        self.emulated = Workshop(build, scratch, EMULATED, EMULATED_LIBRARY) if (build / EMULATED).exists() else None

    def all(self) -> list[Workshop]:
        return [workshop for workshop in (self.plain, self.emulated) if workshop]

    def try_out(self, mutant: Mutant | Workshop) -> Outcome:
        """A fault, or a workshop without any: there the tests pass, and to survive is right."""
        if isinstance(mutant, Workshop):
            outcome = mutant.try_out(None)
            outcome.name += f" in {mutant.program}"
            outcome.caught = outcome.how == "survived"
            return outcome
        if CPU_FLAGS.get(mutant.isa, set()) <= cpu_flags():
            return self.plain.try_out(mutant)
        if mutant.isa == "avx512" and self.emulated:
            return self.emulated.try_out(mutant)
        return Outcome(mutant.name, False, f"this CPU has no {mutant.isa}", skipped=True)


def cpu_flags() -> set[str]:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


def first_difference(output: str) -> str:
    lines = output.splitlines()
    for i, line in enumerate(lines):
        if line == "differences:" and i + 1 < len(lines):
            return lines[i + 1].strip().rstrip(":")
    for line in lines:
        if "Failure" in line or "what()" in line:
            return line.strip()
    return "failed"


def select(mutants: list[Mutant], sample: int, draw: str, changed: set[str]) -> list[Mutant]:
    """`sample` faults, drawn at random and alike for the same `draw`: up to half of them of files that changed."""
    drawn = random.Random(draw)
    of_changed = [mutant for mutant in mutants if mutant.file in changed]
    chosen = drawn.sample(of_changed, min(len(of_changed), sample // 2))
    others = [mutant for mutant in mutants if mutant not in chosen]
    chosen += drawn.sample(others, min(len(others), sample - len(chosen)))
    return [mutant for mutant in mutants if mutant in chosen]


def show(outcome: Outcome) -> Outcome:
    word = "skipped" if outcome.skipped else "caught" if outcome.caught else "MISSED"
    print(f"{word:7} {outcome.seconds:5.1f} s  {outcome.name}: {outcome.how}", flush=True)
    return outcome


def write_junit(path: pathlib.Path, outcomes: list[Outcome], name: str = "mutants") -> None:
    suite = ET.Element("testsuite", name=name, tests=str(len(outcomes)),
                       failures=str(sum(outcome.missed() for outcome in outcomes)))
    for outcome in outcomes:
        case = ET.SubElement(suite, "testcase", classname=name, name=outcome.name,
                             time=f"{outcome.seconds:.3f}")
        if outcome.skipped:
            ET.SubElement(case, "skipped", message=outcome.how)
        elif not outcome.caught:
            ET.SubElement(case, "failure", message=outcome.how).text = outcome.detail
    path.parent.mkdir(parents=True, exist_ok=True)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--junit", type=pathlib.Path, help="write a case per fault, as JUnit XML")
    parser.add_argument("--only", default="", help="only faults with this in their name")
    parser.add_argument("--sample", type=int, metavar="N", help="N faults, drawn at random, instead of all")
    parser.add_argument("--draw", default="", metavar="TEXT", help="what decides which; the same text draws the same")
    parser.add_argument("--changed", nargs="*", default=[], metavar="FILE",
                        help="files whose faults may be half of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.sample is not None and arguments.sample < 1:
        parser.error("--sample: 1 or more")

    listed = [Mutant(**entry) for entry in tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]]
    mutants = [mutant for mutant in listed if arguments.only in mutant.name]
    if arguments.sample:
        mutants = select(mutants, arguments.sample, arguments.draw, set(arguments.changed))
    print(f"{len(mutants)} of {len(listed)} faults", flush=True)
    build = arguments.build.resolve()
    scratch = build / "tests/model/mutants"
    shutil.rmtree(scratch, ignore_errors=True)
    workshops = Workshops(build, scratch)
    if arguments.sample:
        for workshop in workshops.all():
            workshop.faultless = SHORT_BUDGET

    # Those that are not tried this time must still be such that they could be.
    reasons = {mutant.name: workshops.plain.unfit(mutant) for mutant in listed if mutant not in mutants}
    outcomes = [Outcome(name, False, reason) for name, reason in reasons.items() if reason]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes += [show(outcome) for outcome in pool.map(workshops.try_out, [*workshops.all(), *mutants])]
    shutil.rmtree(scratch, ignore_errors=True)
    if arguments.junit:
        write_junit(arguments.junit, outcomes)
    missed = [outcome for outcome in outcomes if outcome.missed()]
    for outcome in missed:
        print(f"\n{outcome.name}: {outcome.how}\n{outcome.detail[-3000:]}")
    print(f"{len(outcomes) - len(missed)} of {len(outcomes)} as they should be")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
