"""Feature vectors of images: pooled outputs of a classifier's base, one value per channel."""

from __future__ import annotations

import numpy as np

from transfercli.models.classifier import Classifier


def channel_means(classifier: Classifier, pooled: np.ndarray) -> np.ndarray:
    """Return one value per channel of the base, float32 [N, d], from the output of the head's pooling, [N, p].

    A flattened map (pooling: flatten) is averaged over its positions, so that the position of an object in the image
    does not matter; average and maximum pooling already give one value per channel, which stays as it is.
    """
    channels = classifier.base.output.shape[-1]
    return pooled.reshape(len(pooled), -1, channels).mean(axis=1, dtype="float32")
