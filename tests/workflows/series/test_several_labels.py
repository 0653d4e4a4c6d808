"""Folds, seeds, sweeps and comparisons of runs with several labels per image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import average_precision_score

from tests.listener import Listener
from tests.scenes import write_scenes
from transfercli.errors import UsageError
from transfercli.runs.folder import RunFolder
from transfercli.workflows.stored_run import StoredRun


class Scenes:
    """A folder of scenes, a config on it, and a run on single digits beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs, self.config = folder, folder / "runs", folder / "scenes.yaml"
        write_scenes(folder / "images", range(80))
        self.write()

    def write(self, **more: Any) -> None:
        data = {"train": "images/labels.csv", "columns": {"label": "labels"}, "label_separator": ";", "image_size": 32}
        content = {
            "name": "scenes",
            "data": data,
            "model": {"base": "small_cnn", "weights": "none"},
            "transfer": {"strategy": "scratch"},
            "training": {"epochs": 1, "optimizer": {"learning_rate": 0.005}},
            "compute": {"cache_dir": "cache"},
            **more,
        }
        self.config.write_text(yaml.safe_dump(content))

    def train(self, run_id: str, *overrides: str, folds: int | None = None) -> Any:
        from transfercli.workflows.series.series import train_run_or_series
        from transfercli.workflows.train.job import TrainRequest

        request = TrainRequest("finetune", self.config, self.runs, overrides, run_id)
        return train_run_or_series(request, folds, Listener())


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    found = Scenes(tmp_path_factory.mktemp("scenes"))
    found.train("first")
    found.train("second", "training.epochs=4", "data.batch_size=8")
    return found


@pytest.mark.slow
def test_folds_are_evaluated_on_their_pooled_answers(scenes: Scenes, capsys: pytest.CaptureFixture[str]) -> None:
    from transfercli.cli.ui.series_tables import show_series

    result = scenes.train("cv", "data.columns.split=none", folds=3)
    evaluation = result.out_of_fold
    assert result.as_json()["status"] == "completed"
    assert set(result.metrics) >= {"map", "macro_f1", "hamming_loss"}
    assert [row["label"] for row in evaluation.per_class] == ["0", "1", "2"]
    pooled = [StoredRun(RunFolder(one.run)).held_out for one in result.runs]
    assert evaluation.examples == sum(len(answers) for answers in pooled if answers) > 40
    first = pooled[0]
    assert first
    aps = [average_precision_score(t, z) for t, z in zip(first.targets.T == 1, first.logits.T, strict=True)]
    assert result.metrics["map"].values[0] == pytest.approx(np.mean(aps), abs=0.05)  # calibration may tie
    show_series(result)
    shown = capsys.readouterr().out
    assert shown.count("map") >= 3  # of each fold, over runs and out of fold
    pooled_lines = shown.partition("out of fold")[2].splitlines()
    assert [line.split()[:2] for line in pooled_lines if line.startswith("map ")] == [
        ["map", f"{evaluation.metrics['map']:.4f}"]
    ]


def test_seeds_have_a_spread_of_the_metrics_of_labels(scenes: Scenes) -> None:
    result = scenes.train("two", "training.seeds=[1, 2]")
    assert result.metrics["map"].standard_deviation > 0


def test_runs_are_compared_by_map_and_each_label(scenes: Scenes, capsys: pytest.CaptureFixture[str]) -> None:
    from transfercli.workflows.compare.compare import compare_runs
    from transfercli.workflows.compare.comparison import CompareRequest

    names = ("scenes/first", "scenes/second", "scenes/first")
    for split in ("validation", "test"):
        result = compare_runs(CompareRequest(names[:2], scenes.runs, split), Listener()).as_json()
        (pair,) = result["comparisons"]
        assert pair["metric"] == "map"
        assert pair["examples"] > 10
        assert {"map", "hamming_loss", "ap[1]", "recall[2]"} <= set(pair["metrics"])
        assert pair["metrics"]["map"]["interval"]
    again = compare_runs(CompareRequest(names[:2], scenes.runs, "test", "subset_accuracy"), Listener()).as_json()
    pair = again["comparisons"][0]
    assert pair["p_value"] == pair["mcnemar"]["p_value"]
    with pytest.raises(UsageError, match="--metric mcc: scenes/first gives several labels per image, and this is no"):
        compare_runs(CompareRequest(names[:2], scenes.runs, "test", "mcc"), Listener())


