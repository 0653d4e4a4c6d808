"""Thirty nights of `retrain` on real digits, as cron calls it: they grow, are relabelled, cut short; it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_in_a_month_of_nights_no_champion_is_worse_and_no_test_image_was_trained_on(
    digits_folder: Path, tmp_path: Path
) -> None:
    pool, source, told = digits_folder / "digits-target", digits_folder / "digits-source", tmp_path / "month.json"
    command = [sys.executable, "-m", "benchmarks.month", str(pool), str(source), str(tmp_path / "work")]
    done = subprocess.run(
        [*command, "--images", "4", "--json", str(told)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(told.read_text())
    assert (found["nights"], found["falls"], found["leaks"], found["undecided"]) == (30, [], 0, [])
    assert found["decisions"]["first"] == 1
    assert found["decisions"]["failed"] >= 1
    assert found["held_back"][1] >= found["held_back"][0]
