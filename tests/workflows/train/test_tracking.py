"""A training and its evaluations leave TensorBoard's files in the run; a missing MLflow is told before any work."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.event_reading import events_of
from transfercli.errors import Interrupted, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.training import history
from transfercli.training.tracking import mlflow_store

NAME = "events.out.tfevents.0000000001"


def values_of(run: RunFolder, part: str, tag: str) -> list[tuple[int, float]]:
    events = events_of(run.tensorboard / part / NAME)
    return [(event.step, value.simple_value) for event in events for value in event.summary.value if value.tag == tag]


def test_every_epoch_of_a_training_is_a_step_of_its_curves(source: Any) -> None:
    world, result = source
    run = RunFolder(world.folder / result["run"])
    lines = history.read(run.metrics)
    for part, key in (("train", "loss"), ("validation", "val_loss")):
        expected = [(line["epoch"], pytest.approx(line[key], rel=1e-5)) for line in lines]
        assert values_of(run, part, "epoch_loss") == expected


def test_an_evaluation_is_a_part_of_its_own(source: Any) -> None:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, result = source
    found = evaluate_run(EvaluateRequest(result["run"], world.runs, "validation"), Reporter()).as_json()
    run = RunFolder(world.folder / result["run"])
    ((step, accuracy),) = values_of(run, "evaluation-validation", "evaluation_accuracy")
    assert (step, accuracy) == (result["best_epoch"], pytest.approx(found["metrics"]["accuracy"], rel=1e-5))
    assert values_of(run, "evaluation-validation", "confusion_matrix")


def test_without_mlflow_a_named_store_ends_the_call_before_anything_is_done(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_store, "find_spec", lambda _: None)
    path = world.config("told", "no-such-data", tracking={"mlflow": "store"})
    with pytest.raises(UsageError, match="MLflow is not installed"):
        world.train("pretrain", path)
    assert not (world.runs / "told" / "splits.csv").exists()


class Noting:
    """A tracker that keeps the epochs and the final status."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def epoch(self, line: Any) -> None:
        self.heard.append(line["epoch"])

    def end(self, status: str) -> None:
        self.heard.append(status)


@pytest.mark.parametrize(
    "error, status", [(None, "FINISHED"), (Interrupted(15), "KILLED"), (ValueError(), "FAILED")], ids=str
)
def test_whatever_ends_a_training_is_told(
    error: Exception | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from transfercli.workflows.train import tracking

    noting, kept = Noting(), []
    monkeypatch.setattr(tracking, "_trackers", lambda *_: [noting])
    setup = SimpleNamespace(trainer=SimpleNamespace(keep=lambda *given: kept.append(given)))

    def train() -> None:
        with tracking.track_training(None, setup, Reporter()):  # type: ignore[arg-type]
            setup.trainer.keep(SimpleNamespace(line={"epoch": 1}), None, True)
            if error is not None:
                raise error

    if error is None:
        train()
    else:
        with pytest.raises(type(error)):
            train()
    assert noting.heard == [1, status]
    assert len(kept) == 1
