"""Resampling in a TensorFlow graph."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("height, width", [(13, 997), (997, 13), (31, 64), (64, 31), (1, 1), (200, 200)])
def test_resampling_is_pillow_s_to_the_grey_level(height, width):
    import tensorflow as tf

    from transfercli.export.tf_graph.resample import resample

    pixels = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)
    sideways = Image.fromarray(pixels).resize((40, height), Image.Resampling.BILINEAR)
    expected = np.asarray(sideways.resize((40, 50), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resample(tf.constant(pixels), 50, 40).numpy(), expected)
