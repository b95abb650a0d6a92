"""Rows, verdicts, repetition, comparison and the result page."""

import json

import bench_compare
import bench_machine
import bench_page
import bench_rows
import pytest


def target(row):
    return next(one for one in bench_rows.TARGETS if one.row == row)


def result(run="1a", g=40.0, **more):
    return {"run": run, "row": run, "g": g, "median": g + 5, "iqr": 1.0, "floor": 5.0, "mpps": 20.0, "ns": 50.0,
            "neighbour": 1.1, "isa": "avx2", "disturbed": False, "verified": True, "tsc_hz": 2.6e9} | more


def verdict(row, results):
    return bench_rows.judge((target(row),), results, {"2": "no hugepages"})[0]


@pytest.mark.parametrize(("g", "words"), [
    (30.0, "met"), (48.0, "met"), (48.004, "met"), (60.0, "MISSED by 12 (25%)"), (136.2, "MISSED by 88.2 (184%)")])
def test_at_most(g, words):
    assert verdict("1a", {"1a": result(g=g)}).words() == words


@pytest.mark.parametrize(("rate", "words"), [(3.0, "met"), (2.4, "MISSED by 0.6 (20%)")])
def test_at_least(rate, words):
    assert verdict("8", {"8": result("8", new_flows_mps=rate)}).words() == words


def test_what_has_no_figure_is_not_met():
    assert verdict("2", {}).words() == "NO FIGURE: no hugepages"
    assert not verdict("2", {}).met()
    assert verdict("8", {"8": result("8")}).words() == "NO FIGURE: the program did not report 'new_flows_mps'"


def test_disturbed_figures_say_so():
    assert verdict("1a", {"1a": result(g=30, disturbed=True)}).words() == "met, but disturbed"
    assert verdict("1a", {"1a": result(g=96, disturbed=True)}).words() == "MISSED by 48 (100%), disturbed"


def test_long_lists_are_judged_beyond_lists_of_four():
    results = {"9b": result("9b", 70.0), "9b --rules 4 --shapes 0": result("9b --rules 4 --shapes 0", 50.0)}
    assert verdict("9b", results).figure == 20.0
    assert verdict("9b", {"9b": result("9b", 70.0)}).figure is None


def scaled(scaling, neighbour):
    case = {"g": 50.0, "g_alone": None}
    return result("12a", scaling=scaling, scaling_iqr=0.01, neighbour=neighbour, workers=2, one=case, one_share=case,
                  one_of_several=case | {"g_alone": 49.0}, handed_over=0.0, overlap=0.9)


@pytest.mark.parametrize(("scaling", "neighbour", "words"), [
    (1.95, 1.02, "met"), (1.8, 1.02, "MISSED by 0.1 (5%)"),
    (1.2, 1.62, "not judged: neighbour factor 1.62, and the target is for less than 1.1"),
    (1.95, None, "not judged: no neighbour factor")])
def test_several_workers_are_judged_where_they_share_no_core(scaling, neighbour, words):
    found = verdict("12a", {"12a": scaled(scaling, neighbour)})
    assert found.words() == words
    assert found.figure == scaling
    assert found.met() == (words == "met")


def test_the_page_shows_what_several_workers_are_made_of():
    row = scaled(1.2, 1.62)
    assert ("| 12a | 1.20 (0.01) | 20.0 | 50.0 | 50.0 | 49.0 | 40.0 | 0% | 90% | 1.62 |"
            in bench_page.several([result(), row]))
    assert bench_page.several([result()]) == ""
    assert bench_page.targets([verdict("12a", {"12a": row})]).startswith(
        "0 of 1 met, 0 missed, 0 without a figure, 1 not judged.")


def test_mpps_of_cores_alone_are_those_of_all_workers():
    alone = bench_compare.of_own_core(scaled(1.9, 1.0) | {"g_alone": 35.0, "scaling_alone": 1.96})
    assert (alone["mpps"], alone["scaling"], alone["all_windows"]["scaling"]) == (130.0, 1.96, 1.9)


def test_every_target_can_be_measured():
    measured = {run.name for run in bench_rows.RUNS} | {"memory"}
    assert {name for one in bench_rows.TARGETS for name in one.needs} <= measured


def test_every_point_of_the_plot_is_measured():
    measured = {run.name for run in bench_rows.RUNS + bench_rows.LISTED + bench_rows.TRACKED}
    assert {run for points in bench_rows.SERIES.values() for _, run in points} <= measured


def test_rows_by_number_and_by_name():
    def rows(wanted):
        return {one.row for one in bench_rows.selected(wanted)}

    assert rows(["1a"]) == {"1a", "1a, rig A"}
    assert rows(["3"]) == {"3", "3b"}
    assert rows(["9"]) == {"9a", "9b", "9c", "9a-miss", "9b-miss", "9c-miss"}
    assert rows(["16", "14"]) == {"16a", "16b", "14"}
    assert rows(["12"]) == {"12a", "12a-1b", "12a-3", "12b", "12b-1b", "12b-3"}
    assert len(bench_rows.selected([])) == len(bench_rows.TARGETS)
    with pytest.raises(KeyError):
        bench_rows.selected(["1a", "17"])


