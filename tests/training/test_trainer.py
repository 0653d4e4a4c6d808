"""Training: what moves, what stays still, and that going on ends with the bits of never having stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.trainers import same, tensors, trainer
from transfercli.config.schema import (
    EarlyStoppingConfig,
    OptimizerConfig,
    RegularizationConfig,
)
from transfercli.errors import ConfigError
from transfercli.training.phases import PROBE, Phase, Solved

EVERY_OPTION = {"ema": 0.9, "accumulate": 3, "clip_norm": 1.0, "name": "sgd"}


@pytest.mark.usefixtures("small_transformers")
@pytest.mark.parametrize(
    "base, optimizer",
    [
        pytest.param("small_cnn", {}, marks=pytest.mark.slow),
        ("small_cnn", EVERY_OPTION),
        pytest.param("tiny_vit", {"name": "adamw"}, marks=pytest.mark.slow),
        pytest.param("tiny_vit", EVERY_OPTION, marks=pytest.mark.slow),
    ],
)
def test_two_trainings_give_the_same_bits_and_a_third_goes_on_in_the_middle_of_a_phase(digits, base, optimizer) -> None:
    phases = [Phase("none", 1, 1e-2), Phase("all", 3, 1e-3, decay=0.75)]
    common = {"optimizer": OptimizerConfig(**optimizer)}
    kept = {}

    def keep(progress, checkpoint, is_best) -> None:
        kept[progress.epoch] = checkpoint

    whole = trainer(digits, phases, base, keep=keep, **common)
    whole.run()
    again = trainer(digits, phases, base, **common)
    again.run()
    assert same(tensors(whole), tensors(again))
    for epoch in (1, 2):  # the end of a phase, and inside one
        resumed = trainer(digits, phases, base, **common)
        resumed.resume(kept[epoch], kept[epoch])
        progress = resumed.run()
        assert progress.epoch == 4
        assert same(tensors(whole), tensors(resumed))


def test_a_frozen_base_does_not_move_and_the_head_does(digits) -> None:
    job = trainer(digits, [Phase("none", 1, 1e-2)])
    before = tensors(job)
    job.run()
    moved = {name.split("/")[0] for name, value in tensors(job).items() if not np.array_equal(value, before[name])}
    assert moved == {"head"}


@pytest.mark.slow
def test_a_fresh_base_goes_on_in_a_later_phase_to_the_same_bits(digits) -> None:
    phases, kept = [Phase("all", 1, 1e-3), Phase("all", 25, 1e-3)], {}

    def keep(progress, checkpoint, is_best) -> None:
        kept[progress.epoch] = checkpoint
        if progress.epoch == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        trainer(digits, phases, "resnet18", keep, fresh=True).run()
    resumed = trainer(digits, phases, "resnet18", keep, fresh=True)
    resumed.resume(kept[2], kept[2])
    whole = kept.pop(3)
    with pytest.raises(InterruptedError):
        resumed.run()
    assert same(whole.model, kept[3].model)


def test_early_stopping_ends_a_phase_and_the_next_starts_from_the_best_epoch(digits) -> None:
    told = []
    job = trainer(
        digits,
        [Phase("none", 5, 1e-30), Phase("none", 2, 1e-30)],
        keep=lambda progress, *_: told.append((progress.phase, progress.epoch)),
        early_stopping=EarlyStoppingConfig(patience=1),
    )
    job.run()
    assert told == [(1, 1), (1, 2), (2, 3), (2, 4)]  # nothing improves at such a rate


def test_a_loss_that_is_no_number_is_told_with_a_way_out(digits) -> None:
    job = trainer(digits, [Phase("all", 3, 1e-3)], regularization=RegularizationConfig(l2=1e38))
    with pytest.raises(ConfigError, match="the training loss became"):
        job.run()


def test_weights_that_the_last_update_spoilt_are_not_kept(digits) -> None:
    kept = []
    one_update = OptimizerConfig(accumulate=4)  # after the last batch, so the training loss is a number
    job = trainer(digits, [Phase("all", 3, 1e38)], keep=lambda *_: kept.append(1), optimizer=one_update)
    with pytest.raises(ConfigError, match="the validation loss became nan in epoch 1"):
        job.run()
    assert not kept


def test_a_blend_starts_from_what_was_trained_also_where_the_probe_was_better(digits) -> None:
    seen = []
    job = trainer(
        digits,
        [PROBE, Phase("none", 1, 10.0), Phase("none", 1, 0.0, "blend")],
        early_stopping=EarlyStoppingConfig(patience=1),
    )
    whole = job.set_up_phase(PROBE)
    solutions = {"probe": lambda: Solved({}), "blend": lambda: seen.append(tensors(job)) or Solved({})}
    job.set_up_phase = lambda phase: replace(whole, solve=solutions.get(phase.kind))
    probe = tensors(job)
    job.run()
    assert job.progress.best_epoch == 0
    assert not same(seen[0], probe)


@pytest.mark.usefixtures("small_transformers")
@pytest.mark.parametrize("base", ["small_cnn", "tiny_vit"])
def test_bfloat16_steps_train_float32_variables(digits, base) -> None:
    job = trainer(digits, [Phase("all", 1, 1e-3)], base, precision="bfloat16")
    job.run()
    assert {str(value.dtype) for value in tensors(job).values()} == {"float32"}
    assert {layer.compute_dtype for layer in job.classifier.base.layers} == {"float32"}
    exact = trainer(digits, [Phase("all", 1, 1e-3)])
    exact.run()
    assert not same(tensors(job), tensors(exact))


def test_a_plateau_lowers_the_rate_and_a_resumed_run_ends_with_the_same_bits(digits) -> None:
    kept, lines = [], []

    def keep(progress, checkpoint, is_best) -> None:
        kept.append(checkpoint)
        lines.append(dict(progress.line))

    def job(keep=None):
        schedule = {"name": "plateau", "patience": 1, "gamma": 0.5}
        phases = [Phase("none", 2, 0.1), Phase("all", 5, 0.01)]  # the second begins at its own rate
        found = trainer(digits, phases, keep=keep, schedule=schedule)
        measured = found._validate
        losses = [0.5, 0.6, 1.0, 0.9, 0.95, 0.91, 0.92]  # of the epochs
        found._validate = lambda *given: measured(*given) | {"val_loss": losses[found.progress.epoch]}
        return found

    straight, resumed = job(keep), job()
    straight.run()
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.01, 0.005, 0.0025])
    resumed.resume(kept[4], kept[0])  # after the epoch that lowered the rate
    resumed.run()
    assert same(tensors(resumed), tensors(straight))
    assert resumed.progress.line["learning_rate"] == lines[-1]["learning_rate"]
