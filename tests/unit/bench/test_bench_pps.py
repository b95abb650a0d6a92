"""bench-pps prints no figure for packets that were wrong: faults are planted in the pipeline, and it must refuse.

As tests/model/mutants.py does it: the mutated header comes first on the include path, worker.cc is compiled again
and linked before the library that has the good one.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

import mutants
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / "build"
PROGRAM = "bench/pps/bench-pps"
SHORT = ["--no-huge", "--trials", "1", "--seconds", "0.02", "--no-neighbour", "--load", "0", "--json"]

STAGES = "dataplane/stages/"
# What is wrong, where, the text that goes (a pattern, found once), what comes for it, and the options under which it
# must be seen.
FAULTS = [
    ("TCP checksum does not follow the address", STAGES + "translate.h",
     r"(ip_protocol::tcp\) \{\s*)apply_to_field\(l4 \+ offsetof\(TcpHeader, checksum\)[^;]*;", r"\1", []),
    ("header checksum does not follow the address", STAGES + "translate.h",
     r"apply_to_field\(ip \+ offsetof\(Ipv4Header, checksum\)[^;]*;", "", ["--way", "out"]),
    ("header checksum does not follow the TTL", STAGES + "deliver.h",
     r"apply_to_field\(ip \+ offsetof\(Ipv4Header, checksum\)[^;]*;", "", ["--rig", "A"]),
    ("destination_not_permitted is let through", STAGES + "admit.h",
     r"drop_without_entry<Group, Family, Direction::inbound>\([^;]*;", "static_cast<void>(destination_needs_entry);",
     ["--way", "both", "--eips", "16", "--flows", "1000"]),
    ("source_not_permitted is let through", STAGES + "admit.h",
     r"drop_without_entry<Group, Family, Direction::outbound>\([^;]*;", "static_cast<void>(source_needs_entry);",
     ["--tracked", "--eips", "16", "--flows", "1000"]),
    ("packets are lost on their way to their owner", STAGES + "hand_over.h",
     r"rte_ring_sp_enqueue_burst\([^;]*;", "count;", ["--workers", "2", "--unspread"]),
    ("whoever receives a packet judges it", STAGES + "hand_over.h",
     r"ipv4 & ~apart;", "0;",
     ["--workers", "2", "--unspread"]),
]


def measure(program: pathlib.Path, options: list[str]) -> subprocess.CompletedProcess:
    if "--workers" in options and os.cpu_count() < 2:
        pytest.skip("two workers need two CPUs")
    return subprocess.run([program, *SHORT, *options], stdin=subprocess.DEVNULL, text=True, capture_output=True,
                          timeout=60, check=False)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> mutants.Workshop:
    if not (BUILD / PROGRAM).exists():
        pytest.skip(f"{PROGRAM} is not built")
    return mutants.Workshop(BUILD, tmp_path_factory.mktemp("faults"), PROGRAM)


@pytest.mark.parametrize("options", [["--row", "1a"], ["--tracked", "--flows", "1000"], ["--row", "16b"],
                                     ["--storm", "--flow-slots", "65536", "--warm-up", "0.05"],
                                     ["--flood", "tracked", "--flows", "1000", "--flow-slots", "65536"],
                                     ["--shapes", "16", "--rules", "64", "--miss"], ["--isa", "scalar"],
                                     ["--tracked", "--eips", "16", "--flows", "1000", "--rig", "A"],
                                     ["--workers", "2", "--way", "both"]])
def test_sound_packets_make_a_figure(workshop: mutants.Workshop, options: list[str]) -> None:
    done = measure(workshop.build / PROGRAM, options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verified"] is True
    assert report["g"] > 0
    assert report["hugepages"] is False


def test_what_is_handed_over_is_what_does_not_arrive_at_its_owner(workshop: mutants.Workshop) -> None:
    for options, handed_over in (([], 0.0), (["--unspread"], 0.5)):
        done = measure(workshop.build / PROGRAM, ["--workers", "2", "--tracked", "--flows", "1024", *options])
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["handed_over"] == handed_over
        assert report["workers"] == 2
        assert 0 <= report["overlap"] <= 1  # 0 where other programs have a CPU all the while
        assert report["scaling"] > 0


@pytest.mark.parametrize("options", [["--unspread"], ["--workers", "2", "--rig", "A"], ["--workers", "2", "--storm"],
                                     ["--workers", "2", "--flows", "64"]])
def test_options_that_mean_nothing(workshop: mutants.Workshop, options: list[str]) -> None:
    done = subprocess.run([workshop.build / PROGRAM, *options], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--workers" in done.stderr


@pytest.mark.parametrize(("file", "old", "new", "options"), [pytest.param(*fault[1:], id=fault[0]) for fault in FAULTS])
def test_wrong_packets_make_none(workshop: mutants.Workshop, file: str, old: str, new: str,
                                 options: list[str]) -> None:
    directory = workshop.scratch / "planted"
    shutil.rmtree(directory, ignore_errors=True)
    bad, times = re.subn(old, new, (ROOT / file).read_text())
    assert times == 1, f"found {times} times in {file}: {old}"
    planted = directory / file
    planted.parent.mkdir(parents=True)
    planted.write_text(bad)
    for made in (workshop.compile(mutants.STAGES, directory), workshop.link(mutants.STAGES, directory)):
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
