"""`auto`: what it chooses follows from the number of images and from what things take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from transfercli.training.phases import PROBE, REFIT, Phase
from transfercli.transfer.auto import Measurements, epochs_within_budget, explanation, phases_within_budget

SHARES = {"conv1": 1.0, "conv2": 0.8, "conv3": 0.5, "conv4": 0.3, "conv5": 0.1}
MEASURED = Measurements(
    images_per_class=20,
    images=320,
    validation=100,
    batches=10,
    batch_seconds=1.0,
    start_seconds=4.0,
    compile_seconds=2.0,
    shares=SHARES,
    slowdown=1.0,
    solve_seconds=0.0,
    budget=100.0,
    spent=14.0,
)


def phases(measured: Measurements, epochs: int = 20) -> list[Phase]:
    return phases_within_budget(measured, epochs, 1e-3, refit=False)


def stages(measured: Measurements, epochs: int = 20) -> list[Any]:
    return [phase.unfreeze for phase in phases(measured, epochs)]


def test_a_budget_for_little_more_than_the_probe_is_the_probe_alone_and_says_so() -> None:
    poor = replace(MEASURED, budget=15.0)
    assert phases(poor) == [PROBE]
    assert phases_within_budget(poor, 20, 1e-3, refit=True, head="linear_probe") == [
        replace(REFIT, head="linear_probe")
    ]
    assert "a solved head alone" in explanation(poor, [PROBE])


@pytest.mark.parametrize("images, deepest", [(5, "conv5"), (20, "conv4"), (200, "conv3"), (5000, "conv1")])
def test_more_images_of_a_class_may_train_deeper_where_the_budget_lets_them(images: int, deepest: str) -> None:
    rich = replace(MEASURED, images_per_class=images, budget=1e5)
    assert stages(rich) == ["none", deepest, deepest]


def test_a_smaller_budget_trains_less_deep_before_it_trains_too_short() -> None:
    assert stages(MEASURED)[1] == "conv4"
    assert stages(replace(MEASURED, budget=45.0))[1] == "conv5"


def test_the_time_of_the_solution_is_in_the_budget_for_the_probe_and_again_for_the_blend() -> None:
    slow = replace(MEASURED, solve_seconds=20.0, budget=200.0)
    assert slow.probe_seconds == MEASURED.probe_seconds + 20
    epochs = epochs_within_budget(slow, "conv5")
    assert 0 < epochs == epochs_within_budget(replace(MEASURED, budget=200.0 - 20 - 80 / 0.8), "conv5")
    assert phases(replace(slow, budget=50.0)) == [PROBE]


def test_epochs_that_were_planned_fit_into_the_budget() -> None:
    for budget in (30.0, 60.0, 200.0):
        measured = replace(MEASURED, budget=budget)
        for stage, share in SHARES.items():
            epochs = epochs_within_budget(measured, stage)
            spent = measured.probe_seconds + epochs * 3 * share * measured.pass_seconds
            assert epochs == 0 or spent < budget


def test_what_follows_the_probe_is_slower_and_ends_with_a_blend() -> None:
    probe, tuned, blend = phases(MEASURED, 4)
    assert (probe, tuned.epochs, blend.kind, blend.epochs) == (PROBE, 4, "blend", 4)
    assert tuned.learning_rate == pytest.approx(1e-4)
    assert tuned.decay < 1
    assert "4 epochs of conv4 and above" in explanation(MEASURED, [probe, tuned, blend])


def test_the_comparison_with_the_probe_and_the_refit_come_last() -> None:
    *_, blend, refit = phases_within_budget(MEASURED, 4, 1e-3, refit=True, head="multilayer_probe")
    assert (blend.kind, refit) == ("blend", replace(blend, kind="refit"))
    assert refit.head == "multilayer_probe"


def test_fine_tuning_whose_gain_could_not_be_shown_is_not_tried() -> None:
    few = replace(MEASURED, validation=7, budget=1e5)
    assert phases(few) == [PROBE]
    assert "7 validation images could not show a gain" in explanation(few, [PROBE])


def test_a_head_that_is_aligned_with_another_domain_is_not_trained_on_the_labelled_one() -> None:
    aligned = replace(MEASURED, aligned=True)
    assert phases(aligned) == [PROBE]
    assert "no labelled image is of the target" in explanation(aligned, [PROBE])
