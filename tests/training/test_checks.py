"""Warnings about plans that cannot train as asked, and about results that cannot be used."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from tests.listener import Listener
from transfercli.config.schema import TrainingConfig
from transfercli.errors import ConfigError
from transfercli.training.checks import still_improving, warn_of_plan, warn_of_result
from transfercli.training.phases import PROBE, Phase
from transfercli.training.progress import Plan

IMAGES = {"train": 320, "validation": 40, "test": 40}


def plan(*epochs: int, **training: Any) -> Plan:
    phases = tuple(Phase("all", count, 1e-2) for count in epochs) or (PROBE,)
    config = TrainingConfig.model_validate({"epochs": sum(epochs) or 20, **training})
    return Plan(phases, config, 0)


def warnings_of_plan(plan: Plan, images: dict[str, int] = IMAGES, batch_size: int = 32) -> list[str]:
    listener = Listener()
    warn_of_plan(plan, batch_size, images, listener)
    return listener.warnings


def line(epoch: int, loss: float, val_loss: float, phase: int = 1, accuracy: float = 0.5) -> dict[str, Any]:
    return {"phase": phase, "epoch": epoch, "loss": loss, "val_loss": val_loss, "val_accuracy": accuracy}


def warnings_of_result(*lines: dict[str, Any], plan: Plan | None = None, best: int | None = None) -> list[str]:
    listener = Listener()
    best_epoch = min(lines, key=lambda line: line["val_loss"])["epoch"] if best is None else best
    warn_of_result(plan or globals()["plan"](len(lines)), lines, best_epoch, (math.log(3), "ln 3"), listener)
    return listener.warnings


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"name": "cosine", "warmup_epochs": 1},
        {"name": "step", "step_epochs": 2},
        {"name": "exponential"},
        {"name": "inverse_sqrt", "warmup_epochs": 2.5},
        {"warmup_epochs": 2},
    ],
)
def test_a_plan_that_can_be_carried_out_gets_no_warning(schedule: dict[str, Any]) -> None:
    assert warnings_of_plan(plan(4, schedule=schedule, optimizer={"accumulate": 4, "ema": 0.999})) == []


def test_a_probe_needs_no_schedule_and_no_batches() -> None:
    unused = {"schedule": {"name": "step", "warmup_epochs": 50}, "optimizer": {"accumulate": 64}}
    assert warnings_of_plan(plan(**unused)) == []


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^training.schedule.warmup_epochs: is longer .* received 50; .* less than 3,"
    ):
        warnings_of_plan(plan(3, schedule={"name": "cosine", "warmup_epochs": 50}))


@pytest.mark.parametrize("warmup, listed", [(3, r"phase 2 \(3 epochs\)"), (8, r"phase 1 \(8 epochs\), phase 2")])
def test_a_warm_up_that_takes_all_of_a_phase_is_a_warning(warmup: int, listed: str) -> None:
    (text,) = warnings_of_plan(plan(8, 3, schedule={"name": "cosine", "warmup_epochs": warmup}))[:1]
    assert text.startswith(f"training.schedule.warmup_epochs is {warmup}, which takes all of ")
    assert re.search(listed, text)
    assert "set warmup_epochs below 3" in text


def test_more_batches_for_an_update_than_an_epoch_has_are_a_warning() -> None:
    (text,) = warnings_of_plan(plan(6, optimizer={"accumulate": 64}), {**IMAGES, "train": 42}, 8)
    assert text == (
        "training.optimizer.accumulate is 64, but an epoch has 6 batches: every epoch is a single update of 42 images;"
        " lower accumulate or data.batch_size"
    )


def test_a_schedule_without_a_step_is_a_warning() -> None:
    (text,) = warnings_of_plan(plan(3, 2, schedule={"name": "step"}))
    assert "set training.schedule.step_epochs (10) below 3, or raise training.epochs" in text
    assert warnings_of_plan(plan(3, 12, schedule={"name": "step"})) == []
    (text,) = warnings_of_plan(plan(1, schedule={"name": "cosine"}, optimizer={"accumulate": 10}))
    assert "never changes by the schedule cosine" in text
    assert "training.optimizer.accumulate" in text


def test_splits_of_few_images_are_a_warning() -> None:
    (text,) = warnings_of_plan(plan(), {"train": 4, "validation": 2, "test": 2})
    assert text.startswith("there are only 4 training, 2 validation, 2 test images: ")
    assert "raise data.validation and data.test" in text
    assert warnings_of_plan(plan(), {"train": 40, "validation": 10}) == []


def test_a_training_that_learnt_gets_no_warning() -> None:
    assert warnings_of_result(line(1, 1.2, 1.0), line(2, 0.9, 0.8)) == []


def test_a_best_loss_worse_than_guessing_is_a_warning() -> None:
    (text,) = warnings_of_result(line(1, 1e18, 472.0), line(2, 1e19, 500.0))
    assert text.startswith("the best validation loss, 472 in epoch 1, is worse than that of guessing (1.10, ln 3)")
    assert text.endswith("lower training.optimizer.learning_rate")
    (text,) = warnings_of_result(line(1, 1.9, 1.8), line(2, 1.7, 1.6))
    assert text.endswith("raise training.epochs")
    (text,) = warnings_of_result(line(1, 0.1, 1.8, accuracy=0.8), line(2, 0.01, 1.9))
    assert "training.early_stopping or training.regularization" in text


def test_a_loss_that_diverged_and_stayed_finite_is_a_warning() -> None:
    (text,) = warnings_of_result(line(1, 0.9, 0.8), line(2, 0.5, 0.4), line(3, 1e33, 700.0))
    assert text.startswith("the training diverged: its loss rose from 0.5 in epoch 2 to 1e+33 in epoch 3, and epoch 2")
    assert "training.optimizer.learning_rate" in text


def test_a_validation_loss_that_never_changes_is_a_warning() -> None:
    (text,) = warnings_of_result(line(1, 1.0, 0.9), line(2, 1.01, 0.9), line(3, 1.02, 0.9))
    assert "raise training.optimizer.learning_rate" in text
    assert warnings_of_result(line(1, 1.0, 0.9)) == []  # one epoch cannot show it
    probe = Plan((PROBE, Phase("all", 1, 1e-3)), TrainingConfig(), 0)
    assert warnings_of_result(line(0, 1.0, 0.9), line(1, 1.0, 0.9, phase=2), plan=probe, best=0) == []


def test_a_loss_that_clearly_fell_in_the_last_gradient_epoch_may_fall_further() -> None:
    def improving(*losses: float, phases: tuple[int, ...] = ()) -> bool:
        numbers = phases or (1,) * len(losses)
        lines = [line(n, 1.0, loss, phase) for n, (loss, phase) in enumerate(zip(losses, numbers, strict=True), 1)]
        return still_improving(Plan((Phase("all", 9, 1e-3), Phase("all", 9, 1e-4), PROBE), TrainingConfig(), 0), lines)

    assert improving(1.0, 0.9)
    assert not improving(1.0, 0.995)
    assert not improving(1.0, 0.8, 0.9)
    assert not improving(1.0)  # one epoch cannot show it
    assert not improving(1.0, 0.9, phases=(1, 2))  # the first epoch of a phase
    assert not improving(1.0, 0.9, 0.8, phases=(1, 1, 3))  # a solution