def test_runs_of_two_tasks_are_not_compared_and_commands_that_cannot_work_say_so(scenes: Scenes, source: Any) -> None:
    from transfercli.workflows.compare.attribution import WhyRequest
    from transfercli.workflows.compare.compare import compare_runs
    from transfercli.workflows.compare.comparison import CompareRequest
    from transfercli.workflows.compare.why import explain_difference
    from transfercli.workflows.data.next import NextRequest, data_next
    from transfercli.workflows.recommend.recommend import RecommendRequest, recommend_base

    first, second = (str(scenes.runs / "scenes" / name) for name in ("first", "second"))
    with pytest.raises(UsageError, match=r"first gives an image several labels, and .* one class"):
        compare_runs(CompareRequest((first, source[1]["run"]), scenes.runs), Listener())
    with pytest.raises(UsageError, match="runs why works with one class per image so far"):
        explain_difference(WhyRequest(first, second, scenes.runs), Listener())
    with pytest.raises(UsageError, match=r"--metric map: .* gives one class per image, and this is no metric of that"):
        explain_difference(WhyRequest(source[1]["run"], source[1]["run"], scenes.runs, "map"), Listener())
    with pytest.raises(UsageError, match="data next works with one class per image so far"):
        data_next(NextRequest(first, scenes.folder / "images", scenes.runs, 5), Listener())
    with pytest.raises(UsageError, match="recommend compares bases for one class per image so far"):
        recommend_base(RecommendRequest(scenes.config, scenes.runs), Listener())


@pytest.mark.slow
def test_a_run_goes_on_finds_a_rate_drifts_and_is_promoted(scenes: Scenes) -> None:
    from transfercli.workflows.data.drift import DriftRequest, data_drift
    from transfercli.workflows.retrain.promote import PromoteRequest, promote
    from transfercli.workflows.train.continuation import ContinueRequest
    from transfercli.workflows.train.find_rate import FindRateRequest, find_learning_rate
    from transfercli.workflows.train.train import train

    longer = train(ContinueRequest("finetune", "scenes/first", 1, scenes.runs, run_id="longer"), Listener())
    assert longer.as_json()["status"] == "completed"
    rates = find_learning_rate(FindRateRequest("finetune", scenes.config, scenes.runs), Listener())
    assert len(rates.points) > 10
    drift = data_drift(DriftRequest("scenes/first", scenes.folder / "images", scenes.runs), Listener())
    assert not drift.drifted
    promote(PromoteRequest("scenes/first", None, scenes.runs), Listener())
    assert (
        promote(PromoteRequest("scenes/second", None, scenes.runs), Listener()).as_json()["figures"]["metric"] == "map"
    )


@pytest.mark.parametrize("how", ["average", "soup"])
def test_runs_are_merged_and_an_average_has_the_mean_probability_of_each_label(scenes: Scenes, how: Any) -> None:
    from transfercli.workflows.merge.merge import MergeRequest, merge_runs

    scenes.train("third", "training.epochs=2", "data.batch_size=8")
    names = ("scenes/second", "scenes/third")
    result = merge_runs(MergeRequest(names, f"merged-{how}", scenes.runs, how), Listener())
    merged = StoredRun(RunFolder(result.run))
    members = [StoredRun(RunFolder(scenes.runs / name)) for name in names]
    split = merged.split("test").at(np.arange(3))  # as many images as labels
    if how == "average":
        logits = merged.logits(split).astype(np.float64)
        mean = np.mean([member.probabilities(split) for member in members], axis=0)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), mean, atol=1e-6)
        np.testing.assert_allclose(
            merged.classifier.predictor.predict(split.images.read(np.arange(3)), verbose=0),
            merged.probabilities(split),
            atol=1e-5,
        )
    assert merged.held_out is not None
    assert result.metrics["val_map"] == pytest.approx(
        average_precision_score(merged.held_out.targets == 1, merged.held_out.logits), abs=1e-6
    )
    assert result.gains["best_member"]["val_loss"]["merged"] == pytest.approx(result.metrics["val_loss"], abs=1e-5)
    assert result.gains["best_member"]["val_accuracy"]["merged"] == pytest.approx(result.metrics["val_accuracy"])


def test_folds_answer_together_with_the_mean_of_their_probabilities_and_thresholds(scenes: Scenes) -> None:
    from transfercli.workflows.answers import evaluate_answers
    from transfercli.workflows.sweep.looks import _mean_answers

    runs = [StoredRun(RunFolder(scenes.runs / "scenes" / name)) for name in ("first", "second")]
    split = runs[0].split("test")
    mean = _mean_answers(runs, split)
    np.testing.assert_allclose(mean.probabilities, np.mean([run.probabilities(split) for run in runs], axis=0))
    np.testing.assert_allclose(mean.thresholds, np.mean([run.label_trust.thresholds for run in runs], axis=0))
    assert evaluate_answers(mean).metrics["map"] is not None


@pytest.mark.slow
def test_a_sweep_is_won_by_map_with_a_corrected_score(scenes: Scenes) -> None:
    from transfercli.workflows.sweep.result import SweepRequest
    from transfercli.workflows.sweep.sweep import sweep

    space = {"training.optimizer.learning_rate": {"choice": [0.0001, 0.005]}}
    scenes.write(sweep={"trials": 2, "space": space})
    page = scenes.folder / "sweep.html"
    result = sweep(SweepRequest(scenes.config, scenes.runs, report=page), Listener()).as_json()
    assert "map" in page.read_text()
    winner = result["winner"]
    assert result["metric"] == winner["metric"] == "val_map"
    assert winner["naive"] == pytest.approx(max(trial["value"] for trial in result["trials"]), abs=1e-6)
    assert winner["corrected"] is not None
    assert winner["test"]["metrics"]["map"] is not None
    json.dumps(result)
