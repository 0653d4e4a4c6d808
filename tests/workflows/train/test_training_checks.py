"""Trainings that learn nothing, as a user starts them: each is refused, or warns with the key to change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.digits import write_folders
from tests.listener import Listener
from transfercli.errors import ConfigError

SCRATCH = ("transfer.strategy=scratch",)


@pytest.fixture
def small(world, digits):
    """A config of 60 + 60 real digits in batches of 8."""
    rows = {label: np.flatnonzero(digits.labels == int(label))[:60].tolist() for label in "01"}
    write_folders(world.folder / "small", rows)
    data = {"train": "small", "batch_size": 8, "split": "stratified", "validation": 0.2, "test": 0.2}
    return world.config("small", "digits", data=data, training={"epochs": 3})


def trained(world, config: Path, *overrides: str) -> tuple[list[dict], list[str]]:
    listener = Listener()
    result = world.train("finetune", config, listener, overrides=(*SCRATCH, *overrides))
    lines = (Path(result["run"]) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], listener.warnings


def test_a_sound_training_gets_no_warning(world, small) -> None:
    _, warnings = trained(world, small, "training.schedule.name=cosine")
    assert warnings == []


def test_accumulation_follows_the_schedule_to_its_end_and_every_epoch_trains(world, small) -> None:
    few, many = (
        trained(
            world, small, "training.schedule.name=cosine", "data.batch_size=4", f"training.optimizer.accumulate={n}"
        )
        for n in (4, 64)
    )
    rates = [line["learning_rate"] for line in few[0]]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    assert len({line["loss"] for line in many[0]}) == 3
    assert any(text.startswith("training.optimizer.accumulate is 64, but an epoch has") for text in many[1])


def test_a_warm_up_longer_than_the_training_is_refused_before_it_starts(world, small) -> None:
    with pytest.raises(ConfigError, match=r"training.schedule.warmup_epochs: is longer than the training"):
        trained(world, small, "training.schedule={name: cosine, warmup_epochs: 50}")
    assert not list(world.runs.glob("small/*/run.json"))


def test_a_loss_that_exploded_and_stayed_finite_is_a_warning(world, small) -> None:
    _, warnings = trained(world, small, "training.optimizer.learning_rate=100")
    (text,) = [text for text in warnings if "worse than that of guessing" in text]
    assert "lower training.optimizer.learning_rate" in text


def test_a_rate_that_moves_nothing_is_a_warning(world, small) -> None:
    _, warnings = trained(world, small, "training.optimizer.learning_rate=1e-30")
    assert any("raise training.optimizer.learning_rate" in text or "guessing" in text for text in warnings)


def test_eight_images_in_three_splits_are_a_warning(world, digits) -> None:
    write_folders(world.folder / "eight", {"0": 4, "1": 4})
    _, warnings = trained(world, world.config("eight", "digits", data={"train": "eight"}, training={"epochs": 1}))
    assert any(text.startswith("there are only 4 training, 2 validation, 2 test images") for text in warnings)
