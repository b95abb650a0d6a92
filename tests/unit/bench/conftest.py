import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "bench/callgrind"), str(ROOT / "bench/peers"), str(ROOT / "scripts/lib"),
                str(ROOT / "tests/model")]
