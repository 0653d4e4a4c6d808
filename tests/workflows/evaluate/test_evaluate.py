"""Evaluations of a real run."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest
from transfercli.data.sources import keras_datasets
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture
def run(source):
    world, result = source
    return world, Path(result["run"]), result


def test_evaluating_the_validation_split_gives_the_accuracy_of_training(run) -> None:
    world, _folder, trained = run
    result = evaluate_run(EvaluateRequest("digits-source", world.runs, "validation"), Reporter()).as_json()
    assert result["metrics"]["accuracy"] == trained["metrics"]["val_accuracy"]
    assert result["calibration"]["log_loss_before"] == pytest.approx(trained["metrics"]["val_loss"], rel=1e-5)
    assert result["metrics"]["log_loss"] == pytest.approx(result["calibration"]["log_loss_after"], rel=1e-4)
    assert result["metrics"]["log_loss"] <= trained["metrics"]["val_loss"] + 1e-6


def test_the_test_split_gets_its_files_and_gates(run) -> None:
    world, folder, _ = run
    request = EvaluateRequest("digits-source", world.runs, minimums=("accuracy=0.999", "recall[3]=0.1"))
    result = evaluate_run(request, Reporter()).as_json()
    assert result["split"] == "test"
    assert result["examples"] == 178
    assert [gate["passed"] for gate in result["gates"]] == [result["metrics"]["accuracy"] >= 0.999, True]
    assert sum(map(sum, result["confusion_matrix"])) == 178
    place = folder / "evaluation" / "test"
    assert {path.name for path in place.iterdir()} == {
        *("metrics.json", "predictions.csv", "confusion_matrix.png", "report.html"),
    }
    rows = list(csv.DictReader((place / "predictions.csv").read_text().splitlines()))
    assert len(rows) == 178
    assert list(rows[0])[:4] == ["path", "label", "predicted", "probability"]
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == result["metrics"]["accuracy"]


def test_other_images_are_matched_by_class_name_and_unknown_classes_stop(run, digits_folder: Path, tmp_path) -> None:
    world, _, _ = run
    shutil.copytree(digits_folder / "digits" / "test" / "3", tmp_path / "new" / "3")
    request = EvaluateRequest("digits-source", world.runs, data=tmp_path / "new")
    result = evaluate_run(request, Reporter()).as_json()
    assert [row["support"] for row in result["per_class"]] == [0, 0, 0, result["examples"], 0]
    with pytest.raises(DataError, match="5"):
        evaluate_run(EvaluateRequest("digits-source", world.runs, data=digits_folder / "digits-target"), Reporter())


def test_other_images_that_the_run_learnt_from_are_counted(run, digits_folder: Path, tmp_path: Path) -> None:
    world, folder, _ = run
    recorded = list(csv.DictReader((folder / "dataset.csv").read_text().splitlines()))
    for side, count in (("train", 5), ("validation", 3), ("test", 4)):
        for number, row in enumerate([row for row in recorded if row["split"] == side][:count]):
            place = tmp_path / "mixed" / row["label"]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(digits_folder / "digits-source" / row["path"], place / f"{side}-{number}.png")
    listener = Listener()
    request = EvaluateRequest("digits-source", world.runs, data=tmp_path / "mixed")
    result = evaluate_run(request, listener).as_json()
    assert result["known"] == {"train": 5, "validation": 3}
    page = " ".join((folder / "evaluation" / "test-mixed" / "report.html").read_text().split())
    assert "<b>test</b> split, from <b>mixed</b>, 5 classes" in page
    known = "The run or an ancestor trained on 5 and chose an epoch or the penalty by 3 of these images</b>"
    assert f"{known}: the metrics are too optimistic." in page
    told = (
        "the run or an ancestor trained on 5 and chose an epoch or the penalty by 3 of these 12 images: the metrics are"
        f" too optimistic; accuracy is {result['metrics']['accuracy']:.4f} on all, and"
        f" {result['honest']['accuracy']:.4f} on the other 4 images; gates hold against the latter"
    )
    assert listener.warnings == [told]
    assert result["honest_examples"] == 4
    listener = Listener()
    result = evaluate_run(EvaluateRequest("digits-source", world.runs), listener).as_json()
    assert (listener.warnings, result["known"]) == ([], {})


def test_files_go_to_another_folder_if_the_run_is_read_only(run, tmp_path: Path, monkeypatch) -> None:
    world, folder, _ = run
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, *given: Path(path) != folder and real(path, *given))
    request = EvaluateRequest("digits-source", world.runs, out=tmp_path / "new" / "out")
    with pytest.raises(UsageError, match="cannot be written to") as caught:
        evaluate_run(replace(request, out=None), Reporter())
    assert "--out DIR" in str(caught.value.hint)
    result = evaluate_run(replace(request, spreadsheet=True), Reporter())
    assert result.folder == tmp_path / "new" / "out"
    assert "--out" in result.report.read_text()
    assert {path.name for path in result.folder.iterdir()} == {
        *("metrics.json", "predictions.csv", "confusion_matrix.png", "report.html", "predictions-spreadsheet.csv"),
    }
    plain, special = (result.folder / f"predictions{name}.csv" for name in ("", "-spreadsheet"))
    assert special.read_text("utf-8-sig") == plain.read_text()
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before


def test_the_share_of_unreadable_images_is_an_option(run, digits_folder: Path, tmp_path: Path) -> None:
    world, _, _ = run
    images = tmp_path / "3"
    shutil.copytree(digits_folder / "digits" / "test" / "3", images)
    (images / "junk.png").write_text("junk")
    request = EvaluateRequest("digits-source", world.runs, data=tmp_path, out=tmp_path / "out")
    with pytest.raises(DataError, match=r"--max-bad allows 0\.01 of them") as caught:
        evaluate_run(request, Reporter())
    assert caught.value.hint == "repair or remove these files, or raise --max-bad"
    listener = Listener()
    result = evaluate_run(replace(request, max_bad=0.5), listener).as_json()
    assert result["examples"] == len(list(images.iterdir())) - 1
    assert any("they are left out" in warning for warning in listener.warnings)


def test_lost_images_of_the_run_itself_are_left_out_up_to_the_share_of_the_option(run, tmp_path: Path) -> None:
    world, folder, _ = run
    old = RunFolder(tmp_path / "runs" / "digits-source" / folder.name)
    shutil.copytree(folder, old.path)
    records = StoredRun(old).images
    lost = next(n for n, record in enumerate(records) if record.split == "test")
    records[lost] = replace(records[lost], path="test/0/gone.png")
    write_manifest(old.dataset, records)
    request = EvaluateRequest(str(old.path), world.runs, out=tmp_path / "out")
    for max_bad, allowed in ((None, ""), (0.001, "; --max-bad allows 0.001 of them")):
        with pytest.raises(DataError, match=f"1 of the run's 178 test images cannot be read .*gone.*{allowed}$"):
            evaluate_run(replace(request, max_bad=max_bad), Reporter())
    listener = Listener()
    assert evaluate_run(replace(request, max_bad=0.1), listener).as_json()["examples"] == 177
    assert any("gone.png" in text and text.endswith("they are left out") for text in listener.warnings)


def test_a_full_disk_behind_the_cache_is_a_warning(run, digits_folder: Path, tmp_path: Path, monkeypatch) -> None:
    world, _, _ = run
    shutil.copytree(digits_folder / "digits" / "test" / "3", tmp_path / "images" / "3")
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(total=10**9, used=10**9, free=1000))
    listener = Listener()
    request = EvaluateRequest("digits-source", world.runs, data=tmp_path / "images", out=tmp_path / "out")
    assert evaluate_run(request, listener).as_json()["examples"] > 0
    (warning,) = [text for text in listener.warnings if "cache" in text]
    assert "the disk has room for 0.000 GB" in warning
    assert "images are decoded again each time they are read" in warning


@pytest.mark.parametrize("name", ["gone", "x" * 300])
def test_other_images_that_are_not_there_are_looked_for_where_the_command_is_typed(run, name: str) -> None:
    world, _, _ = run
    with pytest.raises(DataError, match=f"--data: '{name}' does not exist") as caught:
        evaluate_run(EvaluateRequest("digits-source", world.runs, data=Path(name)), Reporter())
    assert "the current folder" in str(caught.value.hint)


def test_a_damaged_checkpoint_is_not_evaluated(run, tmp_path: Path) -> None:
    world, folder, _ = run
    broken = tmp_path / "runs" / "digits-source" / folder.name
    shutil.copytree(folder, broken, symlinks=True)
    with (broken / "checkpoints" / "best" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    data = world.samples / "digits-source"
    with pytest.raises(ArtefactError, match="hash its manifest gives"):
        evaluate_run(EvaluateRequest(str(broken), tmp_path / "runs", data=data), Reporter())


def test_the_backend_is_set_up_before_a_keras_set_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.training import backend

    order: list[str] = []

    def stop(source: str) -> None:
        order.append("load")
        raise DataError("no such set here")

    monkeypatch.setattr(backend, "prepare", lambda *_: order.append("prepare"))
    monkeypatch.setattr(keras_datasets, "load", stop)
    (tmp_path / "run.json").write_text(
        json.dumps(
            {
                "status": "running",
                "command": "",
                "config_folder": ".",
                "data": {"fingerprint": "", "images": {}},
                "versions": {},
            }
        )
    )
    config = tmp_path / "config.yaml"
    (tmp_path / "labels.json").write_text('["0", "1"]')
    config.write_text("name: k\ndata: {train: 'keras:mnist', image_size: 32}\nmodel: {base: small_cnn}\n")
    write_manifest(tmp_path / "dataset.csv", [Record("test/00001", "ab" * 32, "1", "test", 28, 28, "")])
    with pytest.raises(DataError):
        StoredRun(RunFolder(tmp_path)).split("test")
    assert order == ["prepare", "load"]
