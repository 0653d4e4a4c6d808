"""Out-of-fold predictions: by heads that never saw the image, over several folds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transfer.probe.probes import examples
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.cross_validation import OutOfFold, cross_validate, solve_scored
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers

TWO = FeatureLayers(("low", "output"), (32, 32), "root")
ONE = FeatureLayers(("output",), (64,), "root")


def validated(features: np.ndarray, targets: np.ndarray, repeats: int = 1, **more: object) -> OutOfFold:
    problem = LinearProblem(ArrayRows(features), targets, int(targets.max()) + 1, None, 0, **more)
    return cross_validate(problem, TWO, Reporter(), repeats)


def test_the_figures_are_those_of_the_out_of_fold_logits() -> None:
    features, targets = examples(4)
    found = validated(features, targets, repeats=2)
    assert found.logits.shape == (120, 4)
    assert found.logits.dtype == np.float32
    assert found.hits.mean() == pytest.approx(found.accuracy)
    assert found.accuracy > 0.9
    assert found.losses.mean() == pytest.approx(found.loss)
    assert found.loss_error == pytest.approx(found.losses.std() / 120**0.5)


def test_rows_that_may_not_be_held_out_train_in_every_fold() -> None:
    features, targets = examples(4)
    held_out = np.arange(120) % 3 == 0
    found = validated(features, targets, held_out=held_out)
    assert np.array_equal(np.isfinite(found.losses), held_out)
    assert np.array_equal(np.isfinite(found.logits).all(axis=1), held_out)
    assert found.accuracy == found.hits[held_out].mean()
    alone = validated(features[held_out], targets[held_out])
    assert found.loss < alone.loss  # the others taught something


def test_one_image_a_class_cannot_be_held_out() -> None:
    features, targets = examples(4, 1)
    found = validated(features, targets)
    assert np.isnan([found.loss, found.accuracy, found.loss_error, found.accuracy_error]).all()
    assert np.isnan(found.logits).all()


def test_a_group_is_held_out_as_a_whole_and_a_class_of_one_group_never() -> None:
    features, targets = examples(4)
    groups = tuple(f"g{target}-{0 if target == 3 else image % 6}" for image, target in enumerate(targets))
    found = validated(features, targets, groups=groups)
    assert np.array_equal(np.isfinite(found.losses), targets != 3)


@pytest.mark.parametrize("layers", [TWO, ONE])
@pytest.mark.parametrize("groups", [(), tuple(f"group {number % 60}" for number in range(300))])
def test_a_head_that_is_scored_too_is_the_same_and_so_is_its_score(
    layers: FeatureLayers, groups: tuple[str, ...]
) -> None:
    features, targets = examples()
    posed = LinearProblem(ArrayRows(features), targets, 10, None, 0, groups)
    probe, scored = solve_scored(posed, layers, Reporter())
    alone, expected = solve_layers(posed, layers, Reporter()), cross_validate(posed, layers, Reporter())
    assert np.array_equal(probe.kernel, alone.kernel)
    assert np.array_equal(probe.bias, alone.bias)
    assert probe.path == alone.path
    assert np.array_equal(scored.logits, expected.logits)
    assert (scored.loss, scored.loss_error) == (expected.loss, expected.loss_error)
