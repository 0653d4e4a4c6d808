"""Pooled features, a value a channel."""

from __future__ import annotations

import numpy as np

from tests.models.classifiers import PIXELS, build


def test_a_flattened_map_is_averaged_over_its_places_and_an_average_stays() -> None:

    from transfercli.models.pooled import channel_means

    flat, plain = build(pooling="flatten"), build(pooling="avg")
    maps = np.asarray(flat.base(PIXELS.astype("float32")))
    pooled = channel_means(flat, maps.reshape(len(maps), -1))
    assert (pooled.shape, pooled.dtype) == ((4, 64), np.float32)
    np.testing.assert_allclose(pooled, maps.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(channel_means(plain, pooled), pooled)
