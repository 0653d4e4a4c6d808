"""Index of the local page over many runs: seconds of the first look, of a look at unchanged files, and of the configs.

Usage: python -m benchmarks.ui_index RUN [COUNT]

RUN: a completed run, whose small files are copied COUNT times, 1,000 unless said, into a temporary folder.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from transfercli.workflows.runs.leaderboard import ListRequest, list_runs
from transfercli.workflows.ui.run_index import RunIndex

FILES = ("config.yaml", "metrics.jsonl", "evaluation/test/metrics.json")


def copy_runs(run: Path, runs: Path, count: int) -> None:
    """Write `count` runs of the experiment `many`, each with a record of its own."""
    record = json.loads((run / "run.json").read_text())
    for number in range(count):
        folder = runs / "many" / f"run-{number:06}"
        (folder / "evaluation/test").mkdir(parents=True)
        for name in FILES:
            shutil.copy(run / name, folder / name)
        facts = {"run_id": folder.name, "experiment": "many", "completion": number + 1}
        (folder / "run.json").write_text(json.dumps(record | facts))


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds that a function takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    run, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as folder:
        copy_runs(run, Path(folder), count)
        index = RunIndex(Path(folder))
        print(f"first look at {count} runs: {seconds_of(index.listing):.2f} s")
        print(f"unchanged files: {min(seconds_of(index.listing) for _ in range(5)) * 1000:.0f} ms")
        listed = index.listing().runs
        request = ListRequest(Path(folder), None, "val_accuracy")
        print(f"sorted by a metric: {seconds_of(lambda: list_runs(request, listed)) * 1000:.0f} ms")
        print(f"all configs, once: {seconds_of(lambda: [each.config for each in listed]):.2f} s")


if __name__ == "__main__":
    main()
