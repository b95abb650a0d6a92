#!/usr/bin/python3
"""Instructions per packet, by source file, for fixed traffic; fails where they grew.

    bench/callgrind/guard.py [--update] [--verbose] [--program FILE] [--expected FILE] [--junit FILE]

Counts with callgrind, so it needs no quiet machine, and compares with expected.json. A case fails if its sum, or what
one source file takes of it, grew by more than 5 % (a file: also by more than 2 % of the sum, since small files move
with the optimiser's mood). Instructions are not time: a cache miss is none, and a division is one. Back ends: scalar
and AVX2; valgrind knows no AVX-512.

Figures of another compiler, DPDK or build type say nothing, so then all is skipped, by name. After a change that is
worth its instructions: --update, and commit expected.json with it. Exit status: 0 held, 1 grew, 2 usage, 77 skipped.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import callgrind_out  # noqa: E402  (after the path is known)

ISAS = ("scalar", "avx2")
GROWTH = 0.05
SMALL = 0.02  # of a case's sum: growth of one file below it does not fail
SKIPPED = 77
SECONDS = 100
IDENTITY = ("compiler", "dpdk")


class Skip(Exception):
    """Why nothing can be compared."""


def describe(program: pathlib.Path) -> dict:
    return json.loads(subprocess.run([program, "--describe"], check=True, capture_output=True, text=True).stdout)


def count(program: pathlib.Path, isa: str, description: dict) -> dict[str, dict[str, float]]:
    """Instructions per packet: {case: {source: figure}}."""
    with tempfile.TemporaryDirectory(prefix="portcullis-callgrind-") as scratch:
        output = pathlib.Path(scratch) / "out"
        done = subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={output}", "--collect-atstart=no",
             "--toggle-collect=fixed_traffic_turn", "--zero-before=fixed_traffic_case",
             "--dump-after=fixed_traffic_case", program, "--isa", isa],
            env=os.environ | {"RUNTIME_DIRECTORY": scratch}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=SECONDS)
        if done.returncode != 0:
            raise RuntimeError(f"fixed-traffic --isa {isa}: exit status {done.returncode}\n{done.stdout}")
        figures = {}
        for number, (case, packets) in enumerate(zip(description["cases"], description["packets"], strict=True), 1):
            part = output.with_name(f"out.{number}")
            costs = callgrind_out.by_source(part.read_text(), ROOT)
            figures[case] = {name: cost / packets for name, cost in costs.items()}
        return figures


def rounded(files: dict[str, float]) -> dict[str, float]:
    """What the repository keeps: the largest first, crumbs together."""
    large = {name: round(figure, 1) for name, figure in files.items() if figure >= 1}
    kept = dict(sorted(large.items(), key=lambda item: (-item[1], item[0])))
    return {"sum": round(sum(files.values()), 1), **kept}


def grew(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """What grew beyond what is allowed, in words; both as `rounded` makes them."""
    found = []
    if after["sum"] > before["sum"] * (1 + GROWTH):
        found.append(f"sum: {before['sum']:.1f} -> {after['sum']:.1f} instructions a packet")
    for name, figure in after.items():
        was = before.get(name, 0.0)
        if name != "sum" and figure > was * (1 + GROWTH) and figure - was > SMALL * before["sum"]:
            found.append(f"{name}: {was:.1f} -> {figure:.1f}")
    return found


def check_identity(expected: dict, description: dict) -> None:
    if not description["release"]:
        raise Skip("this build is not optimised, or has a sanitizer; the figures are of release builds")
    for what in IDENTITY:
        if expected.get(what) != description[what]:
            raise Skip(f"expected.json is of {what} {expected.get(what)}, this is {description[what]}")


def print_case(isa: str, case: str, files: dict[str, float]) -> None:
    print(f"{case} ({isa}), instructions a packet by source file")
    for name, figure in files.items():
        print(f"  {figure:8.1f}  {name}")


def write_junit(path: pathlib.Path, results: list[tuple[str, str, str]]) -> None:
    """(name, outcome, message)"""
    suite = ET.Element("testsuite", name="instructions")
    for name, outcome, message in results:
        element = ET.SubElement(suite, "testcase", classname="callgrind", name=name)
        if outcome == "failed":
            ET.SubElement(element, "failure", message="grew").text = message
        elif outcome == "skipped":
            ET.SubElement(element, "skipped", message=message)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def guard(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    if shutil.which("valgrind") is None:
        raise Skip("valgrind is missing: scripts/setup --packages installs it")
    description = describe(options.program)
    if options.update:
        if not description["release"]:
            raise Skip("figures of a build that is not optimised, or has a sanitizer, are not worth keeping")
        expected = {what: description[what] for what in IDENTITY} | {"instructions": {}}
    else:
        expected = json.loads(options.expected.read_text())
        check_identity(expected, description)
    results = []
    for isa in ISAS:
        if isa not in description["isas"]:
            results.append((f"{isa}", "skipped", f"this CPU has no {isa}"))
            continue
        figures = {case: rounded(files) for case, files in count(options.program, isa, description).items()}
        if options.update:
            expected["instructions"][isa] = figures
        for case, files in figures.items():
            if options.verbose:
                print_case(isa, case, files)
            before = expected["instructions"].get(isa, {}).get(case)
            found = grew(before, files) if before else ["is not in expected.json: --update writes it"]
            results.append((f"{case} ({isa})", "failed" if found else "passed", "\n".join(found)))
            if not found and files["sum"] < before["sum"] * (1 - GROWTH):
                print(f"note: {case} ({isa}) shrank from {before['sum']:.1f} to {files['sum']:.1f}; "
                      "--update makes that the figure to keep")
    if options.update:
        options.expected.write_text(json.dumps(expected, indent=1) + "\n")
        print(f"wrote {options.expected}")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/bench/callgrind/fixed-traffic")
    parser.add_argument("--expected", type=pathlib.Path, default=HERE / "expected.json")
    parser.add_argument("--update", action="store_true", help="write what is counted now to the file")
    parser.add_argument("--verbose", action="store_true", help="print every case's figures")
    parser.add_argument("--junit", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args()
    if not options.program.exists():
        parser.error(f"{options.program} is not built: ninja -C build bench/callgrind/fixed-traffic")
    try:
        results = guard(options)
    except Skip as reason:
        results = [("instructions per packet", "skipped", str(reason))]
    except (RuntimeError, callgrind_out.Malformed) as error:
        results = [("instructions per packet", "failed", str(error))]
    if options.junit:
        write_junit(options.junit, results)
    for name, outcome, message in results:
        if outcome != "passed":
            print(f"{outcome} {name}: {message}")
    outcomes = {outcome for _, outcome, _ in results}
    if "failed" in outcomes:
        return 1
    return 0 if "passed" in outcomes else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
