"""The result page of scripts/bench. What is missed is as plain as what is met."""

import bench_rows
from bench_rows import Verdict


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def targets(verdicts: list[Verdict]) -> str:
    met = sum(verdict.met() for verdict in verdicts)
    without = sum(verdict.figure is None for verdict in verdicts)
    not_judged = sum(bool(verdict.not_judged) for verdict in verdicts)
    rows = [[verdict.target.row, verdict.target.work, verdict.target.text(), figure(verdict.figure), verdict.words()]
            for verdict in verdicts]
    missed = len(verdicts) - met - without - not_judged
    return (f"{met} of {len(verdicts)} met, {missed} missed, {without} without a figure"
            + (f", {not_judged} not judged" if not_judged else "") + ".\n\n"
            + table(["row", "work", "target", "figure", "verdict"], rows))


def figures(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        said = "DISTURBED" if row["disturbed"] else ""
        if row.get("repeat") is not None:
            said += f"{', ' if said else ''}passes {row['repeat']:.1%} apart"
        neighbour = row.get("neighbour")
        lines.append([row["run"], row.get("work", ""), f"{row['median']:.1f} ({row['iqr']:.1f})", f"{row['floor']:.1f}",
                      f"{row['g']:.1f}", f"{row['mpps']:.2f}", f"{row['ns']:.1f}",
                      f"{neighbour:.2f}" if neighbour else "", own_core(row), row["isa"], said])
    return table(["run", "work", "loop, clocks (IQR)", "floor", "G", "Mpps all-in", "ns", "neighbour", "core alone",
                  "back end", ""], lines)


def own_core(row: dict) -> str:
    """In how many windows the worker had its core to itself; too few: G is of all windows."""
    if "alone" not in row:
        return ""
    share = f"{row['alone']} of {row['windows']}"
    return share if "all_windows" in row else f"{share}: too few"


def stages(rows: list[dict]) -> str:
    measured = [row for row in rows if row.get("stages")]
    if not measured:
        return ""
    names = list(dict.fromkeys(name for row in measured for name in row["stages"]))
    return table(["run", *names], [[row["run"], *(f"{row['stages'].get(name, 0):.1f}" for name in names)]
                                   for row in measured])


def several(rows: list[dict]) -> str:
    def g(case: dict) -> str:
        return f"{case['g'] if case['g_alone'] is None else case['g_alone']:.1f}"

    lines = [[row["run"], f"{row['scaling']:.2f} ({row['scaling_iqr']:.2f})", f"{row['mpps']:.1f}", g(row["one"]),
              g(row["one_share"]), g(row["one_of_several"]), f"{row['g']:.1f}", f"{row['handed_over']:.0%}",
              f"{row['overlap']:.0%}", f"{row['neighbour']:.2f}" if row["neighbour"] else ""]
             for row in rows if "scaling" in row]
    return table(["run", "times one worker (IQR)", "Mpps together", "G of one", "of its flows that are the first's",
                  "of the first of several, the same flows", "of each, all polling", "handed over", "side by side",
                  "neighbour"], lines) if lines else ""


def residence(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        if found := row.get("residence"):
            lines.append([row["run"], f"{found['load']:.0%}", *(f"{found[key]:.2f}" for key in
                                                                ("p50_us", "p99_us", "p999_us", "max_us")),
                          f"{found['stalls']}, longest {found['longest_stall_us']:.0f} us"])
    return table(["run", "load", "p50, us", "p99", "p99.9", "max", "stalls of the host"], lines) if lines else ""


def comparison(name: str, differences: list[tuple[str, float, float, float, str]]) -> str:
    lines = [[run, f"{before:.1f}", f"{now:.1f}", f"{change:+.1%}", meaning]
             for run, before, now, change, meaning in differences]
    outside = [line for line in lines if line[4] != "the same"]
    return (f"Against [{name}](../{name}/README.md): {len(lines) - len(outside)} of {len(lines)} runs within 5 %.\n\n"
            + table(["run", "clocks before", "now", "change", "meaning"], lines))


def page(about: dict, rows: list[dict], verdicts: list[Verdict], failures: dict[str, str], *, compared: str,
         plots: list[tuple[str, str]], peers: str) -> str:
    machine = about["machine"]
    text = [f"# Benchmark, {about['time'][:10]}, {machine['cpu']}\n"]
    if about["short"]:
        text.append("**SHORT: few and short trials. No figure of this page is to be quoted for a target.**\n")
    disturbed = [row["run"] for row in rows if row["disturbed"]]
    if disturbed:
        text.append(f"**Disturbed, so no figure to quote: {', '.join(disturbed)}.**\n")
    text.append(table(["what", "value"], [
        ["machine", f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_mb']} MB, Linux {machine['kernel']}"],
        ["worker", f"CPU {about['core']}, the others idle as far as this run knows"],
        ["TSC", f"{rows[0]['tsc_hz'] / 1e9:.2f} GHz" if rows else "not measured"],
        ["commit", f"`{about['commit']}`"], ["when", about["time"]],
        ["command", f"`{about['command']}`"],
        ["trials", f"{about['trials']} of {about['seconds']} s each, passes over all rows: {about['passes']}"]]))
    text += ["## Targets\n", targets(verdicts)]
    text.append("Rows of the design's table that are not here: "
                + ", ".join(f"{row} ({why})" for row, why in bench_rows.NOT_BUILT.items()) + ".\n")
    if failures:
        text += ["## Without a figure\n", *[f"- {name}: {reason}" for name, reason in failures.items()], ""]
    text += ["## Figures\n", figures(rows)]
    for title, file in plots:
        text.append(f"![{title}]({file})\n")
    for title, body in (("Clocks by stage", stages(rows)), ("Residence time", residence(rows)),
                        ("Several workers", several(rows)),
                        ("Peers, by turns on rig A", peers), ("Compared with the previous run", compared)):
        if body:
            text += [f"## {title}\n", body]
    text.append("What the figures mean, and what they do not show: [docs/benchmarks.md](../../../docs/benchmarks.md).\n")
    return "\n".join(text)
