#!/usr/bin/python3
"""Seeded races: plants each race of races.toml between control and worker and runs revocation under load with a thread
sanitizer, which must report it. First the same without any: no report then.

Needs a build: meson setup build-tsan -Dtsan_workers_only=true -Db_sanitize=thread; ninja -C build-tsan
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

import mutants

PROGRAM = "tests/model/ring-port"
RUN_SECONDS = 400  # a thread sanitizer takes long
REPORT = "WARNING: ThreadSanitizer: data race"


class Workshop(mutants.Workshop):
    def judge(self, name: str, program: pathlib.Path, seconds: float, budget: dict[str, str]) -> mutants.Outcome:
        del seconds, budget  # of the property tests
        # Without address randomisation, of which GCC 12's sanitizers do not bear as much as new kernels give.
        command = ["setarch", "--addr-no-randomize", program, "--gtest_brief=1", "--gtest_filter=*Revocation.*/Of2-*KeepTheirOrder*"]
        try:
            ran = self.run(command, timeout=RUN_SECONDS,
                           env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1", "RUNTIME_DIRECTORY": str(self.scratch)})
        except subprocess.TimeoutExpired:
            return mutants.Outcome(name, False, f"not done after {RUN_SECONDS} s")
        if REPORT in ran.stdout:
            where = [line.strip() for line in ran.stdout.splitlines() if line.startswith("SUMMARY")]
            return mutants.Outcome(name, True, where[0] if where else REPORT, ran.stdout)
        return mutants.Outcome(name, False, "survived" if ran.returncode == 0 else "no report", ran.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=mutants.ROOT / "build-tsan")
    parser.add_argument("--junit", type=pathlib.Path, help="write a case per race, as JUnit XML")
    parser.add_argument("--planted-only", action="store_true",
                        help="not without any race: the build's own program has just been run, and was silent")
    arguments = parser.parse_args()

    build = arguments.build.resolve()
    scratch = build / "tests/model/races"
    shutil.rmtree(scratch, ignore_errors=True)
    workshop = Workshop(build, scratch, PROGRAM)
    outcomes = []
    if not arguments.planted_only:
        sound = workshop.try_out(None)
        sound.caught = sound.how == "survived"
        outcomes.append(mutants.show(sound))
    if all(outcome.caught for outcome in outcomes):
        races = tomllib.loads((mutants.HERE / "races.toml").read_text())["mutant"]
        outcomes += [mutants.show(workshop.try_out(mutants.Mutant(**race))) for race in races]
    shutil.rmtree(scratch, ignore_errors=True)
    if arguments.junit:
        mutants.write_junit(arguments.junit, outcomes, "races")
    missed = [outcome for outcome in outcomes if outcome.missed()]
    for outcome in missed:
        print(f"\n{outcome.name}: {outcome.how}\n{outcome.detail[-3000:]}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
