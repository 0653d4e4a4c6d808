"""The calibration of logits: the same in NumPy, in the predictor, and in the inference model that is exported."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.evaluation.multilabel.trust import LabelTrust
from transfercli.models.architecture import Architecture
from transfercli.models.classifier import build_classifier
from transfercli.models.inference_model import build_inference_model
from transfercli.models.tasks.calibration import IDENTITY, Calibration

TRUST = LabelTrust(("a", "b", "c"), np.array([0.5, 1.0, 3.0]), np.array([1.0, 0.0, -2.0]), np.full(3, 0.5))


@pytest.mark.parametrize("hidden", [[], [16]], ids=["linear", "hidden layer"])
def test_predictor_and_inference_model_give_the_calibrated_probabilities_of_each_label(hidden: list[int]) -> None:
    import keras

    keras.utils.set_random_seed(0)
    head = HeadConfig(hidden=hidden, output="sigmoid")
    architecture = Architecture("small_cnn", (24, 24), 3, head, TRUST.labels, task="multilabel")
    classifier = build_classifier(architecture, calibration=TRUST.calibration)
    images = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), np.uint8)
    expected = TRUST.probabilities(np.asarray(classifier.model.predict_on_batch(images)))
    assert np.ptp(expected, axis=0).min() > 0
    for model in (classifier.predictor, build_inference_model(classifier, TRUST.calibration)):
        np.testing.assert_allclose(np.asarray(model.predict_on_batch(images)), expected, atol=1e-6)


def test_the_inverted_map_gives_the_logits_back() -> None:
    logits = np.array([[0.5, -1, 2]])
    np.testing.assert_allclose(TRUST.calibration.inverted().of(TRUST.calibration.of(logits)), logits)
    assert IDENTITY.is_identity
    assert not Calibration.of_temperature(2).is_identity
    np.testing.assert_allclose(Calibration.of_temperature(2).of(logits), logits / 2)
