"""Probes on pixels of digits."""

from __future__ import annotations

import numpy as np

from tests.digits import all_digits
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.probe import (
    Probe,
    solve,
)


def examples(classes: int = 10, each: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """The first `each` images of every digit: float32 [N, 64] pixels, some of them the same in all images."""
    pixels, targets = all_digits().features, all_digits().labels
    rows = np.concatenate([np.flatnonzero(targets == digit)[:each] for digit in range(classes)])
    return pixels[rows].astype("float32"), targets[rows]


def probe(features: np.ndarray, targets: np.ndarray, classes: int, weights: np.ndarray | None = None) -> Probe:
    return solve(ArrayRows(features), targets, classes, class_weights=weights, seed=0, reporter=Reporter())


def probabilities(found: Probe, features: np.ndarray) -> np.ndarray:
    logits = features.astype(np.float64) @ found.kernel + found.bias
    exps = np.exp(logits - logits.max(1, keepdims=True))
    return exps / exps.sum(1, keepdims=True)


def wide() -> tuple[np.ndarray, np.ndarray]:
    """More features than `WIDE` times the images: pixels and their products, of images that occur twice."""
    pixels, targets = examples(5, 4)
    pixels, targets = np.concatenate([pixels, pixels[:6]]), np.concatenate([targets, targets[:6]])
    products = (pixels[:, :, None] * pixels[:, None, :]).reshape(len(pixels), -1)
    return np.concatenate([pixels, products / 16], 1), targets


def reference(features: np.ndarray, targets: np.ndarray, strength: float, weights: np.ndarray | None = None):
    """scikit-learn's probabilities on features centred and scaled as the probe does it, but in float64."""
    from sklearn.linear_model import LogisticRegression

    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    centred /= np.sqrt((centred**2).sum() / len(centred))
    model = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)
    return model.fit(centred, targets, sample_weight=weights).predict_proba(centred)
