"""bench-control measures a gateway that has done what it was asked, or says what is wrong."""

import json
import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(__file__).resolve().parents[3] / "build"
PROGRAM = BUILD / "bench/control/bench-control"


def run(*options: str) -> subprocess.CompletedProcess:
    if not PROGRAM.exists():
        pytest.skip("bench-control is not built")
    if os.geteuid() != 0:
        pytest.skip("a gateway makes a TAP, which needs root")
    return subprocess.run([PROGRAM, "--no-huge", *options], stdin=subprocess.DEVNULL, text=True, capture_output=True,
                          timeout=120, check=False)


def test_a_report_of_what_was_made_and_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run("--eips", "300", "--known", "70000", "--batch", "50", "--rounds", "2", "--seconds", "0.3", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["eips"] == 300 and report["known"] == 131072  # the pool's
    assert report["store_bytes"] > 300 * 100 and report["table_bytes"] > 131072 * 8
    assert 0 < report["start_empty_s"] and 0 < report["start_s"]
    updates = report["updates"]
    assert updates["lists_per_s"] > 0 and updates["calls"] >= 2
    assert 0 < updates["p50_us"] <= updates["p99_us"] <= updates["max_us"]
    assert 0 < updates["gateway_cpu"] < 2 and updates["client_cpu"] > 0
    assert report["single"]["lists_per_s"] > 0
    assert all(traffic["min"] > 0 for name, traffic in report["traffic"].items() if name != "dip")
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def test_a_gateway_that_does_not_start_is_no_figure():
    done = run("--eips", "300", "--core", "63")
    assert done.returncode == 1
    assert "does not start" in done.stderr and "workers.cores" in done.stderr
