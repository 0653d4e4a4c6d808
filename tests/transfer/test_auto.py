"""`auto`: what it chooses follows from the number of images and from what things take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from transfercli.training.phases import PROBE
from transfercli.transfer.auto import Measurements, epochs_within_budget, explanation, phases_within_budget

SHARES = {"conv1": 1.0, "conv2": 0.8, "conv3": 0.5, "conv4": 0.3, "conv5": 0.1}
MEASURED = Measurements(
    images_per_class=20,
    batches=10,
    batch_seconds=1.0,
    start_seconds=4.0,
    compile_seconds=2.0,
    shares=SHARES,
    slowdown=1.0,
    budget=100.0,
)


def stages(measured: Measurements, epochs: int = 20) -> list[Any]:
    return [phase.unfreeze for phase in phases_within_budget(measured, epochs, 1e-3)]


def test_a_budget_for_little_more_than_the_probe_is_the_probe_alone_and_says_so() -> None:
    poor = replace(MEASURED, budget=13.0)
    assert phases_within_budget(poor, 20, 1e-3) == [PROBE]
    assert "a probe alone" in explanation(poor, [PROBE])


@pytest.mark.parametrize("images, deepest", [(5, "conv5"), (20, "conv4"), (200, "conv3"), (5000, "conv1")])
def test_more_images_of_a_class_may_train_deeper_where_the_budget_lets_them(images: int, deepest: str) -> None:
    rich = replace(MEASURED, images_per_class=images, budget=1e5)
    assert stages(rich) == ["none", deepest, deepest]


def test_a_smaller_budget_trains_less_deep_before_it_trains_too_short() -> None:
    assert stages(MEASURED)[1] == "conv4"
    assert stages(replace(MEASURED, budget=40.0))[1] == "conv5"


def test_epochs_that_were_planned_fit_into_the_budget() -> None:
    for budget in (30.0, 60.0, 200.0):
        measured = replace(MEASURED, budget=budget)
        for stage, share in SHARES.items():
            epochs = epochs_within_budget(measured, stage)
            spent = measured.probe_seconds + epochs * 3 * share * measured.pass_seconds
            assert epochs == 0 or spent < budget


def test_what_follows_the_probe_is_slower_and_ends_with_a_blend() -> None:
    probe, tuned, blend = phases_within_budget(MEASURED, 4, 1e-3)
    assert (probe, tuned.epochs, blend.kind, blend.epochs) == (PROBE, 4, "blend", 4)
    assert tuned.learning_rate == pytest.approx(1e-4)
    assert tuned.decay < 1
    assert "4 epochs of conv4 and above" in explanation(MEASURED, [probe, tuned, blend])


def test_a_blend_moves_what_was_trained_and_nothing_that_was_frozen(cached: Any) -> None:
    from transfercli.training.phases import Phase

    classifier = cached.classifier()
    stages = cached.stages(classifier)
    stages.start = tensors(classifier)
    phases = [PROBE, Phase("conv3", 4, 1e-3), Phase("conv3", 4, 0.0, "blend")]
    cached.train(classifier, phases, stages=stages)
    assert cached.progress.epoch == 5
    found = tensors(classifier)
    assert not np.array_equal(found["base/conv3/kernel"], stages.start["base/conv3/kernel"])
    assert np.array_equal(found["base/conv1/kernel"], stages.start["base/conv1/kernel"])


def test_points_on_the_line_and_its_ends() -> None:
    from transfercli.transfer.probe.blend import interpolated

    start, end = {"a": np.zeros(2, "float32")}, {"a": np.ones(2, "float32")}
    assert interpolated(start, end, 0.25)["a"].tolist() == [0.25, 0.25]
    assert interpolated(start, end, 0.25)["a"].dtype == np.float32


def test_of_all_points_the_one_of_least_loss_is_left_in_the_classifier(cached: Any) -> None:
    from transfercli.reporting import Reporter
    from transfercli.transfer.probe.blend import choose_blend

    classifier = cached.classifier()
    start = tensors(classifier)
    end = {name: value + 1 for name, value in start.items()}
    name = "head/logits/bias"
    aim = start[name][0] + 0.6

    def judge() -> float:
        return abs(float(tensors(classifier)[name][0]) - aim)

    assert choose_blend(classifier, start, end, judge, Reporter()) == 0.6
    assert tensors(classifier)[name][0] == pytest.approx(aim)


def tensors(classifier: Any) -> dict[str, np.ndarray]:
    from transfercli.models.tensor_names import read_tensors

    return read_tensors(classifier)


def test_measuring_counts_where_the_work_is_and_turns_a_multiple_into_seconds(cached: Any) -> None:
    from transfercli.transfer.measuring import measure

    measured = measure(cached.stages(cached.classifier()), "3x")
    assert measured.budget == pytest.approx(3 * measured.probe_seconds)
    assert measured.images_per_class == 18
    assert measured.batches == 4
    shares = list(measured.shares.values())
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert measure(cached.stages(cached.classifier()), 5).budget == 5.0
