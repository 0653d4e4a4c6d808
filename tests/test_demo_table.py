"""The table that `make demo` ends with does not claim more than its intervals allow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "demo_table.py"


@pytest.mark.parametrize("scratch, overlap", [([0.90, 0.98], True), ([0.80, 0.89], False), ([0.96, 0.99], False)])
def test_intervals_that_overlap_are_explained(tmp_path: Path, scratch: list[float], overlap: bool) -> None:
    for name, interval in (("digits-target", [0.90, 0.95]), ("digits-scratch", scratch)):
        run = tmp_path / "runs" / name / "latest"
        (run / "evaluation" / "test").mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({"epochs": 8, "seconds": {"train": 4.5}}))
        measured = {"metrics": {"accuracy": sum(interval) / 2}, "intervals": {"accuracy": interval}}
        (run / "evaluation" / "test" / "metrics.json").write_text(json.dumps(measured))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "runs"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ("neither is shown to be better" in done.stdout) is overlap
    assert "0.900 to 0.950" in done.stdout
