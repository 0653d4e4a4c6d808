"""What `runs list`, `show` and `compare` say of real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transfercli.errors import ArtefactError
from transfercli.events import Events
from transfercli.workflows.compare import CompareRequest, compare_runs
from transfercli.workflows.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.runs import list_runs, show_run


def test_a_run_is_listed_and_shown_with_its_curves_and_lineage(source) -> None:
    world, trained = source
    evaluate_run(EvaluateRequest("digits-source", world.runs), Events())
    (row,) = list_runs(world.runs, "digits-source")["runs"]  # other tests add experiments of their own
    assert (row["status"], row["links"]) == ("completed", ["latest"])
    shown = show_run("digits-source", world.runs)
    assert shown["test_accuracy"] == shown["evaluations"]["test"]["accuracy"]
    assert len(shown["curves"]["val_loss"]) == 4
    assert [one["run"] for one in shown["lineage"]] == [f"digits-source/{Path(trained['run']).name}"]
    assert "calibration.json" in [file["path"] for file in shown["files"]]
    json.dumps(shown, allow_nan=False)
    with pytest.raises(ArtefactError, match="no experiment 'other'"):
        list_runs(world.runs, "other")


def test_a_run_compared_with_itself_differs_in_nothing(source) -> None:
    world, _ = source
    result = compare_runs(CompareRequest(("digits-source", "digits-source"), world.runs), Events())
    (one,) = result["comparisons"]
    assert (one["examples"], one["fixed"], one["config"]) == (178, [], [])
    assert one["metrics"]["accuracy"]["difference"] == 0
    json.dumps(result, allow_nan=False)


def test_a_damaged_record_is_listed_as_damaged(tmp_path: Path) -> None:
    run = tmp_path / "e" / "r"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{")
    (row,) = list_runs(tmp_path)["runs"]
    assert row["status"] == "damaged"
