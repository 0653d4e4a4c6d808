"""Comparisons of runs."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from tests.listener import Listener
from transfercli.reporting import Reporter
from transfercli.workflows.compare.compare import compare_runs
from transfercli.workflows.compare.comparison import CompareRequest
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run


def test_a_run_compared_with_itself_differs_in_nothing(source) -> None:
    world, _ = source
    result = compare_runs(CompareRequest(("digits-source", "digits-source"), world.runs), Reporter()).as_json()
    (one,) = result["comparisons"]
    assert (one["examples"], one["fixed"], one["config"]) == (178, [], [])
    assert one["only_known"] == {"champion": [], "challenger": []}
    assert one["metrics"]["accuracy"]["difference"] == 0
    json.dumps(result, allow_nan=False)


def test_a_run_of_fewer_classes_is_not_taken_for_better_without_a_word(source, tmp_path: Path) -> None:
    world, told = source
    trained = Path(told["run"])
    other = tmp_path / "fewer" / trained.name
    shutil.copytree(trained, other, symlinks=True)
    evaluate_run(EvaluateRequest(str(other), tmp_path), Reporter())
    written = other / "evaluation" / "test" / "predictions.csv"
    lines = list(csv.reader(written.read_text().splitlines()))
    kept = [row[:-1] for row in lines if "4" not in row[1:3]]  # the last class, and what is or was taken for it
    with written.open("w", newline="") as file:
        csv.writer(file).writerows(kept)
    listener = Listener()
    compared = compare_runs(CompareRequest((str(trained), str(other)), world.runs), listener)
    (one,) = compared.as_json()["comparisons"]
    assert one["only_known"] == {"champion": ["4"], "challenger": []}
    assert (
        f"only {trained.parent.name}/{trained.name} has '4': it can confuse more classes than the other run"
        in listener.warnings
    )
