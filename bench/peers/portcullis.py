"""Portcullis itself, on the same rig: bench-pps, the product's worker loop and tables."""

import json
import pathlib
import subprocess

from peer import Lab, Peer, Trial
from programs import Failed

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/bench/pps/bench-pps"
MEMORY_MB = 1024


class Portcullis(Peer):
    name = "Portcullis"
    work = "1:1 NAT, 4-rule permit list, counters (row 1a)"
    configuration = "bench/pps, row 1a"
    watches_itself = True  # it fills its tables first, and measures only then

    def __init__(self, lab: Lab):
        self.lab = lab

    def open(self) -> None:
        if not PROGRAM.exists():
            raise Failed(f"{PROGRAM} is not built: scripts/setup")
        shown = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=False).stdout
        if "--rig" not in shown or "--row" not in shown:
            raise Failed("bench-pps has no rig A yet")

    def trial(self, seconds: float) -> Trial:
        done = subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", PROGRAM, "--rig", "A", "--row", "1a", "--trials", "1", "--seconds",
             str(seconds), "--core", str(self.lab.core), "--memory", str(MEMORY_MB), "--no-neighbour", "--no-stages",
             "--load", "0", "--json"],
            capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
            env={"RUNTIME_DIRECTORY": str(self.lab.scratch)})
        if done.returncode != 0:
            raise Failed(f"bench-pps: {done.stderr.strip()[-400:]}")
        result = json.loads(done.stdout)
        if isinstance(result, list):
            result = result[0]
        if not result["verified"]:
            raise Failed("bench-pps did not verify what came out")
        kept = ("g", "floor", "tsc_hz", "isa", "hugepages")
        share = 0.0 if result["disturbed"] else 1.0
        return Trial(mpps=result["mpps"], share=share, detail={key: result[key] for key in kept if key in result})


def peers(lab: Lab) -> list[Peer]:
    return [Portcullis(lab)]
