"""Two runs of scripts/bench: does the machine repeat, and did the program change."""

import json
import pathlib

TOLERANCE = 0.05
PAGE, RESULTS = "README.md", "results.json"


def of_own_core(result: dict) -> dict:
    """The figures of the windows in which the worker had its core to itself, where there are enough of them. On a
    shared host anybody may be busy on another hardware thread of it; what all windows said is kept beside them."""
    if result.get("g_alone") is None:
        return result
    alone = {"g": result["g_alone"], "median": round(result["g_alone"] + result["floor"], 2), "disturbed": False}
    alone["ns"] = round(alone["median"] / result["tsc_hz"] * 1e9, 2)
    alone["mpps"] = round(result.get("workers", 1) * result["tsc_hz"] / alone["median"] / 1e6, 3)
    for key in ("new_flows_mps", "established_ratio", "scaling"):
        if f"{key}_alone" in result:
            alone[key] = result[f"{key}_alone"]
    return result | {"all_windows": {key: result[key] for key in alone}} | alone


def relative(now: float, before: float) -> float:
    return (now - before) / before if before else 0.0


def repeat(passes: list[dict]) -> float:
    """How far the passes of one run lie apart, of the smallest."""
    medians = [one["median"] for one in passes]
    return relative(max(medians), min(medians))


def merged(passes: list[dict]) -> dict:
    """The pass in the middle, and whether all of them agree."""
    ordered = sorted(passes, key=lambda one: one["median"])
    chosen = dict(ordered[(len(ordered) - 1) // 2])
    chosen["passes"] = [one["median"] for one in passes]
    if len(passes) > 1:
        chosen["repeat"] = round(repeat(passes), 4)
        chosen["disturbed"] = chosen["disturbed"] or chosen["repeat"] > TOLERANCE
    return chosen


def previous(results: pathlib.Path, about: dict, besides: pathlib.Path) -> tuple[str, dict] | None:
    """The newest run of the same machine, as short as this one."""
    found = []
    for path in results.glob(f"*/{RESULTS}"):
        if path.parent.resolve() == besides.resolve():
            continue
        try:
            run = json.loads(path.read_text())
        except (OSError, json.JSONDecodeError):
            continue
        if run["short"] == about["short"] and run["machine"]["cpu"] == about["machine"]["cpu"]:
            found.append((run["time"], path.parent.name, run))
    return max(found, key=lambda item: item[0])[1:] if found else None


def differences(now: dict, before: dict) -> list[tuple[str, float, float, float, str]]:
    """(row, before, now, change, what it means), of the clocks of the whole loop."""
    same = now["commit"] == before["commit"] and not now["commit"].endswith("+")
    old = {row["run"]: row for row in before["rows"]}
    found = []
    for row in now["rows"]:
        if row["run"] not in old:
            continue
        was = old[row["run"]]
        change = relative(row["median"], was["median"])
        if abs(change) <= TOLERANCE:
            meaning = "the same"
        elif row["disturbed"] or was["disturbed"]:
            meaning = "disturbed"
        elif same:
            meaning = "disturbed: nothing but time has changed"
        else:
            meaning = "slower" if change > 0 else "faster"
        found.append((row["run"], was["median"], row["median"], change, meaning))
    return found
