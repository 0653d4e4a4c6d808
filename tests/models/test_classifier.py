"""A classifier: its heads, its channels, its smallest images."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.classifiers import PIXELS, build
from transfercli.errors import ConfigError


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_probabilities_are_those_of_the_logits(pooling: str, output: str) -> None:
    from transfercli.models.tasks.outputs import softmax

    model = build(labels=("no", "yes"), pooling=pooling, output=output, hidden=[8], dropout=0.5)
    given = model.predictor.predict(PIXELS, verbose=0)
    assert given.shape == (4, 2)
    np.testing.assert_allclose(given, softmax(model.model.predict(PIXELS, verbose=0)), atol=1e-6)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-6)


def test_a_sigmoid_head_is_refused_for_three_classes() -> None:
    with pytest.raises(ConfigError, match="two classes, and the data has 3"):
        build(output="sigmoid")


def test_images_too_small_for_a_base_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 75"):
        build("inceptionv3")


def test_a_grey_model_takes_rgb_and_has_a_one_channel_base() -> None:
    model = build(channels=1)
    assert model.base.input.shape[-1] == 1
    assert model.model.predict(PIXELS, verbose=0).shape == (4, 3)
