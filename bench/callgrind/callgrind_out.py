"""Reads callgrind's output: self cost by source file, inlined code counted where it was written.

The format: valgrind's manual, "Callgrind Format Specification". A cost line is "POSITION COST"; the file it belongs
to is the last of fl= (the function's), fi= (inlined from there) and fe= (back). After calls= stands one line of
inclusive cost, which is the callee's and is counted there.
"""

import collections
import pathlib
import posixpath
import re
from collections.abc import Callable

SPECIFICATION = re.compile(r"(ob|fl|fi|fe|fn|cob|cfi|cfl|cfn|calls|jump|jcnd)=(.*)")
NAME = re.compile(r"\((\d+)\)(?: (.*))?$")
COST = re.compile(r"(?:[+-]?\d+|\*|0x[0-9a-f]+) (\d+)$")
# Whose names share one numbering.
FILES, OBJECTS = ("fl", "fi", "fe", "cfi", "cfl"), ("ob", "cob")


class Malformed(ValueError):
    """What was read is not callgrind's output."""


def parse(text: str) -> dict[tuple[str, str], int]:
    """Self cost by (file, object), of one part."""
    costs: collections.Counter = collections.Counter()
    names: dict[str, dict[str, str]] = {"file": {}, "object": {}}
    file = program = "???"
    skip = False
    summary = None
    for number, line in enumerate(text.splitlines(), 1):
        if match := SPECIFICATION.match(line):
            key, value = match.groups()
            if key == "calls":
                skip = True
            elif key in FILES or key in OBJECTS:
                name = expand(value, names["file" if key in FILES else "object"], number)
                if key in ("fl", "fi", "fe"):
                    file = name
                elif key == "ob":
                    program = name
        elif match := COST.match(line):
            if not skip:
                costs[file, program] += int(match[1])
            skip = False
        elif line.startswith("summary: "):
            summary = int(line.split()[1])
        elif line.startswith("events: ") and line != "events: Ir":
            raise Malformed(f"line {number}: only instructions are expected, this has '{line}'")
    if summary is None:
        raise Malformed("there is no summary")
    if summary != sum(costs.values()):
        raise Malformed(f"the lines sum up to {sum(costs.values())}, the summary says {summary}")
    return dict(costs)


def expand(value: str, known: dict[str, str], number: int) -> str:
    """A name is written once, "(3) name", and is "(3)" from then on."""
    match = NAME.match(value)
    if match is None:
        return value
    if match[2] is not None:
        known[match[1]] = match[2]
    elif match[1] not in known:
        raise Malformed(f"line {number}: name {match[1]} is used before it is given")
    return known[match[1]]


def source(file: str, program: str, is_ours: Callable[[str], bool]) -> str:
    """The name of a file that is the same wherever this repository lies, or lay when a compiler cache kept the object;
    a library's name if the file is unknown."""
    path = posixpath.normpath(file)
    if "/c++/" in path:
        return "libstdc++ headers"
    if match := re.search(r"/include/dpdk/(.*)", path):
        return f"dpdk/{match[1]}"
    if match := re.search(r"/gcc/.*/include/(.*)", path):
        return f"gcc/{match[1]}"
    parts = path.split("/")
    # A single name is no path: many a library has a main.c.
    for at in range(len(parts) - 1):
        if is_ours(tail := "/".join(parts[at:])):
            return tail
    return posixpath.basename(program).split(".so")[0]


def by_source(text: str, root: pathlib.Path) -> dict[str, int]:
    def is_ours(path: str) -> bool:
        return not path.startswith(("/", "..")) and (root / path).is_file()

    costs: collections.Counter = collections.Counter()
    for (file, program), cost in parse(text).items():
        costs[source(file, program, is_ours)] += cost
    return dict(costs)
