"""Small classifiers, and pixels for them."""

from __future__ import annotations

import numpy as np

from transfercli.config.schema import HeadConfig

LABELS = ("a", "b", "c")

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8")


def build(base: str = "small_cnn", labels: tuple[str, ...] = LABELS, channels: int = 3, **head):
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    return build_classifier(Architecture(base, (32, 32), channels, HeadConfig(**head), labels))
