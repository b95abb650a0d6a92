"""bench-pps prints no figure for packets that were wrong: faults are planted in the pipeline, and it must refuse.

As tests/model/mutants.py does it: the mutated header comes first on the include path, worker.cc is compiled again
and linked before the library that has the good one.
"""

import json
import pathlib
import re
import shutil
import subprocess
import tomllib

import mutants
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build"
PROGRAM = "bench/pps/bench-pps"
SHORT = ["--no-huge", "--trials", "1", "--seconds", "0.02", "--no-neighbour", "--load", "0", "--json"]

# Those of the property tests' faults that change frames, and checks that are left out; each with the options under
# which it must be seen.
WRONG_FRAMES = {
    "TCP checksum does not follow the address": [],
    "header checksum does not follow the address": ["--way", "out"],
    "TTL stays": ["--rig", "A"],
}
SKIPPED_CHECKS = {
    "destination_not_permitted": ["--way", "both", "--eips", "16", "--flows", "1000"],
    "source_not_permitted": ["--tracked", "--eips", "16", "--flows", "1000"],
}


def faults() -> list:
    known = {entry["name"]: mutants.Mutant(**entry)
             for entry in tomllib.loads((ROOT / "tests/model/mutants.toml").read_text())["mutant"]}
    cases = [(known[name], options) for name, options in WRONG_FRAMES.items()]
    admit = "dataplane/stages/admit.h"
    for reason, options in SKIPPED_CHECKS.items():
        check = re.search(rf"return drop\([^;]*Drop::{reason}\);", (ROOT / admit).read_text())
        assert check, f"{admit} drops nothing as {reason}"
        cases.append((mutants.Mutant(f"{reason} is let through", admit, check.group(0), "return;"), options))
    return [pytest.param(*case, id=case[0].name) for case in cases]


def measure(program: pathlib.Path, options: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run([program, *SHORT, *options], stdin=subprocess.DEVNULL, text=True, capture_output=True,
                          timeout=60, check=False)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> mutants.Workshop:
    if not (BUILD / PROGRAM).exists():
        pytest.skip(f"{PROGRAM} is not built")
    mutants.PROGRAM = PROGRAM
    return mutants.Workshop(BUILD, tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("options", [["--row", "1a"], ["--tracked", "--flows", "1000"], ["--row", "16b"],
                                     ["--storm", "--flow-slots", "65536", "--warm-up", "0.05"],
                                     ["--flood", "tracked", "--flows", "1000", "--flow-slots", "65536"],
                                     ["--shapes", "16", "--rules", "64", "--miss"], ["--isa", "scalar"],
                                     ["--tracked", "--eips", "16", "--flows", "1000", "--rig", "A"]])
def test_sound_packets_make_a_figure(workshop: mutants.Workshop, options: list[str]) -> None:
    done = measure(workshop.build / PROGRAM, options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verified"] is True
    assert report["g"] > 0
    assert report["hugepages"] is False


@pytest.mark.parametrize(("fault", "options"), faults())
def test_wrong_packets_make_none(workshop: mutants.Workshop, fault: mutants.Mutant, options: list[str]) -> None:
    directory = workshop.scratch / "planted"
    shutil.rmtree(directory, ignore_errors=True)
    good = (ROOT / fault.file).read_text()
    assert good.count(fault.old) == 1, f"text not found in {fault.file}"
    planted = directory / fault.file
    planted.parent.mkdir(parents=True)
    planted.write_text(good.replace(fault.old, fault.new))
    for made in (workshop.compile(fault.unit(), directory), workshop.link(directory)):
        assert made.returncode == 0, made.stdout

    wrong = measure(directory / "program", options)
    assert wrong.returncode == 1
    assert "no figure" in wrong.stderr
    assert wrong.stdout == ""


def test_its_page_names_every_option_and_row(workshop: mutants.Workshop) -> None:
    known = subprocess.run([workshop.build / PROGRAM, "--help"], text=True, capture_output=True, check=True).stdout
    page = (ROOT / "docs/bench-pps.md").read_text()
    options = set(re.findall(r"^\s+(?:-h,)?(--[\w-]+)", known, re.MULTILINE)) - {"--help"}
    rows = set(re.findall(r"^  (\d\S*) ", known, re.MULTILINE))
    assert options
    assert rows
    assert {option for option in options if f"`{option}`" not in page} == set()
    assert {row for row in rows if f"`{row}`" not in page} == set()
    assert set(re.findall(r"`(--[\w-]+)`", page)) - options == set()
