"""Do two sets of images come from one distribution? Tests without labels, on features and on predictions.

Arrays in, numbers out. Every p-value is uniform, or on the safe side of it, where nothing has drifted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from transfercli.evaluation.metrics.confusion import Array

MOST = 2000  # images of a side that are looked at: more find smaller drifts than anybody acts on
MOST_KERNEL = 1000  # images of a side in the kernel's matrix, which grows with their square
LEAST = 4  # images of a side below which a classifier can not be trained on a half and tried on the other
PERMUTATIONS = 999
LEVEL = 0.05  # of all tests together
_Z = 1.6448536269514722  # of a one-sided 95% bound
_SMOOTH = 0.5  # images added to a class, so that an empty one has a logarithm


@dataclass(frozen=True)
class Classifier:
    """accuracy: of both sides alike; lower: bound of the AUC; None where there are too few images."""

    accuracy: float | None
    auc: float | None
    auc_lower: float | None
    p_value: float


@dataclass(frozen=True)
class Seen:
    """One side's rows: what the model made of its images. features: float32 [N, d]; probabilities: [M, C]."""

    features: Array
    probabilities: Array


def sample(images: int, most: int, seed: int) -> np.ndarray:
    """Which of `images` to look at: int64, rising, at most `most` of them, the same ones for the same seed."""
    if images <= most:
        return np.arange(images)
    return np.sort(np.random.default_rng([seed, images]).choice(images, most, replace=False))


def drift(reference: Seen, recent: Seen, seed: int) -> dict[str, Any]:
    """{"drifted", "score", "tests"}: how far `recent` is from `reference`.

    drifted: the smallest of four p-values, times four (Bonferroni), is at most `LEVEL`. score: 0 to 1, how much better
    than by chance features tell the two apart: 2 AUC - 1 at the lower 95% bound of the AUC, so that few images, which
    prove little, do not score high.
    """
    told = classifier_test(reference.features, recent.features, seed)
    tests = {
        "classifier": asdict(told),
        "mmd": mmd_test(reference.features, recent.features, seed),
        "class_mix": class_mix_test(reference.probabilities, recent.probabilities, seed),
        "confidence": confidence_test(reference.probabilities, recent.probabilities),
    }
    smallest = min(test["p_value"] for test in tests.values())
    score = max(0.0, 2 * (told.auc_lower or 0.0) - 1)
    return {"drifted": bool(smallest * len(tests) <= LEVEL), "score": score, "tests": tests}


