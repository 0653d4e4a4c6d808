"""The normalisation that cross-validation chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.listener import Listener
from tests.transfer.probe.probes import examples
from transfercli.models.normalised import Normalisation
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem
from transfercli.transfer.probe.normalisation import choose_normalisation

ONE = FeatureLayers(("output",), (64,), "none")
TWO = FeatureLayers(("low", "output"), (32, 32), "root")


def chosen(features: np.ndarray, targets: np.ndarray, layers: FeatureLayers = ONE) -> Normalisation:
    problem = LinearProblem(ArrayRows(features.astype("float32")), targets, int(targets.max()) + 1, None, 0)
    return choose_normalisation(problem, layers, Reporter())


def test_features_stay_as_they_are_if_a_normalisation_loses_what_they_say() -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(120) % 3
    along = np.abs(rng.normal(1, 0.1, (120, 64)))
    assert chosen(along * (1 + 3 * targets[:, None]), targets) == "none"  # the classes differ in length alone


def test_features_of_random_brightness_and_contrast_are_normalised() -> None:
    features, targets = examples(6)
    rng = np.random.default_rng(0)
    skewed = (features / 16) ** 3 * rng.lognormal(0, 1, (len(targets), 1))
    assert chosen(skewed, targets) in ("length", "root")


def test_a_difference_within_the_noise_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    assert chosen(rng.random((40, 64)), np.arange(40) % 2) == "none"


def test_several_layers_behind_a_relu_take_the_root_without_a_comparison() -> None:
    features, targets = examples(3)
    problem, listener = LinearProblem(ArrayRows(features), targets, 3, None, 0), Listener()
    assert choose_normalisation(problem, TWO, listener) == "root"
    assert listener.infos == []
    negative = replace(problem, features=ArrayRows(features - 8))
    assert choose_normalisation(negative, TWO, listener) in ("root", "length")
    assert "held-out log loss" in listener.infos[0]


def test_one_image_a_class_keeps_the_usual_normalisation() -> None:
    features, targets = examples(4, 1)
    assert chosen(features, targets) == "none"
    assert chosen(features - 8, targets, TWO) == "root"
