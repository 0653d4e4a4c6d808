"""A run from a table with a column of its own, trained from another: slices, lineage, comparison, the command line."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.errors import DataError
from transfercli.evaluation.predictions import Predictions
from transfercli.reporting import Reporter
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.lookup import find_run
from transfercli.workflows.compare.compare import compare_runs
from transfercli.workflows.compare.comparison import CompareRequest
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.evaluate.provenance import recorded_hashes
from transfercli.workflows.lineage import ancestors
from transfercli.workflows.runs.leaderboard import ListRequest, list_runs
from transfercli.workflows.runs.runs import show_run
from transfercli.workflows.stored_run import StoredRun


def _camera(path: Path) -> str:
    """Every third image was taken by the old camera; the first of each class by nobody knows which."""
    number = sorted(path.parent.iterdir()).index(path)
    return "" if number == 0 else ("new", "new", "old")[number % 3]


@pytest.fixture(scope="module")
def tabled(source: Any, digits_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(world, images): `tabled` was trained from `digits-source`, named by its path, on the same images by a table."""
    world = type(source[0])(tmp_path_factory.mktemp("tabled"), digits_folder)
    trained = Path(source[1]["run"])
    parent = world.runs / "digits-source" / trained.name
    shutil.copytree(trained, parent, symlinks=True)
    shutil.rmtree(parent / "evaluation", ignore_errors=True)
    images = world.folder / "images"
    shutil.copytree(digits_folder / "digits-source", images)
    files = [(side, file) for side in ("train", "test") for file in sorted((images / side).glob("*/*.png"))]
    with (images / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split", "camera"])
        writer.writerows(
            [one.relative_to(images).as_posix(), one.parent.name, side, _camera(one)] for side, one in files
        )
    config = world.config(
        "tabled",
        "unused",
        data={"train": str(images / "table.csv")},
        model={"weights": {"run": str(parent)}},
        training={"epochs": 1},
        evaluation={"slices": ["camera", "brightness"]},
    )
    world.train("finetune", config)
    return world, images


@pytest.fixture(scope="module")
def evaluated(tabled: Any) -> dict[str, Any]:
    """What `evaluate tabled` gives."""
    return evaluate_run(EvaluateRequest("tabled", tabled[0].runs), Reporter()).as_json()


@pytest.fixture
def cli(
    tabled: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs the program on the same runs; exit code and stdout."""

    def run(*words: str) -> tuple[int, str]:
        from transfercli.cli.app import main

        monkeypatch.setattr(sys, "argv", ["transfercli", *words, "--runs", str(tabled[0].runs), "--quiet"])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().out

    return run


def test_every_slice_has_the_metrics_of_its_images(tabled: Any, evaluated: dict[str, Any]) -> None:
    world, images = tabled
    rows = [row for row in evaluated["slices"] if row["slice"] == "camera"]
    assert {row["value"]: row["examples"] for row in rows} == {"new": 115, "old": 58, "(none)": 5}
    said = Predictions.read_csv(find_run("tabled", world.runs).evaluation("test") / "predictions.csv")
    old = np.array([_camera(images / path) == "old" for path in said.paths])
    right = (said.predicted == said.targets)[old].mean()
    assert next(row for row in rows if row["value"] == "old")["metrics"]["accuracy"] == pytest.approx(right)
    assert sum(row["examples"] for row in evaluated["slices"] if row["slice"] == "brightness") == 178


def test_another_table_brings_its_own_column_and_one_without_it_is_refused(tabled: Any) -> None:
    world, images = tabled
    rows = list(csv.DictReader((images / "table.csv").read_text().splitlines()))
    other = [row | {"camera": "phone", "split": ""} for row in rows if row["split"] == "test"][::6]
    for name, columns in (("phone", ["path", "label", "camera"]), ("bare", ["path", "label"])):
        with (images / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(other)
    request = EvaluateRequest("tabled", world.runs, data=images / "phone.csv")
    result = evaluate_run(request, Reporter()).as_json()
    assert [(row["value"], row["examples"]) for row in result["slices"] if row["slice"] == "camera"] == [("phone", 30)]
    with pytest.raises(DataError, match="'camera' is not a column"):
        evaluate_run(EvaluateRequest("tabled", world.runs, data=images / "bare.csv"), Reporter())


def test_a_run_without_calibration_is_evaluated_as_before_there_was_one(tabled: Any) -> None:
    world, _ = tabled
    run = find_run("tabled", world.runs)
    old = world.folder / "old" / "tabled" / "older"
    shutil.copytree(run.path, old, symlinks=True)
    (old / "calibration.json").unlink()
    result = evaluate_run(EvaluateRequest(str(old), world.runs, "validation"), Reporter()).as_json()
    assert [result[key] for key in ("calibration", "abstention", "out_of_distribution", "conformal")] == [None] * 4
    record = json.loads((old / "run.json").read_text())
    assert result["metrics"]["log_loss"] == pytest.approx(record["metrics"]["val_loss"], rel=1e-4)


def test_a_parent_given_by_path_is_found_by_show_and_by_retrain(tabled: Any) -> None:
    world, _ = tabled
    run, parent = find_run("tabled", world.runs), find_run("digits-source", world.runs)
    lineage = show_run("tabled", world.runs, Reporter()).as_json()["lineage"]
    assert [one["run"] for one in lineage] == [run.label, parent.label]
    assert (lineage[1]["workflow"], lineage[1]["base"], lineage[1]["weights"]) == ("pretrain", "small_cnn", "none")
    assert [one.label for one in ancestors(StoredRun(run), Reporter())] == [parent.label]


def test_a_parent_that_is_gone_ends_the_lineage(tabled: Any, tmp_path: Path) -> None:
    world, _ = tabled
    run = find_run("tabled", world.runs)
    shutil.copytree(run.path, tmp_path / "runs" / "tabled" / "lonely", symlinks=True)
    record = tmp_path / "runs" / "tabled" / "lonely" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"parent": "digits-source/deleted"}))
    listener = Listener()
    assert list(ancestors(StoredRun(find_run("tabled/lonely", tmp_path / "runs")), listener)) == []
    assert "digits-source/deleted, the parent of tabled/lonely, does not exist any more" in listener.messages[0]
    lineage = show_run("tabled/lonely", tmp_path / "runs", Reporter()).as_json()["lineage"]
    assert [one["status"] for one in lineage] == ["completed", "gone"]


@pytest.mark.slow
def test_compare_evaluates_anew_what_is_not_of_the_present_model_or_images(tabled: Any) -> None:
    world, _ = tabled
    request = CompareRequest(("digits-source", "tabled"), world.runs)
    compare_runs(request, Reporter())
    run, listener = find_run("tabled", world.runs), Listener()
    compare_runs(request, listener)
    assert not [text for text in listener.messages if "evaluating it" in text]
    calibration = run.calibration.read_text()
    metrics = run.evaluation("test") / "metrics.json"
    written = json.loads(metrics.read_text())
    for break_it in (
        lambda: run.calibration.write_text(json.dumps(json.loads(calibration) | {"temperature": 3.0})),
        lambda: metrics.write_text(json.dumps(written | {"made_from": written["made_from"] | {"images": "others"}})),
    ):
        break_it()
        listener = Listener()
        compare_runs(request, listener)
        run.calibration.write_text(calibration)
        assert f"{run.label} has no up-to-date evaluation on test: evaluating it" in listener.messages
        assert not [text for text in listener.messages if text.startswith("digits-source")]


def test_compare_leaves_out_an_image_that_was_another_file_for_the_other_run(tabled: Any) -> None:
    world, _ = tabled
    run = find_run("tabled", world.runs)
    other = world.folder / "other" / "tabled" / "other"
    shutil.copytree(run.path, other, symlinks=True)
    shutil.rmtree(other / "evaluation", ignore_errors=True)
    first = next(iter(recorded_hashes(run, "test").values()))
    manifest = other / "dataset.csv"
    manifest.write_text(manifest.read_text().replace(first, "0" * 64))
    result = compare_runs(CompareRequest((str(run.path), str(other)), world.runs), Reporter()).as_json()
    assert result["comparisons"][0]["examples"] == 177


def test_list_tells_the_last_decision_about_an_experiment(tabled: Any, cli: Callable[..., tuple[int, str]]) -> None:
    world, _ = tabled
    last = Decision("kept", "accuracy rose by too little", "20260101-000000-abcdef")
    decisions.append(world.runs / "tabled", Decision("first", "there was none", "20260101-000000-abcdef"))
    decisions.append(world.runs / "tabled", last)
    try:
        found = list_runs(ListRequest(world.runs)).as_json()
        code, told = cli("runs", "list")
    finally:
        (world.runs / "tabled" / "decisions.jsonl").unlink()
    assert found["decisions"] == {"tabled": asdict(last)}
    assert code == 0
    assert "champion 20260101-000000-abcdef" in told
    assert "kept: accuracy rose by too little" in told


def test_runs_are_listed_shown_and_compared_at_the_command_line(cli: Callable[..., tuple[int, str]]) -> None:
    for words, keys in (
        (("list",), {"runs", "decisions"}),
        (("show", "tabled"), {"status", "curves", "lineage", "files", "evaluations"}),
        (("compare", "digits-source", "tabled"), {"split", "runs", "comparisons"}),
    ):
        code, text = cli("runs", *words, "--json")
        assert code == 0
        assert keys <= set(json.loads(text))
    _, text = cli("runs", "list")
    assert text.splitlines()[0].split()[:2] == ["run", "status"]
    assert len([line for line in text.splitlines() if line.startswith(("digits-source/", "tabled/"))]) == 2
    _, text = cli("runs", "show", "digits-source")
    assert "└─ random weights" in text
    assert any("validation loss curve" in line and "█" in line for line in text.splitlines())
    _, text = cli("runs", "compare", "digits-source", "tabled")
    assert "McNemar's test" in text
    assert "training.epochs" in text
    assert any(line.startswith("accuracy ") for line in text.splitlines())


def test_a_gate_on_the_lower_end_fails_where_the_value_alone_would_pass(
    evaluated: dict[str, Any], cli: Callable[..., tuple[int, str]]
) -> None:
    value, low = evaluated["metrics"]["accuracy"], evaluated["intervals"]["accuracy"][0]
    gate = f"accuracy={(value + low) / 2}"
    assert cli("evaluate", "tabled", "--min", gate)[0] == 0
    code, text = cli("evaluate", "tabled", "--min", gate, "--gate-on", "lower", "--json")
    assert code == 5
    assert json.loads(text)["gates"][0]["value"] == low
