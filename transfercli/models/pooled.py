"""What a classifier's base sees in an image, as one vector."""

from __future__ import annotations

import numpy as np

from transfercli.models.classifier import Classifier


def averaged(classifier: Classifier, pooled: np.ndarray) -> np.ndarray:
    """What the head's pooling gives, [N, p], as float32 [N, d], a value a channel of the base.

    A flattened map is averaged over its places, so that it does not matter where in the image something is; what is
    averaged already, or the maximum over the places, is left as it is.
    """
    channels = classifier.base.output.shape[-1]
    return pooled.reshape(len(pooled), -1, channels).mean(axis=1, dtype="float32")
