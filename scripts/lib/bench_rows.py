"""What scripts/bench measures, and what the design's table of targets says about it. The numbers are the table's."""

import dataclasses
import re
from collections.abc import Callable

K64, MILLION, CSIT = 65536, 1 << 20, 16515072


@dataclasses.dataclass(frozen=True)
class Run:
    """One call of bench-pps."""

    name: str
    arguments: tuple[str, ...]
    in_short: bool = True
    memory_mb: int = 1536


def row(name: str, *more: str, **options) -> Run:
    return Run(name if not more else f"{name} {' '.join(more)}", ("--row", name, *more), **options)


# The same traffic by lists of four rules: what row 9 is compared with.
SHORT_LIST = ("--rules", "4", "--shapes", "0")

RUNS = (
    row("1a"), row("1a", "--rig", "A"), row("1b"), row("2"),
    row("3"), row("3b"), row("4", memory_mb=4096), row("4b", memory_mb=4096),
    row("8", memory_mb=2048),
    *(row(name, *more) for name in ("9a", "9b", "9c") for more in (SHORT_LIST, ())),
    row("9a-miss"), row("9b-miss"), row("9c-miss"),
    row("10-1a"), row("10-1b"), row("10-2"), row("10-3", memory_mb=2048), row("10-3b", memory_mb=3072),
    row("11a"), row("11a-listed"), row("11a-full"),
    *(row(f"12{how}{work}", memory_mb=2560) for how in "ab" for work in ("", "-1b", "-3")),
    row("16a"), row("16b"),
)

# Points of the plot of throughput against table size that are no row.
LISTED = tuple(Run(f"listed {n}", ("--eips", str(n), "--flows", str(n), "--way", "both"), in_short=n == 4096)
               for n in (256, 4096, 262144))
TRACKED = tuple(Run(f"tracked {n}", ("--tracked", "--eips", str(K64), "--flows", str(n)), in_short=n == 4096,
                    memory_mb=2048) for n in (4096, K64, 4128768))
# Series of that plot: (table size, run).
SERIES = {
    "permit list, as many EIPs as flows": ((256, "listed 256"), (4096, "listed 4096"), (K64, "1b"),
                                           (262144, "listed 262144"), (MILLION, "2")),
    "flow table, 65,536 EIPs": ((4096, "tracked 4096"), (K64, "tracked 65536"), (MILLION, "3"),
                                (4128768, "tracked 4128768"), (CSIT, "4")),
    "flow table, 1,048,576 EIPs": ((MILLION, "3b"), (CSIT, "4b")),
}

Results = dict[str, dict]  # by name of the run; "memory": what bench-memory says


@dataclasses.dataclass(frozen=True)
class Target:
    row: str
    work: str
    unit: str
    limit: float
    needs: tuple[str, ...]
    figure: Callable[[Results], float]
    at_least: bool = False  # else at most
    unless: Callable[[Results], str] = lambda _: ""  # why what was measured cannot be judged by it

    def text(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g} {self.unit}"


def g(name: str) -> Callable[[Results], float]:
    return lambda results: results[name]["g"]


def beyond(name: str, base: str) -> Callable[[Results], float]:
    return lambda results: results[name]["g"] - results[base]["g"]


def times(name: str, base: str) -> Callable[[Results], float]:
    return lambda results: results[name]["g"] / results[base]["g"]


def of(run: str, *path: str) -> Callable[[Results], float]:
    def value(results: Results) -> float:
        found = results[run]
        for key in path:
            found = found[key]
        return found
    return value


def clocks(name: str, work: str, limit: float, run: str = "") -> Target:
    run = run or name
    return Target(name, work, "clocks (G)", limit, (run,), g(run))


def longer(name: str, work: str, limit: float, short: str) -> Target:
    base = f"{short} {' '.join(SHORT_LIST)}"
    return Target(name, work, "clocks beyond 4 rules", limit, (name, base), beyond(name, base))


def several(name: str, work: str) -> Target:
    def shared(results: Results) -> str:
        factor = results[name]["neighbour"]
        if factor is None:
            return "no neighbour factor"
        return f"neighbour factor {factor:.2f}, and the target is for less than 1.1" if factor >= 1.1 else ""

    return Target(name, work, "times one worker", 1.9, (name,), of(name, "scaling"), at_least=True, unless=shared)


def memory(work: str, unit: str, limit: float, *keys: str) -> Target:
    return Target("14", work, unit, limit, ("memory",), lambda results: sum(results["memory"][key] for key in keys))


