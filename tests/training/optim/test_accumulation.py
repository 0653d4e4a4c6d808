"""Gradient accumulation: several batches are one update, in every number that counts updates."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.listener import Listener
from tests.training.trainers import tensors, trainer
from transfercli.config.schema import OptimizerConfig, RegularizationConfig, ScheduleConfig, TrainingConfig
from transfercli.training.optim.optimizers import OPTIMIZERS
from transfercli.training.phases import Phase, PhaseSetup

IMAGES = 45
SCHEDULES = [
    {"name": "cosine"},
    {"name": "cosine", "warmup_epochs": 2},
    {"name": "step", "step_epochs": 2},
    {"name": "exponential", "gamma": 0.1},
]


def trained(digits, size: int, epochs: int = 3, schedule: ScheduleConfig | None = None, **optimizer):
    """Return weights and average of a linear classifier after some epochs on 45 digits in a fixed order."""
    import keras

    from transfercli.data.batching.batches import Batches
    from transfercli.rows import ArrayRows
    from transfercli.training.backend import input_pipeline
    from transfercli.training.compiling import compile_phase

    x = ArrayRows(digits.features[:IMAGES].astype("float32") / 16)
    batches = Batches(x, digits.labels[:IMAGES].astype("int32"), size)
    start = np.random.default_rng(0).normal(0, 0.1, (64, 10)).astype("float32")
    inputs = keras.Input((64,))
    model = keras.Model(inputs, keras.layers.Dense(10)(inputs))
    model.set_weights([start, np.zeros(10, "float32")])
    training = TrainingConfig(
        optimizer=OptimizerConfig(**optimizer),
        schedule=schedule or ScheduleConfig(),
        regularization=RegularizationConfig(l2=1e-3),
    )
    compile_phase(PhaseSetup(model, batches, x), Phase("all", epochs, 0.05), training, SimpleNamespace(task="classify"))
    model.fit(input_pipeline(batches), epochs=epochs, shuffle=False, verbose=0)
    average = [keras.ops.convert_to_numpy(v) for v in model.optimizer.average] if optimizer.get("ema") else []
    return [*model.get_weights(), *average, int(model.optimizer.iterations)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_accumulated_batches_train_to_the_weights_of_one_batch_of_all_their_images(digits, name: str) -> None:
    common = {"name": name, "weight_decay": 0.1, "clip_norm": 0.5}
    schedule = ScheduleConfig(name="cosine", warmup_epochs=1)
    whole = trained(digits, 32, schedule=schedule, **common)  # 2 updates an epoch: 32 and 13 images
    parts = trained(digits, 8, schedule=schedule, accumulate=4, **common)  # 6 batches, the last of 5 images
    assert parts[-1] == whole[-1] == 6
    for one, other in zip(parts[:-1], whole[:-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)


def test_the_moving_average_counts_updates_too(digits) -> None:
    whole, parts = trained(digits, 32, ema=0.9), trained(digits, 8, ema=0.9, accumulate=4)
    assert len(whole) == 5
    for one, other in zip(parts[:-1], whole[:-1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("accumulate", [3, 4, 64])
def test_an_epoch_ends_with_an_update_of_the_images_that_are_left(digits, accumulate: int) -> None:
    """The weights after an epoch are those of one batch of all images if the epoch is one update."""
    parts = trained(digits, 16, epochs=2, accumulate=accumulate, name="sgd")
    whole = trained(digits, IMAGES, epochs=2, name="sgd")
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("accumulate", [2, 4, 64])
def test_the_rates_of_an_accumulated_training_are_those_of_its_schedule(digits, schedule, accumulate: int) -> None:
    """128 images in 4 batches; the rate that an epoch's line holds is that of the epoch's last update."""
    from transfercli.training.optim.schedules import build_schedule

    lines, updates = [], -(-4 // accumulate)
    job = trainer(
        digits,
        [Phase("none", 4, 1e-2)],
        keep=lambda progress, *_: lines.append(progress.line),
        schedule=ScheduleConfig(**schedule),
        optimizer=OptimizerConfig(accumulate=accumulate),
    )
    job.run()
    rate = build_schedule(ScheduleConfig(**schedule), 1e-2, 4, updates)
    expected = [float(rate(epoch * updates - 1)) for epoch in (1, 2, 3, 4)]
    assert [line["learning_rate"] for line in lines] == pytest.approx(expected, rel=1e-6)
    assert all(value > 0 for value in expected)


def test_weights_change_when_an_epoch_has_fewer_batches_than_an_update(digits) -> None:
    losses = []
    job = trainer(
        digits,
        [Phase("all", 3, 1e-2)],
        keep=lambda progress, *_: losses.append(progress.line["val_loss"]),
        optimizer=OptimizerConfig(accumulate=64),
    )
    before = tensors(job)
    job.run()
    moved = {name for name, value in tensors(job).items() if not np.array_equal(value, before[name])}
    assert moved == set(before)
    assert len(set(losses)) == 3


def test_the_number_of_images_of_an_update_is_reported(digits) -> None:
    told = Listener()
    job = trainer(digits, [Phase("none", 1, 1e-2)], optimizer=OptimizerConfig(accumulate=3))
    job.reporter = told
    job.begin_phase()
    assert any(text.endswith(", 96 images per update, 2 updates per epoch") for text in told.infos)
