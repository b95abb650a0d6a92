"""From trials to one table of ratios."""

import dataclasses
import statistics

from peer import Trial

FLOOR = "testpmd io"
OURS = "Portcullis"
UNSTEADY = 0.1  # interquartile range over median


@dataclasses.dataclass
class Entry:
    """What became of one peer."""

    name: str
    work: str
    configuration: str
    scale_only: bool = False
    trials: list[Trial] = dataclasses.field(default_factory=list)
    disturbed: list[str] = dataclasses.field(default_factory=list)  # of trials that were left out, why
    absent: str = ""  # why it has no figure

    def rates(self) -> list[float]:
        return [trial.mpps for trial in self.trials]

    def median(self) -> float | None:
        return statistics.median(self.rates()) if self.trials else None

    def spread(self) -> float:
        """Interquartile range over the median."""
        rates = self.rates()
        if len(rates) < 4:
            return (max(rates) - min(rates)) / statistics.median(rates)
        low, _, high = statistics.quantiles(rates, n=4)
        return (high - low) / statistics.median(rates)

    def lost(self) -> float:
        return max((trial.lost for trial in self.trials), default=0.0)


def ns(mpps: float) -> float:
    return 1000 / mpps


def beyond_floor(entry: Entry, floor: Entry | None) -> float | None:
    """ns a packet that the work takes beyond what the drivers of the rig do."""
    if entry.scale_only or floor is None or floor.median() is None or entry.median() is None:
        return None
    return ns(entry.median()) - ns(floor.median())


def is_floor(entry: Entry) -> bool:
    """testpmd does no work that a ratio could be of."""
    return entry.name.startswith(FLOOR.split()[0])


def to_json(entries: list[Entry]) -> list[dict]:
    ours = next((entry for entry in entries if entry.name == OURS), None)
    floor = next((entry for entry in entries if entry.name == FLOOR), None)
    rows = []
    for entry in entries:
        row: dict = {"peer": entry.name, "work": entry.work, "configuration": entry.configuration,
                     "scale_only": entry.scale_only}
        median = entry.median()
        if median is None:
            rows.append(row | {"absent": entry.absent or "every trial was disturbed"})
            continue
        row |= {"mpps": round(median, 3), "ns": round(ns(median), 1), "min": round(min(entry.rates()), 3),
                "max": round(max(entry.rates()), 3), "iqr": round(entry.spread() * median, 3),
                "trials": [round(rate, 3) for rate in entry.rates()], "disturbed": len(entry.disturbed), "lost": round(entry.lost(), 4)}
        work = beyond_floor(entry, floor)
        if work is not None:
            row["ns_beyond_floor"] = round(work, 1)
        if entry.trials[-1].detail:
            row["detail"] = entry.trials[-1].detail
        if ours and ours.median() and entry is not ours:
            row["ratio"] = round(ours.median() / median, 2)
            own_work = beyond_floor(ours, floor)
            if work is not None and own_work is not None and own_work > 0 and not is_floor(entry):
                row["ratio_beyond_floor"] = round(work / own_work, 2)
        rows.append(row)
    return rows


def markdown(rows: list[dict]) -> str:
    """Portcullis / peer: above 1, Portcullis is faster."""
    text = ["| peer | work | Mpps (IQR) | ns | ns beyond the floor | Portcullis / peer | … beyond the floor |",
            "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        if "absent" in row:
            continue
        name = row["peer"] + (" (for scale only)" if row["scale_only"] else "")
        lost = f", {row['lost']:.0%} lost" if row["lost"] else ""
        text.append(f"| {name} | {row['work']} | {row['mpps']:.2f} ({row['iqr']:.2f}){lost} | {row['ns']:.1f} | "
                    f"{number(row.get('ns_beyond_floor'), '.1f')} | {number(row.get('ratio'), '.2f')} | "
                    f"{number(row.get('ratio_beyond_floor'), '.2f')} |")
    for row in rows:
        if "absent" in row:
            text.append(f"\nNo figure for {row['peer']} ({row['work']}): {row['absent']}")
            continue
        if row["disturbed"]:
            text.append(f"\n{row['peer']}: {row['disturbed']} disturbed trials left out")
        if row["iqr"] > UNSTEADY * row["mpps"]:
            text.append(f"\n{row['peer']}: unsteady, half of its trials lie {row['iqr'] / row['mpps']:.0%} apart; no "
                        "figure to quote")
    return "\n".join(text) + "\n"


def number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
