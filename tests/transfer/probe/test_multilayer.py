"""One linear head on several layers: the weighted sum of a probe of each."""

from __future__ import annotations

import numpy as np
import pytest

from tests.listener import Listener
from tests.transfer.probe.probes import examples, probabilities, reference
from transfercli.models.normalised import normalised
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.cross_validation import cross_validate
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, fit_layers, layer_features, solve_layers
from transfercli.transfer.probe.probe import MIDDLE, Probe, solve

THREE = FeatureLayers(("low", "middle", "output"), (16, 16, 32), "root")
ONE = FeatureLayers(("output",), (64,), "root")


def problem(features: np.ndarray, targets: np.ndarray, classes: int | None = None, **more: object) -> LinearProblem:
    return LinearProblem(ArrayRows(features), targets, classes or int(targets.max()) + 1, None, 0, **more)


def solved(features: np.ndarray, targets: np.ndarray, layers: FeatureLayers = THREE, **more: object) -> Probe:
    return solve_layers(problem(features, targets, **more), layers, Reporter())


def logits(found: Probe, features: np.ndarray, layers: FeatureLayers = THREE) -> np.ndarray:
    return normalised(features, layers.widths, layers.normalisation) @ found.kernel + found.bias


def test_its_logits_are_the_weighted_sum_of_those_of_a_probe_of_each_layer() -> None:
    features, targets = examples()
    posed = problem(features, targets)
    listener = Listener()
    found = solve_layers(posed, THREE, listener)
    assert found.kernel.dtype == found.bias.dtype == np.float32
    weights = [float(part.split(" (")[0].rpartition(" ")[2]) for part in listener.infos[0].split(", ")[:3]]
    expected = np.zeros((len(features), 10))
    for number, fitted in enumerate(fit_layers(posed, THREE, posed.validation(), Reporter())):
        kernel, bias = fitted.solution()
        rows = layer_features(ArrayRows(features), THREE, number).read(np.arange(len(features)))
        alone = probabilities(Probe(kernel, bias, fitted.strength, ()), rows)
        assert abs(alone - reference(rows, targets, fitted.strength)).max() < 1e-4  # of scikit-learn
        expected += weights[number] * (rows @ kernel + bias)
    assert np.allclose(logits(found, features), expected, rtol=0.02, atol=0.02 * abs(expected).max())


def test_one_normalised_layer_is_the_probe_on_normalised_features() -> None:
    features, targets = examples(4)
    rows = normalised(features, (64,), "root")
    alone = solve(ArrayRows(rows), targets, 4, class_weights=None, seed=0, reporter=Reporter())
    found = solved(features, targets, ONE)
    assert np.array_equal(found.kernel, alone.kernel)
    assert found.path == alone.path
    assert abs(probabilities(found, rows) - reference(rows, targets, found.strength)).max() < 1e-4


def test_the_same_arguments_give_the_same_bits() -> None:
    features, targets = examples()
    first, second = solved(features, targets), solved(features.copy(), targets.copy())
    assert np.array_equal(first.kernel, second.kernel)
    assert np.array_equal(first.bias, second.bias)


def test_it_has_the_weight_and_the_strength_of_each_layer() -> None:
    found = solved(*examples())
    assert [name for name, _, _ in found.layers] == list(THREE.names)
    assert sum(weight for _, weight, _ in found.layers) > 0
    assert found.layers[-1][2] == found.strength


def test_a_dead_layer_changes_nothing_and_a_class_without_images_stays_improbable() -> None:
    features, targets = examples(4)
    features[:, :16] = 0  # a layer that is zero behind its ReLU
    features[:, 16:32] = 3  # and one that is constant
    targets = np.array([0, 2, 3, 5])[targets]
    found = solved(features, targets, classes=6)
    assert not found.kernel[:32].any()
    assert np.isfinite(found.kernel).all()
    right = logits(found, features).argmax(axis=1) == targets
    assert right.mean() > 0.9
    exps = np.exp(logits(found, features))
    assert (exps[:, [1, 4]].sum(axis=1) / exps.sum(axis=1)).max() < 1e-5


def test_one_image_a_class_is_solved_without_cross_validation_and_says_so() -> None:
    features, targets = examples(4, 1)
    listener = Listener()
    found = solve_layers(problem(features, targets), THREE, listener)
    assert (logits(found, features).argmax(axis=1) == targets).all()
    assert "without cross-validation" in listener.infos[0]


def test_one_rare_class_does_not_prevent_the_cross_validation_of_the_others() -> None:
    features, targets = examples(4)
    keep = np.flatnonzero((targets < 3) | (np.arange(len(targets)) == len(targets) - 1))
    listener = Listener()
    found = solve_layers(problem(features[keep], targets[keep]), THREE, listener)
    assert "log loss" in listener.infos[0]
    assert (logits(found, features[keep]).argmax(axis=1) == targets[keep]).all()


def test_weights_of_images_are_those_of_scikit_learn() -> None:
    features, targets = examples(3, 12)
    weights = np.random.default_rng(0).random(36) + 0.1
    found = solved(features, targets, ONE, weights=weights, held_out=np.zeros(36, bool))
    rows = normalised(features, (64,), "root")
    expected = reference(rows, targets, MIDDLE, weights / weights.mean())
    assert found.strength == MIDDLE
    assert abs(probabilities(found, rows) - expected).max() < 1e-4


@pytest.mark.parametrize("each", [5, 30])
def test_several_layers_predict_digits_held_out_no_worse_than_the_last(each: int) -> None:
    features, targets = examples(10, each)
    several = cross_validate(problem(features, targets), THREE, Reporter())
    last = FeatureLayers(("output",), (32,), "root")
    alone = cross_validate(problem(features[:, 32:], targets), last, Reporter())
    assert several.loss < alone.loss
    assert several.accuracy >= alone.accuracy
