"""Blends of a probe and a fine-tuned classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.transfer.tensors import tensors
from transfercli.training.phases import PROBE


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
