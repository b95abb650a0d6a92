"""The plots of scripts/bench, as SVG that does not change unless a figure does."""

import pathlib

import bench_rows
import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "portcullis"
from matplotlib import pyplot  # noqa: E402  (after the back end is chosen)

BARS = {"p50_us": "p50", "p99_us": "p99", "p999_us": "p99.9", "max_us": "max"}


def save(figure, path: pathlib.Path, short: bool) -> None:
    if short:
        figure.text(0.99, 0.01, "SHORT: not to be quoted", ha="right", color="firebrick", fontsize=8)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)


def throughput(results: dict[str, dict], path: pathlib.Path, short: bool) -> bool:
    """Mpps all-in against the number of flows."""
    figure, axes = pyplot.subplots(figsize=(7, 4))
    drawn = False
    for label, points in bench_rows.SERIES.items():
        known = [(size, results[run]) for size, run in points if run in results]
        if known:
            line = axes.plot([size for size, _ in known], [result["mpps"] for _, result in known], marker="o",
                             label=label)[0]
            for size, result in known:
                axes.annotate(f"G {result['g']:.0f}", (size, result["mpps"]), textcoords="offset points", xytext=(4, 5),
                              fontsize=7, color=line.get_color())
            drawn = True
    axes.set(xscale="log", xlabel="flows", ylabel="Mpps all-in, one core (rig B)", title="Throughput against table size")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if drawn:
        axes.legend(fontsize=8)
        save(figure, path, short)
    return drawn


def stages(results: dict[str, dict], path: pathlib.Path, short: bool) -> bool:
    measured = {name: result["stages"] for name, result in results.items() if result.get("stages")}
    if not measured:
        return False
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(measured) + 1.5))
    left = dict.fromkeys(measured, 0.0)
    colours = pyplot.get_cmap("tab20").colors
    for number, stage in enumerate(dict.fromkeys(stage for found in measured.values() for stage in found)):
        widths = [found.get(stage, 0.0) for found in measured.values()]
        axes.barh(list(measured), widths, left=list(left.values()), label=stage, color=colours[number % len(colours)])
        for name, width in zip(measured, widths, strict=True):
            left[name] += width
    axes.invert_yaxis()
    axes.set(xlabel="clocks a packet", title="Clocks by stage (their probes cost some of it)")
    axes.legend(fontsize=7, ncols=2, bbox_to_anchor=(1.01, 1), loc="upper left")
    save(figure, path, short)
    return True


def residence(results: dict[str, dict], path: pathlib.Path, short: bool) -> bool:
    measured = {name: result["residence"] for name, result in results.items() if result.get("residence")}
    if not measured:
        return False
    figure, axes = pyplot.subplots(figsize=(8, 4))
    width = 0.8 / len(BARS)
    for number, (key, label) in enumerate(BARS.items()):
        places = [at + number * width for at in range(len(measured))]
        axes.bar(places, [found[key] for found in measured.values()], width, label=label)
    axes.set_xticks([at + 0.4 - width / 2 for at in range(len(measured))], list(measured), rotation=60, fontsize=7,
                    ha="right")
    axes.set(yscale="log", ylabel="us from receive to transmit", title="Residence time at 90 % load")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path, short)
    return True


def draw(results: dict[str, dict], directory: pathlib.Path, short: bool) -> list[tuple[str, str]]:
    """(title, file) of those that had something to show."""
    plots = (("Throughput against table size", "throughput.svg", throughput), ("Clocks by stage", "stages.svg", stages),
             ("Residence time", "residence.svg", residence))
    return [(title, file) for title, file, plot in plots if plot(results, directory / file, short)]
