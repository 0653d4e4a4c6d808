"""The closing table of `make demo`: fine-tuning beside the same training from scratch.

usage: demo_table.py RUNS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from transfercli.cli.ui.tables import print_pairs, print_table

runs = Path(sys.argv[1])
rows, intervals = [], []
for name, what in (("digits-target", "fine-tuned, base frozen"), ("digits-scratch", "from scratch")):
    run = runs / name / "latest"
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    measured = json.loads((run / "evaluation" / "test" / "metrics.json").read_text(encoding="utf-8"))
    low, high = measured["intervals"]["accuracy"]
    intervals.append((low, high))
    interval = f"{low:.3f} to {high:.3f}"
    rows.append((what, measured["metrics"]["accuracy"], interval, record["epochs"], record["seconds"]["train"]))
print("\nDigits 5-9, on test images that neither model has seen:\n")
print_table(("", "accuracy", "95% interval", "epochs", "training, s"), rows)
(low, high), (other_low, other_high) = intervals
if low <= other_high and other_low <= high:
    print(
        "\nThe intervals overlap, so neither is shown to be better: digits are easy to learn from scratch as well."
        "\nWhat the earlier base saves here is training time (its own is not counted). Where weights from far more"
        "\nimages save errors, too, is measured in benchmarks/RESULTS.md."
    )
target = runs / "digits-target" / "latest"
print()
print_pairs(
    [
        ("run folder", target.resolve().relative_to(Path.cwd().resolve())),
        ("open", f"{target}/evaluation/test/report.html"),
        ("and", f"{target}/history.png"),
        ("artefacts", f"{target}/exports"),
    ]
)