TARGETS = (
    clocks("1a", "254 EIPs, 4-rule lists, 4096 flows", 48),
    clocks("1a, rig A", "the same fed by pcap, less that rig's floor", 48, run="1a --rig A"),
    clocks("1b", "65,536 EIPs and flows, both ways", 60),
    clocks("2", "1 M EIPs and flows", 80),
    clocks("3", "flow-table hits, 65,536 EIPs, 1 M flows", 100),
    clocks("3b", "flow-table hits, 1 M EIPs, 1 M flows", 150),
    clocks("4", "flow-table hits, 65,536 EIPs, 16.5 M flows", 130),
    clocks("4b", "flow-table hits, 1 M EIPs, 16.5 M flows", 180),
    Target("8", "new flows, 2 packets each, 8 M slots, 2 s idle time", "M/s", 3, ("8",), of("8", "new_flows_mps"),
           at_least=True),
    longer("9a", "lists of 64 rules", 15, "9a"),
    longer("9b", "lists of 1,000 rules", 25, "9b"),
    longer("9c", "lists of 100,000 rules", 40, "9c"),
    longer("9a-miss", "lists of 64 rules, none matches", 15, "9a"),
    longer("9b-miss", "lists of 1,000 rules, none matches", 25, "9b"),
    longer("9c-miss", "lists of 100,000 rules, none matches", 40, "9c"),
    *(Target(f"10, {row4}", f"row {row4} by IPv6", "of the same by IPv4", 1.25, (f"10-{row4}", row4),
             times(f"10-{row4}", row4)) for row4 in ("1a", "1b", "2", "3", "3b")),
    *(Target(name, work, "of the established rate", 0.8, (name,), of(name, "established_ratio"), at_least=True)
      for name, work in (("11a", "half SYNs at a rule that tracks"),
                         ("11a-listed", "half SYNs at a rule that tracks nothing"),
                         ("11a-full", "half SYNs, the flow table full"))),
    several("12a", "2 workers, row 1a's work, each packet arrives at its owner"),
    several("12a-1b", "the same with row 1b's"),
    several("12a-3", "the same with row 3's"),
    several("12b", "2 workers, row 1a's work, half of the packets is handed over"),
    several("12b-1b", "the same with row 1b's"),
    several("12b-3", "the same with row 3's"),
    memory("a binding with four rules inline", "bytes", 128, "binding"),
    memory("its counters, a worker", "bytes", 32, "binding_counters"),
    memory("a flow, of the table's capacity", "bytes", 80, "flow"),
    memory("a further rule", "bytes", 16, "further_rule"),
    memory("an EIP that is known but not local", "bytes", 8, "not_local"),
    Target("15", "residence p99 at 90 % load, row 1a", "us", 10, ("1a",), of("1a", "residence", "p99_us")),
    Target("15", "residence p99.9 at 90 % load, row 1a", "us", 25, ("1a",), of("1a", "residence", "p999_us")),
    clocks("16a", "drop: bound to nobody", 25),
    clocks("16b", "drop: not permitted", 60),
)

NOT_BUILT = {"5": "SIPs", "6": "classes and hard limits", "7": "steering", "11b": "SIPs",
             "13": "is measured by the control plane's own tests"}


def selected(wanted: list[str]) -> tuple[Target, ...]:
    """Targets of the rows that are asked for: "9" means all of 9; none asked for: all."""
    def is_wanted(target: Target) -> bool:
        names = {target.row, re.match(r"\d+", target.row)[0], target.row.split(",")[0]}
        return bool(names.intersection(wanted))

    found = tuple(target for target in TARGETS if not wanted or is_wanted(target))
    for one in wanted:
        if not any(one in (target.row, re.match(r"\d+", target.row)[0], target.row.split(",")[0]) for target in found):
            raise KeyError(one)
    return found


def runs_for(targets: tuple[Target, ...], everything: bool, short: bool) -> list[Run]:
    needed = {name for target in targets for name in target.needs}
    runs = [run for run in RUNS if run.name in needed]
    if everything:
        runs += [run for run in LISTED + TRACKED if run.in_short or not short]
    return runs


@dataclasses.dataclass
class Verdict:
    target: Target
    figure: float | None
    reason: str = ""  # why there is no figure
    disturbed: bool = False
    not_judged: str = ""  # why there is a figure and no verdict

    def met(self) -> bool:
        # As it is printed: a figure that reads as the limit is within it.
        if self.figure is None or self.not_judged:
            return False
        shown = round(self.figure, 2)
        return shown >= self.target.limit if self.target.at_least else shown <= self.target.limit

    def words(self) -> str:
        if self.figure is None:
            return f"NO FIGURE: {self.reason}"
        if self.not_judged:
            return f"not judged: {self.not_judged}"
        if self.met():
            return "met" + (", but disturbed" if self.disturbed else "")
        by = abs(self.figure - self.target.limit)
        ratio = by / self.target.limit
        return f"MISSED by {by:.3g} ({ratio:.0%})" + (", disturbed" if self.disturbed else "")


def judge(targets: tuple[Target, ...], results: Results, failures: dict[str, str]) -> list[Verdict]:
    verdicts = []
    for target in targets:
        lacking = [name for name in target.needs if name not in results]
        if lacking:
            verdicts.append(Verdict(target, None, failures.get(lacking[0], "was not run")))
            continue
        try:
            figure, not_judged = target.figure(results), target.unless(results)
        except KeyError as key:
            verdicts.append(Verdict(target, None, f"the program did not report {key}"))
            continue
        disturbed = any(results[name].get("disturbed", False) for name in target.needs)
        verdicts.append(Verdict(target, figure, disturbed=disturbed, not_judged=not_judged))
    return verdicts