def test_a_row_runs_what_it_is_compared_with_and_nothing_else():
    names = [run.name for run in bench_rows.runs_for(bench_rows.selected(["9a"]), everything=False, short=False)]
    assert names == ["9a --rules 4 --shapes 0", "9a"]


def test_figures_are_those_of_the_core_alone_where_there_are_enough():
    shared = result(g=110.0, disturbed=True) | {"g_alone": None, "floor": 4.0}
    assert bench_compare.of_own_core(shared) == shared
    alone = bench_compare.of_own_core(shared | {"g_alone": 71.0, "new_flows_mps": 2.5, "new_flows_mps_alone": 3.5})
    assert (alone["g"], alone["median"], alone["disturbed"], alone["new_flows_mps"]) == (71.0, 75.0, False, 3.5)
    assert alone["all_windows"]["g"] == 110.0 and alone["all_windows"]["new_flows_mps"] == 2.5


def test_passes_that_lie_apart_are_disturbed():
    steady = bench_compare.merged([result(g=95.0), result(g=99.0)])
    assert (steady["disturbed"], steady["repeat"], steady["g"]) == (False, 0.04, 95.0)
    assert bench_compare.merged([result(g=95.0), result(g=105.0)])["disturbed"]
    assert "repeat" not in bench_compare.merged([result()])


def run_of(commit="abc", **rows):
    return {"commit": commit, "short": False, "machine": {"cpu": "X"}, "time": "2026-11-24T00:00:00",
            "rows": [result(name, **values) for name, values in rows.items()]}


@pytest.mark.parametrize(("before", "now", "meaning"), [
    (run_of(a={"g": 95}), run_of(a={"g": 99}), "the same"),
    (run_of(a={"g": 95}), run_of(a={"g": 120}), "disturbed: nothing but time has changed"),
    (run_of("abc", a={"g": 95}), run_of("def", a={"g": 120}), "slower"),
    (run_of("abc", a={"g": 95}), run_of("def", a={"g": 55}), "faster"),
    (run_of("abc+", a={"g": 95}), run_of("abc+", a={"g": 120}), "slower"),
    (run_of("abc", a={"g": 95}), run_of("def", a={"g": 120, "disturbed": True}), "disturbed"),
])
def test_what_a_difference_means(before, now, meaning):
    [(_, _, _, _, said)] = bench_compare.differences(now, before)
    assert said == meaning


def test_the_previous_run_is_of_the_same_machine_and_length(tmp_path):
    def write(name, **changed):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(run_of(a={}) | changed))

    write("first", time="2026-01-01")
    write("second", time="2026-02-02")
    write("short", time="2026-03-03", short=True)
    write("other", time="2026-04-04", machine={"cpu": "Y"})
    write("own", time="2026-05-05")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/results.json").write_text("{")
    name, run = bench_compare.previous(tmp_path, run_of(), tmp_path / "own")
    assert (name, run["time"]) == ("second", "2026-02-02")
    assert bench_compare.previous(tmp_path, run_of() | {"machine": {"cpu": "Z"}}, tmp_path / "own") is None


ABOUT = {"short": False, "time": "2026-11-24T00:00:00+00:00", "commit": "abc", "command": "scripts/bench", "core": 1,
         "passes": 2, "trials": 9, "seconds": 1.0,
         "machine": {"cpu": "CPU X", "cpus": 2, "memory_mb": 4096, "kernel": "6.1"}}


def page(about=ABOUT, rows=(), results=None, failures=None):
    verdicts = bench_rows.judge((target("1a"), target("2")), results or {}, failures or {})
    return bench_page.page(about, list(rows), verdicts, failures or {}, compared="", plots=[], peers="")


def test_the_page_shows_what_is_missed():
    rows = [result("1a", 136.2), result("2", 70.0)]
    text = page(rows=rows, results={row["run"]: row for row in rows})
    assert "1 of 2 met, 1 missed, 0 without a figure." in text
    assert "| 1a | 254 EIPs, 4-rule lists, 4096 flows | <= 48 clocks (G) | 136.2 | MISSED by 88.2 (184%) |" in text
    assert "SHORT" not in text
    assert "isturbed" not in text.split("## Figures")[0]


def test_the_page_of_a_short_run_is_marked():
    assert "**SHORT: few and short trials." in page(ABOUT | {"short": True})


def test_the_page_names_what_is_disturbed_and_what_has_no_figure():
    row = result("1a", disturbed=True)
    text = page(rows=[row], results={"1a": row}, failures={"2": "packet 7 came out wrong"})
    assert "**Disturbed, so no figure to quote: 1a.**" in text
    assert "- 2: packet 7 came out wrong" in text
    assert "NO FIGURE: packet 7 came out wrong" in text


STAT = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 100 700 0 0 0 100 0 0\ncpu1 0 0 0 10 0 0 0 0 0 0\n"


def test_cpu_times(monkeypatch):
    monkeypatch.setattr(bench_machine.os, "sysconf", lambda _: 100)
    times = bench_machine.cpu_times(STAT, 0)
    assert (times.busy, times.stolen, times.total) == (2.0, 1.0, 10.0)
    with pytest.raises(bench_machine.Unable):
        bench_machine.cpu_times(STAT, 7)


def test_names_of_directories():
    assert bench_machine.slug("Intel(R) Xeon(R) Gold 6430 CPU @ 2.10GHz") == "intel-xeon-gold-6430-cpu-2-10ghz"
