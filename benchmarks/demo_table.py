"""Closing table of `make demo`: fine-tuning compared with the same training from scratch.

Usage: python benchmarks/demo_table.py RUNS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from transfercli.cli.ui.tables import print_pairs, print_table

runs = Path(sys.argv[1])
rows, intervals = [], []
for name, method in (("digits-target", "fine-tuned, base frozen"), ("digits-scratch", "from scratch")):
    run = runs / name / "latest"
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    evaluation = json.loads((run / "evaluation" / "test" / "metrics.json").read_text(encoding="utf-8"))
    low, high = evaluation["intervals"]["accuracy"]
    intervals.append((low, high))
    interval = f"{low:.3f} to {high:.3f}"
    rows.append((method, evaluation["metrics"]["accuracy"], interval, record["epochs"], record["seconds"]["train"]))
print("\nDigits 5-9, on test images that neither model was trained on:\n")
print_table(("", "accuracy", "95% interval", "epochs", "training, s"), rows)
(low, high), (other_low, other_high) = intervals
if low <= other_high and other_low <= high:
    print(
        "\nThe intervals overlap, so neither is shown to be better: digits are easy to learn from scratch as well."
        "\nThe pretrained base saves training time here (its own training is not counted). benchmarks/RESULTS.md has"
        "\nmeasurements in which weights from many more images also reduce errors."
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
