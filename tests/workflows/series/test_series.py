"""Cross-validation in one command, through whole runs: its folds, its predictions out of fold, and its files."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import accuracy_score, f1_score, log_loss

from tests.digits import all_digits, write_folders
from tests.listener import Listener
from transfercli.errors import ArtefactError, ConfigError, Interrupted, UsageError
from transfercli.evaluation.result import metrics_of
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import resume_command
from transfercli.runs.lookup import find_run
from transfercli.workflows.evaluate.request import EvaluateRequest
from transfercli.workflows.series import series
from transfercli.workflows.series.evaluate import evaluate_run_or_series
from transfercli.workflows.series.out_of_fold import pool_answers
from transfercli.workflows.series.result import SeriesEstimate, SeriesResult
from transfercli.workflows.series.series import train_run_or_series
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest

FOLDS = 3
METRICS = ("accuracy", "macro_f1", "log_loss")


@dataclass(frozen=True)
class Place:
    """A config on 40 images each of the digits 5, 6 and 7, in groups of about three, and its runs folder."""

    config: Path
    runs: Path

    def request(self, run_id: str | None = None, *overrides: str, **more: Any) -> TrainRequest:
        return TrainRequest("finetune", self.config, self.runs, overrides, run_id, **more)

    def folds(self, request: TrainRequest, reporter: Reporter | None = None) -> Any:
        return train_run_or_series(request, FOLDS, reporter or Reporter())

    def run(self, run_id: str) -> StoredRun:
        return StoredRun(RunFolder(self.runs / "cv" / run_id))

    def predictions(self, series_id: str) -> list[dict[str, str]]:
        with (self.runs / "cv" / "folds" / series_id / "predictions.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def new_place(folder: Path, parent: Path) -> Place:
    rows = {str(digit): np.flatnonzero(all_digits().labels == digit)[:40].tolist() for digit in (5, 6, 7)}
    data = write_folders(folder / "data", rows)
    config = {
        "name": "cv",
        "data": {"train": str(data), "image_size": 32, "group": r"(\d+)\d\.png"},
        "model": {"base": "small_cnn", "weights": {"run": str(parent)}},
        "transfer": {"strategy": "linear_probe"},
        "training": {"refit": True},
        "compute": {"cache": "require", "cache_dir": str(folder / "cache"), "precision": "bfloat16"},
    }
    path = folder / "cv.yaml"
    path.write_text(yaml.safe_dump(config))
    return Place(path, folder / "runs")


@pytest.fixture(scope="module")
def trained(source: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, SeriesResult, Listener, list[int]]:
    """All folds of a solved head on a frozen base, whose config asks for a refit.

    The last part has the number of the fold for each pass through the frozen base.
    """
    from transfercli.transfer.features import features, prefix

    place, listener = new_place(tmp_path_factory.mktemp("folds"), Path(source[1]["run"])), Listener()
    passes: list[int] = []

    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any) -> Any:
            passes.append(sum(text.startswith("fold ") for text in listener.infos))
            return function(*args)

        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "compute_features", counting(features.compute_features))
        patch.setattr(prefix, "relative_difference", counting(prefix.relative_difference))
        result = place.folds(place.request("all"), listener)
    return place, result, listener, passes


def test_the_frozen_layers_of_all_folds_are_stored_once(trained: Any) -> None:
    place = trained[0]
    files = [place.run(f"all-fold{fold}").folder.checkpoints / "frozen.safetensors" for fold in range(1, FOLDS + 1)]
    assert len({file.stat().st_ino for file in files}) == 1


def test_every_image_outside_the_test_split_is_predicted_by_the_run_that_did_not_learn_from_it(trained: Any) -> None:
    place, result, *_ = trained
    rows = {row["path"]: row for row in place.predictions("all")}
    runs = [place.run(f"all-fold{fold}") for fold in range(1, FOLDS + 1)]
    images = runs[0].images
    assert rows.keys() == {image.path for image in images if image.split != "test"}
    for run in runs:
        assert not run.record.refitted
        held = run.held_out
        assert held is not None
        assert {*held.paths} == {image.path for image in run.images if image.split == "validation"}
        for path, logits in zip(held.paths, held.logits, strict=True):
            assert rows[path]["predicted"] == run.labels[logits.argmax()]
    assert {image.path for image in images if image.split == "test"} == {
        image.path for image in runs[2].images if image.split == "test"
    }
    assert [run.result.status for run in result.runs] == ["completed"] * FOLDS


def test_a_group_is_in_one_fold(trained: Any) -> None:
    place = trained[0]
    fold_of: dict[str, set[int]] = {}
    for fold in range(1, FOLDS + 1):
        for image in place.run(f"all-fold{fold}").images:
            if image.split == "validation":
                fold_of.setdefault(image.group, set()).add(fold)
    assert len(fold_of) > FOLDS
    assert all(len(folds) == 1 for folds in fold_of.values())


def test_images_and_features_are_read_and_computed_once(trained: Any) -> None:
    first, *others = [run.result.cache for run in trained[1].runs]
    assert first["images"]["misses"] == 120
    assert first["features"]["misses"] == len(trained[0].predictions("all"))
    for cache in others:
        assert cache["images"] == {"hits": 120, "misses": 0}
        assert cache["features"]["misses"] == 0
        assert cache["features"]["hits"] > 0
    assert {*trained[3]} == {1}, "no other fold passes an image through the base"


def test_mean_and_spread_and_the_score_out_of_fold_are_those_of_the_predictions(trained: Any) -> None:
    place, result, *_ = trained
    rows, labels = place.predictions("all"), ("5", "6", "7")
    truth = np.array([row["label"] for row in rows])
    probabilities = np.array([[float(row[f"p:{label}"]) for label in labels] for row in rows])
    right = truth == np.array([row["predicted"] for row in rows])
    validated = [{*place.run(f"all-fold{fold}").held_out.paths} for fold in range(1, FOLDS + 1)]
    accuracies = [right[[row["path"] in paths for row in rows]].mean() for paths in validated]
    spread = result.metrics["accuracy"].as_json()
    assert spread["values"] == pytest.approx(accuracies)
    assert spread["mean"] == pytest.approx(np.mean(accuracies))
    assert spread["standard_deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    assert (spread["min"], spread["max"]) == pytest.approx((min(accuracies), max(accuracies)))
    pooled, predicted = result.out_of_fold.metrics, [row["predicted"] for row in rows]
    assert pooled["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert pooled["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert pooled["log_loss"] == pytest.approx(log_loss(truth, probabilities, labels=labels), rel=1e-4)
    images = place.run("all-fold1").images
    assert result.out_of_fold.groups == len({image.group for image in images if image.split != "test"})


def test_images_that_an_ancestor_learnt_from_are_in_no_mean_of_folds(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, result, *_ = trained
    runs = [place.run(f"all-fold{fold}") for fold in range(1, FOLDS + 1)]
    runs[0].record.content["learnt_before"] = {"validation": {"train": 3}}
    runs[1].record.content["learnt_before"] = {"validation": {"validation": 40}}
    monkeypatch.setattr(series, "not_learnt_before", lambda _, paths, __: np.arange(len(paths)) < 10)
    metrics = series._fold_metrics(runs)
    assert metrics[1:] == [dict(member.metrics) for member in result.runs[1:]]
    predictions = pool_answers(runs).predictions().of(np.arange(10))
    assert metrics[0] == metrics_of(predictions) != dict(result.runs[0].metrics)
    monkeypatch.setattr(series, "not_learnt_before", lambda _, paths, __: np.zeros(len(paths), bool))
    assert set(series._fold_metrics(runs)[0].values()) == {None}


def test_the_folder_of_the_folds_names_its_runs_and_no_folder_of_this_machine(trained: Any) -> None:
    place, result, *_ = trained
    folder = place.runs / "cv" / "folds" / "all"
    assert {path.name for path in folder.iterdir()} == {
        *("folds.json", "metrics.json", "predictions.csv", "confusion_matrix.png", "report.html")
    }
    content = json.loads((folder / "folds.json").read_text())
    assert [row["run_id"] for row in content["runs"]] == ["all-fold1", "all-fold2", "all-fold3"]
    assert content["status"] == "completed"
    assert content["metrics"]["accuracy"] == result.metrics["accuracy"].as_json()
    record = json.loads((place.runs / "cv" / "all-fold2" / "run.json").read_text())
    assert record["folds"] == {"id": "all", "fold": 2, "of": 3}
    for name in ("folds.json", "metrics.json", "report.html"):
        assert str(place.runs.parent) not in (folder / name).read_text()


def test_each_run_has_the_lines_of_its_own_training_in_its_log(trained: Any) -> None:
    listener = trained[2]
    assert [log.parent.name for log in listener.logs] == ["all-fold1", "all-fold2", "all-fold3"]
    assert [text for text in listener.infos if text.startswith("fold ")] == [
        *("fold 1 of 3: all-fold1", "fold 2 of 3: all-fold2", "fold 3 of 3: all-fold3")
    ]


def test_a_run_of_a_fold_is_never_the_latest_run(trained: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(trained[0].runs, runs, symlinks=True)
    assert not (runs / "cv" / "latest").is_symlink()
    with pytest.raises(ArtefactError, match="no completed run") as caught:
        find_run("cv", runs)
    assert "runs of folds are no final model" in str(caught.value.hint)
    assert find_run("cv/all-fold2", runs).run_id == "all-fold2"
    place = replace(trained[0], runs=runs)
    result = train_run_or_series(place.request("one"), None, Reporter())
    assert find_run("cv", runs).path == result.run
    assert StoredRun(find_run("cv@latest", runs)).record.refitted


def test_a_name_of_folds_is_no_run_and_says_which_runs_it_names(trained: Any) -> None:
    with pytest.raises(ArtefactError, match="no run 'cv/all'") as caught:
        find_run("cv/all", trained[0].runs)
    assert "cv/all-fold1, cv/all-fold2, cv/all-fold3" in str(caught.value.hint)


def test_a_fold_is_the_run_that_its_own_command_trains(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")
    overrides = ("data.folds=3", "data.fold=2", "training.refit=null")
    train_run_or_series(place.request("alone", *overrides), None, Reporter())
    for name in ("held_out.safetensors", "checkpoints/best/model.safetensors"):
        alone, fold = (
            runs / "cv" / run / name for runs, run in ((place.runs, "alone"), (trained[0].runs, "all-fold2"))
        )
        assert alone.read_bytes() == fold.read_bytes()


def test_started_again_it_trains_nothing_that_is_complete(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")
    shutil.copytree(trained[0].runs, place.runs, symlinks=True)
    listener = Listener()
    again = place.folds(place.request("all"), listener)
    assert listener.epochs == []
    assert again.metrics == trained[1].metrics
    with pytest.raises(ConfigError, match="another config"):
        place.folds(place.request("all", "seed=7"))
    with pytest.raises(UsageError, match="is of folds"):
        train_run_or_series(place.request("all"), None, Reporter())
    with pytest.raises(UsageError, match="is a run"):
        place.folds(place.request("all-fold1"))


@pytest.mark.slow
def test_a_stop_keeps_the_folds_and_names_the_command_that_goes_on(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")

    class Stopping(Listener):
        def attach_log(self, path: Path) -> None:
            super().attach_log(path)
            self.stop_at = (lambda _: True) if path.parent.name == "all-fold2" else None

    with pytest.raises(Interrupted) as caught:
        place.folds(place.request("all"), Stopping())
    assert f"finetune {place.config} --folds 3 --run-id all" in str(caught.value.hint)
    assert [place.run(f"all-fold{fold}").status for fold in (1, 2)] == ["completed", "interrupted"]
    stopped = RunFolder(place.run("all-fold2").path)
    assert "--folds" in resume_command(stopped, place.runs)
    assert "--resume" not in resume_command(stopped, place.runs)
    assert not (place.runs / "cv" / "all-fold3").exists()
    with pytest.raises(ArtefactError, match=r"1 of 3 folds of cv/all are complete") as incomplete:
        evaluate_run_or_series(EvaluateRequest("cv/all", place.runs), Reporter())
    assert "--folds 3 --run-id all" in str(incomplete.value.hint)
    before = (place.runs / "cv" / "all-fold1" / "run.json").read_bytes()
    assert place.folds(place.request("all")).metrics == trained[1].metrics
    assert (place.runs / "cv" / "all-fold1" / "run.json").read_bytes() == before


def test_a_fold_that_fails_leaves_the_others_and_is_named(trained: Any, tmp_path: Path) -> None:
    from transfercli.cli.commands.train import RunsFailed
    from transfercli.cli.runner import exit_code

    place = replace(trained[0], runs=tmp_path / "runs")

    class Failing(Listener):
        def attach_log(self, path: Path) -> None:
            failing = path.parent.name == "all-fold2"
            self.stop_at, self.error = (lambda _: failing), ConfigError("the loss is not finite")

    listener = Failing()
    result = place.folds(place.request("all"), listener)
    assert [run.as_json()["status"] for run in result.runs] == ["completed", "failed", "completed"]
    assert result.runs[1].as_json()["failure"] == {"kind": "config", "message": "the loss is not finite"}
    assert any("fold 2 of 3 failed" in text for text in listener.warnings)
    assert result.out_of_fold.examples == len(place.predictions("all"))
    assert len(result.metrics["accuracy"].values) == 2
    error = RunsFailed(result, result.failure)
    assert exit_code(error) == 3
    assert "1 of 3 folds failed" in error.message
    assert error.result.as_json()["error"]["code"] == 3


def test_evaluate_takes_the_name_of_the_folds(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")
    shutil.copytree(trained[0].runs, place.runs, symlinks=True)
    test = evaluate_run_or_series(EvaluateRequest("cv/all", place.runs, minimums=("accuracy=0.99",)), Reporter())
    content = test.as_json()
    values = [run["metrics"]["accuracy"] for run in content["runs"]]
    assert content["spread"]["accuracy"]["values"] == values
    assert content["metrics"]["accuracy"] == pytest.approx(np.mean(values))
    (gate,) = content["gates"]
    assert gate["value"] == content["metrics"]["accuracy"]
    assert gate["passed"] == (np.mean(values) >= 0.99)
    for fold in range(1, FOLDS + 1):
        stored = json.loads((place.runs / "cv" / f"all-fold{fold}" / "evaluation/test/metrics.json").read_text())
        assert stored["metrics"]["accuracy"] == values[fold - 1]
    request = EvaluateRequest("cv/all", place.runs, "validation", minimums=("accuracy=0.01",))
    pooled = evaluate_run_or_series(request, Reporter()).as_json()
    assert pooled["metrics"] == trained[1].out_of_fold.metrics
    assert pooled["examples"] == len(place.predictions("all"))
    assert pooled["gates"][0]["value"] == pooled["metrics"]["accuracy"]
    assert (pooled["series"], pooled["kind"]) == ("cv/all", "folds")


def test_a_dry_run_counts_every_fold_and_writes_nothing(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")
    estimate = place.folds(place.request("all", dry_run=True))
    assert isinstance(estimate, SeriesEstimate)
    content, one = estimate.as_json(), estimate.run.as_json()
    assert (content["runs"], content["kind"], content["run"]) == (3, "folds", None)
    assert content["run_bytes"] == 3 * one["run_bytes"]
    assert content["seconds"]["features"] == one["seconds"]["features"]
    assert not place.runs.exists()


def test_a_seed_draws_everything_but_the_splits(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")
    overrides = ("training.seeds=[3, 4]", "data.split=stratified", "transfer.strategy=feature_extraction")
    more = ("training.refit=null", "training.epochs=1")
    result = train_run_or_series(place.request("s", *overrides, *more), None, Reporter())
    assert isinstance(result, SeriesResult)
    assert (result.kind, result.out_of_fold) == ("seeds", None)
    runs = [place.run(f"s-seed{seed}") for seed in (3, 4)]
    assert [run.config.seed for run in runs] == [3, 4]
    assert [run.config.training.seeds for run in runs] == [None, None]
    assert runs[0].images == runs[1].images
    assert runs[0].held_out.paths == runs[1].held_out.paths
    assert not np.array_equal(runs[0].held_out.logits, runs[1].held_out.logits)
    values = [float((run.held_out.logits.argmax(axis=1) == run.held_out.targets).mean()) for run in runs]
    assert result.metrics["accuracy"].as_json()["values"] == pytest.approx(values)
    record = json.loads((place.runs / "cv" / "s-seed4" / "run.json").read_text())
    assert record["seeds"] == {"id": "s", "seed": 4}
    assert (place.runs / "cv" / "seeds" / "s" / "seeds.json").is_file()
    assert find_run("cv", place.runs).run_id == "s-seed4"


def test_a_solved_head_says_that_a_seed_changes_little(trained: Any, tmp_path: Path) -> None:
    place, listener = replace(trained[0], runs=tmp_path / "runs"), Listener()
    train_run_or_series(place.request("s", "training.seeds=[3, 4]"), None, listener)
    assert any("the head is solved" in text for text in listener.warnings)


def test_seeds_and_folds_together_are_refused(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")
    with pytest.raises(ConfigError, match=r"training\.seeds cannot be combined with --folds"):
        place.folds(place.request("all", "training.seeds=[0, 1]"))
    with pytest.raises(UsageError, match="--folds needs CONFIG"):
        place.folds(TrainRequest("finetune", None, place.runs, resume="cv/all-fold1"))
    assert not place.runs.exists()


def test_a_trial_of_a_search_is_judged_by_folds_and_can_be_ended_early(trained: Any, tmp_path: Path) -> None:
    from transfercli.workflows.series.train import train_folds

    place, marks = replace(trained[0], runs=tmp_path / "runs"), {"sweep": {"id": "w", "trial": 7}}
    asked = []
    result = train_folds(
        place.request("w-007"), FOLDS, Reporter(), marks=marks, go_on=lambda one: asked.append(one) or len(asked) < 2
    )
    assert [member.run.run_id for member in result.members] == ["w-007-fold1", "w-007-fold2"]
    assert result.failure is None
    record = json.loads((place.runs / "cv" / "w-007-fold2" / "run.json").read_text())
    assert record["sweep"] == {"id": "w", "trial": 7}
    assert record["folds"] == {"id": "w-007", "fold": 2, "of": 3}
    assert result.out_of_fold is not None
    paths = [path for fold in (1, 2) for path in place.run(f"w-007-fold{fold}").held_out.paths]
    assert list(result.out_of_fold.answers.paths) == paths


def test_a_command_that_trains_one_run_refuses_several_seeds(trained: Any, tmp_path: Path) -> None:
    from transfercli.workflows.train.job import resolve_job

    place = replace(trained[0], runs=tmp_path / "runs")
    with pytest.raises(ConfigError, match=r"training\.seeds: \[0, 1\] trains one run a seed"):
        resolve_job(place.request("one", "training.seeds=[0, 1]"))


def test_the_starter_config_can_be_cross_validated(tmp_path: Path, digits_folder: Path) -> None:
    from transfercli.workflows.config.init import init_config
    from transfercli.workflows.series.members import folds_of

    path = tmp_path / "starter.yaml"
    init_config("small_cnn", str(digits_folder / "digits"), path, Reporter())
    series = folds_of(TrainRequest("finetune", path, tmp_path / "runs", run_id="cv"), 5)
    assert [series.run_id(member) for member in series.members] == [f"cv-fold{fold}" for fold in range(1, 6)]


@pytest.mark.slow
def test_killed_between_folds_the_same_command_goes_on_to_the_same_predictions(trained: Any, tmp_path: Path) -> None:
    place = replace(trained[0], runs=tmp_path / "runs")
    words = ["finetune", str(place.config), "--folds", "3", "--run-id", "all", "--runs", str(place.runs), "--json"]
    command = [sys.executable, "-m", "transfercli", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        assert any("fold 2 of 3" in line for line in process.stderr)
        process.stderr.readline()
        process.kill()
    before = (place.runs / "cv" / "all-fold1" / "run.json").read_bytes()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(again.stdout)
    assert (result["format"], result["status"]) == (1, "completed")
    assert result["metrics"]["accuracy"] == trained[1].metrics["accuracy"].as_json()
    assert (place.runs / "cv" / "all-fold1" / "run.json").read_bytes() == before
    assert place.predictions("all") == trained[0].predictions("all")
