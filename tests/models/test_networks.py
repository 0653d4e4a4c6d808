"""Networks that keras.applications does not have."""

from __future__ import annotations

import numpy as np

from tests.models.classifiers import build


def test_resnet18_is_the_published_network() -> None:
    """11,176,512 trainable weights without the top (He et al. 2016, as torchvision counts them)."""
    base = build("resnet18").base
    assert sum(int(np.prod(v.shape)) for v in base.trainable_variables) == 11_176_512
    assert base.output.shape[1:] == (1, 1, 512)
