"""Three real models of the digits, the second and third compared with the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from transfercli.evaluation.examples import changes
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.compare_page import RunComparison
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.evaluation.statistics.paired import compare

NAMES = tuple(f"digit {number}" for number in range(10))
CONFIG = [
    {"key": "data.train", "champion": "/home/zebulon/my pictures", "challenger": "images"},
    {"key": "training.epochs", "champion": 20, "challenger": 30},
    {"key": "model.head.hidden", "champion": [], "challenger": [256]},
]
SECONDS = {"train": {"champion": 20.0, "challenger": 30.0}, "features": {"champion": None, "challenger": 4.0}}


def digit_models(*strengths: float, names: Sequence[str] = NAMES) -> tuple[list[Predictions], np.ndarray]:
    """What logistic regressions, of these inverse regularisations, say of 1,000 digits, and uint8 [1000, 8, 8, 3]."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    train, test = order[:300], order[700:1700]
    paths = tuple(f"test/{names[digits.target[i]]}/{i:04d}.png" for i in test)
    said = [
        LogisticRegression(C=strength, max_iter=1000)
        .fit(digits.data[train], digits.target[train])
        .predict_proba(digits.data[test])
        .astype(np.float32)
        for strength in strengths
    ]
    images = np.repeat((digits.images[test] * 15.9).astype(np.uint8)[..., None], 3, axis=-1)
    return [Predictions(paths, tuple(names), digits.target[test], each) for each in said], images


def comparison(
    before: Predictions, after: Predictions, images: np.ndarray, most: int = 40, metric: str = "accuracy"
) -> RunComparison:
    """Compare two models; the file of the first broken image, or fixed if none is broken, is missing."""
    fixed, broken = changes(before, after, most)
    shown = [one.challenger for one in (*broken, *fixed)]
    pictures = {case.path: image_data_url(images[case.index]) for case in shown[1:]}
    return RunComparison(
        champion="digits/20260101-000000-aaaaaa",
        challenger="digits/20260102-000000-bbbbbb",
        compared=compare(before, after, metric=metric),
        before=before,
        after=after,
        fixed=fixed,
        broken=broken,
        pictures=pictures,
        missing={case.path: "the file is gone from /home/zebulon/x" for case in shown[:1]},
        config=CONFIG,
        seconds=SECONDS,
    )


def digit_comparisons(names: Sequence[str] = NAMES) -> list[RunComparison]:
    """A worse and a better challenger."""
    (middle, worse, better), images = digit_models(1e-4, 1e-5, 1e-2, names=names)
    found = [comparison(middle, other, images) for other in (worse, better)]
    return [found[0], replace(found[1], challenger="digits/20260103-000000-cccccc")]
