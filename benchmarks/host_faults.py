"""Trainings by two hosts, one of which is killed, frozen, cut off or stopped at a random moment, and then goes on.

    python -m benchmarks.host_faults [--trials 10] [--seed 0] [--minutes 120] [--fault NAME …]

A host is a network namespace with its own name and link, so this needs root and Linux. Every trial trains a small
network on the digits until a random moment, lets the fault happen, and looks at exit codes, messages, times and the
status of the run. Then both processes are started again, and the finished run must have the bits of an undisturbed one.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.reliability.host_trials import FAULTS, TIMEOUT, Outcome, check, two_hosts, undisturbed
from tests.reliability.hosts import reason_for_no_hosts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10, help="of each fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=120.0, help="after which no further trial starts")
    parser.add_argument("--fault", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    options = parser.parse_args()
    if reason := reason_for_no_hosts():
        sys.exit(reason)
    generator, end = random.Random(options.seed), time.monotonic() + 60 * options.minutes
    found: dict[str, list[Outcome]] = {name: [] for name in options.fault}
    with tempfile.TemporaryDirectory(prefix="host-faults-") as folder, two_hosts(Path(folder)) as world:
        bits = undisturbed(world)
        for number in range(options.trials):
            for kind, name in enumerate(options.fault):
                if time.monotonic() < end:
                    outcome = check(world, name, f"trial-{number}-{kind}", generator.random(), bits)
                    found[name].append(outcome)
                    line = f"{name}: {outcome.codes}, {outcome.seconds:.1f} s, after epoch {outcome.epoch}"
                    print(line, file=sys.stderr, flush=True)
                    for complaint in outcome.complaints:
                        print(f"{name}: {complaint}", file=sys.stderr, flush=True)
    print(table(found))


def table(found: dict[str, list[Outcome]]) -> str:
    """Return the trials as a Markdown table."""
    lines = [
        f"| fault (`compute.peer_timeout` {TIMEOUT} s) | trials | as promised | exit codes | slowest end, s |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for name, outcomes in found.items():
        if outcomes:
            good = sum(not outcome.complaints for outcome in outcomes)
            codes = ", ".join(sorted({" and ".join(map(str, outcome.codes)) for outcome in outcomes}))
            slowest = max(outcome.seconds for outcome in outcomes)
            lines.append(f"| {name} | {len(outcomes)} | {good} | {codes} | {slowest:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
