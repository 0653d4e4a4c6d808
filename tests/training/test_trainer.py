"""Training: what moves, what stays still, and that going on ends with the bits of never having stopped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transfercli.config.schema import (
    ComputeConfig,
    EarlyStoppingConfig,
    HeadConfig,
    OptimizerConfig,
    RegularizationConfig,
    TrainingConfig,
)
from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.training.phases import PROBE, Phase

LABELS = tuple("01234")


def trainer(digits, phases, base="small_cnn", keep=None, fresh=False, precision="float32", **training):
    from transfercli.data.batching.batches import Batches
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.rows import ArrayRows
    from transfercli.training.backend import prepare
    from transfercli.training.phases import PhaseSetup
    from transfercli.training.progress import Plan
    from transfercli.training.trainer import Trainer

    prepare(ComputeConfig(), 0)
    images, targets = digits
    head = HeadConfig(dropout=0.3)
    classifier = build_classifier(Architecture(base, (32, 32), 3, head, LABELS, batchnorm_trains=fresh))
    batches = Batches(ArrayRows(images[:128]), targets[:128], 32, seed=0)
    whole = PhaseSetup(classifier.model, batches, ArrayRows(images[128:]))
    plan = Plan(tuple(phases), TrainingConfig(**training), 0, precision, fresh)
    return Trainer(classifier, lambda _: whole, targets[128:], plan, Reporter(), keep or (lambda *_: None))


def tensors(trained):
    from transfercli.models.tensor_names import read_tensors

    return read_tensors(trained.classifier)


def same(one, two) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("optimizer", [{}, {"ema": 0.9, "accumulate": 3, "clip_norm": 1.0, "name": "sgd"}])
def test_two_trainings_give_the_same_bits_and_a_third_goes_on_in_the_middle_of_a_phase(digits, optimizer) -> None:
    phases = [Phase("none", 1, 1e-2), Phase("all", 3, 1e-3)]
    common = {"optimizer": OptimizerConfig(**optimizer)}
    kept = {}

    def keep(progress, checkpoint, is_best) -> None:
        kept[progress.epoch] = checkpoint

    whole = trainer(digits, phases, keep=keep, **common)
    whole.run()
    again = trainer(digits, phases, **common)
    again.run()
    assert same(tensors(whole), tensors(again))
    for epoch in (1, 2):  # the end of a phase, and inside one
        resumed = trainer(digits, phases, **common)
        resumed.resume(kept[epoch], kept[epoch])
        progress = resumed.run()
        assert progress.epoch == 4
        assert same(tensors(whole), tensors(resumed))


def test_the_moving_average_is_judged_and_kept_and_the_weights_train_on(digits) -> None:
    kept = []
    job = trainer(
        digits,
        [Phase("all", 2, 1e-2)],
        keep=lambda _, checkpoint, __: kept.append(checkpoint),
        optimizer=OptimizerConfig(ema=0.99),
    )
    start = tensors(job)["head/logits/kernel"]
    job.run()
    first, second = (
        next(v for name, v in one.state.items() if name.startswith("raw/") and v.shape == start.shape) for one in kept
    )
    average = kept[-1].model["head/logits/kernel"]
    assert np.abs(average - start).max() < 0.5 * np.abs(second - start).max()  # it lags behind
    assert np.abs(second - start).max() > 1.2 * np.abs(first - start).max()  # which do not fall back to it
    assert np.array_equal(average, tensors(job)["head/logits/kernel"])


def test_gradients_of_several_batches_are_one_update(digits) -> None:
    job = trainer(digits, [Phase("all", 1, 1e-2)], optimizer=OptimizerConfig(accumulate=2))
    job.run()
    assert int(job.setup.model.optimizer.iterations) == 2  # of four batches


def test_a_frozen_base_does_not_move_and_the_head_does(digits) -> None:
    job = trainer(digits, [Phase("none", 1, 1e-2)])
    before = tensors(job)
    job.run()
    moved = {name.split("/")[0] for name, value in tensors(job).items() if not np.array_equal(value, before[name])}
    assert moved == {"head"}


@pytest.mark.parametrize("unfreeze, fresh, moves", [("all", False, False), ("none", True, False), ("all", True, True)])
def test_batchnorm_statistics_move_only_where_a_fresh_base_trains(digits, unfreeze, fresh, moves) -> None:
    from transfercli.training.frozen import constant_tensors

    job = trainer(digits, [Phase(unfreeze, 1, 1e-3)], base="resnet18", fresh=fresh)
    before = tensors(job)
    job.run()
    now = tensors(job)
    statistics = [name for name in now if "moving_" in name]
    changed = {name for name in now if not np.array_equal(now[name], before[name])}
    assert bool(set(statistics) & changed) is moves
    assert not changed & constant_tensors(job.classifier, job.plan)
    if unfreeze == "all" and not fresh:
        assert any("_bn/gamma" in name for name in changed)  # they train, their statistics do not


def test_momentum_is_fitted_to_short_trainings_and_left_alone_in_long_ones() -> None:
    from transfercli.models.classifier import build_base
    from transfercli.training.optim.batchnorm import fit_momentum, momenta_of

    base = build_base("resnet50", (32, 32), 3)
    published = momenta_of(base)
    fit_momentum(published, steps_per_epoch=20, epochs=8)
    assert base.get_layer("conv1_bn").momentum == pytest.approx(1 - 1 / 8)
    fit_momentum(published, steps_per_epoch=5000, epochs=100)  # whatever phases came before
    assert base.get_layer("conv1_bn").momentum == pytest.approx(0.99)


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
    whole, solutions = job.set_up_phase(PROBE), {"probe": lambda: None, "blend": lambda: seen.append(tensors(job))}
    job.set_up_phase = lambda phase: replace(whole, solve=solutions.get(phase.kind))
    probe = tensors(job)
    job.run()
    assert job.progress.best_epoch == 0
    assert not same(seen[0], probe)


def test_bfloat16_steps_train_float32_variables(digits) -> None:
    job = trainer(digits, [Phase("all", 1, 1e-3)], precision="bfloat16")
    job.run()
    assert {str(value.dtype) for value in tensors(job).values()} == {"float32"}
    assert {layer.compute_dtype for layer in job.classifier.base.layers} == {"float32"}
    exact = trainer(digits, [Phase("all", 1, 1e-3)])
    exact.run()
    assert not same(tensors(job), tensors(exact))