def classifier_test(reference: Array, recent: Array, seed: int) -> Classifier:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting Classifier Two-Sample Tests").

    A logistic regression learns on half of each side to tell them apart; the other halves judge it. Sides may be of
    different size, so the p-value is the rank test's of its scores (Mann & Whitney 1947), one-sided.
    """
    from scipy.stats import mannwhitneyu
    from sklearn.linear_model import LogisticRegression

    if min(len(reference), len(recent)) < LEAST:
        return Classifier(None, None, None, 1.0)
    rng = np.random.default_rng([seed, 1])
    halves = [np.array_split(side[rng.permutation(len(side))].astype(np.float64), 2) for side in (reference, recent)]
    learn = np.concatenate([half[0] for half in halves])
    center, scale = learn.mean(axis=0), learn.std(axis=0)
    scale[scale < 1e-12] = 1.0
    side_of = np.repeat([0, 1], [len(half[0]) for half in halves])
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300).fit((learn - center) / scale, side_of)
    old, new = (model.decision_function((half[1] - center) / scale) for half in halves)
    ranked = mannwhitneyu(new, old, alternative="greater")
    auc = float(ranked.statistic) / (len(old) * len(new))
    accuracy = float((new > 0).mean() + (old <= 0).mean()) / 2
    return Classifier(accuracy, auc, lower_bound(auc, min(len(old), len(new))), float(ranked.pvalue))


def lower_bound(auc: float, images: int) -> float:
    """One-sided 95% bound of an AUC, careful also at 1.

    The variance of an AUC is at most A (1 - A) / `images`, those of the smaller side (Birnbaum & Klose 1957), which is
    a proportion's: so Wilson's bound (1927) of one holds.
    """
    square = _Z**2 / images
    spread = _Z * np.sqrt(auc * (1 - auc) / images + square / (4 * images))
    return float(max(0.0, (auc + square / 2 - spread) / (1 + square)))


def mmd_test(reference: Array, recent: Array, seed: int) -> dict[str, Any]:
    """{"value", "p_value"}: unbiased squared maximum mean discrepancy (Gretton et al. 2012, "A Kernel Two-Sample
    Test").

    Gaussian kernel as wide as the median distance; sides are permuted, all permutations in one product of matrices.
    """
    from scipy.spatial.distance import pdist, squareform

    sides = [side[sample(len(side), MOST_KERNEL, seed)].astype(np.float64) for side in (reference, recent)]
    sizes = tuple(map(len, sides))
    if min(sizes) < 2:
        return {"value": None, "p_value": 1.0}
    squares = pdist(np.concatenate(sides), "sqeuclidean")
    width = float(np.median(squares)) or float(squares.mean()) or 1.0
    kernel = squareform(np.exp(-squares / width))  # its diagonal is 0: no image is compared with itself
    first = np.zeros((sum(sizes), PERMUTATIONS + 1))
    first[: sizes[0]] = 1.0
    first[:, 1:] = np.random.default_rng([seed, 2]).permuted(first[:, 1:], axis=0)
    within, all_of = (first * (kernel @ first)).sum(axis=0), kernel.sum(axis=1) @ first
    others = kernel.sum() - 2 * all_of + within
    n, m = sizes
    values = within / (n * (n - 1)) + others / (m * (m - 1)) - 2 * (all_of - within) / (n * m)
    return {"value": float(values[0]), "p_value": _share_as_large(values)}


def class_mix_test(reference: Array, recent: Array, seed: int) -> dict[str, Any]:
    """How often each class is predicted: chi-square with a permutation p-value, total variation, and the population
    stability index; shares are those of the classes, in their order."""
    classes = reference.shape[1]
    counts = np.stack([np.bincount(side.argmax(axis=1), minlength=classes) for side in (reference, recent)])
    total, sizes = counts.sum(axis=0), counts.sum(axis=1)
    draws = np.random.default_rng([seed, 3]).multivariate_hypergeometric(
        total, sizes[1], size=PERMUTATIONS, method="marginals"
    )
    mine = np.concatenate([counts[1:], draws])
    expected = np.maximum(total / sizes.sum(), 1e-300)
    # Of a table with two rows, chi-square is this up to a factor that the margins fix.
    factor = sizes[1] * (1 - sizes[1] / sizes.sum())
    values = ((mine - sizes[1] * expected) ** 2 / expected).sum(axis=1) / factor
    shares = counts / sizes[:, None]
    smooth = (counts + _SMOOTH) / (sizes[:, None] + _SMOOTH * classes)
    return {
        "chi_square": float(values[0]),
        "p_value": _share_as_large(values),
        "total_variation": float(np.abs(shares[0] - shares[1]).sum() / 2),
        "psi": float(((smooth[1] - smooth[0]) * np.log(smooth[1] / smooth[0])).sum()),
        "reference": shares[0].tolist(),
        "recent": shares[1].tolist(),
    }


def confidence_test(reference: Array, recent: Array) -> dict[str, Any]:
    """Kolmogorov & Smirnov's test of the probability of the predicted class, and the two means."""
    from scipy.stats import ks_2samp

    old, new = reference.max(axis=1), recent.max(axis=1)
    found = ks_2samp(old, new)
    return {
        "statistic": float(found.statistic),
        "p_value": float(found.pvalue),
        "reference": float(old.mean()),
        "recent": float(new.mean()),
    }


def _share_as_large(values: Array) -> float:
    """The permutation p-value of the first; the first counts, too (Phipson & Smyth 2010)."""
    tolerance = 1e-12 * max(1.0, abs(float(values[0])))
    return float((values >= values[0] - tolerance).mean())
