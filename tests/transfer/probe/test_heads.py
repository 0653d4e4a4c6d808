"""Heads that pose the same images as different linear problems."""

from __future__ import annotations

import numpy as np
import pytest

from tests.digits import Digits
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.heads import HEADS, LINEAR, MULTILAYER, heads_for, pose
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem

LAYERS = FeatureLayers(("low", "output"), (32, 32), "root")


def problem_of(digits: Digits) -> LinearProblem:
    rows = digits.rows_of(5, 100)
    pixels = np.random.default_rng(0).random((100, 64), np.float32) + digits.labels[rows][:, None]
    return LinearProblem(ArrayRows(pixels.astype(np.float32)), digits.labels[rows].astype(int), 5, None, 0)


def test_the_linear_probe_reads_the_base_s_output_alone_and_fits_into_a_head_on_all_layers(digits: Digits) -> None:
    problem = problem_of(digits)
    probe = pose(LINEAR, problem, LAYERS).solve(Reporter())
    assert probe.kernel.shape == (64, 5)
    assert not probe.kernel[:32].any()
    alone = FeatureLayers(("output",), (32,), "root")
    other = LinearProblem(ArrayRows(problem.features.read(np.arange(100))[:, 32:]), problem.targets, 5, None, 0)
    assert np.array_equal(probe.kernel[32:], pose("", other, alone).solve(Reporter()).kernel)


def test_a_head_on_one_layer_has_one_row_and_one_on_several_has_all(digits: Digits) -> None:
    assert heads_for(FeatureLayers(("output",), (8,), "none")) == (LINEAR,)
    assert heads_for(LAYERS) == tuple(HEADS) == (LINEAR, MULTILAYER)
    with pytest.raises(ArtefactError, match="no head is called 'rm'"):
        pose("rm", problem_of(digits), LAYERS)
