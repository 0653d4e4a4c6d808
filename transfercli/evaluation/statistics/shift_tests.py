"""Tests for distribution shift between two sets of images, on features and predictions, without labels.

If both sets are from the same distribution, every p-value is uniform or conservative.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from transfercli.evaluation.metrics.confusion import Array

MAX_IMAGES = 2000  # of each set; more images detect shifts that are too small to matter
MAX_KERNEL_IMAGES = 1000  # of each set in the kernel matrix, whose size is quadratic in it
MIN_IMAGES = 4  # of each set, to train a classifier on one half and test it on the other
PERMUTATIONS = 999
SMALLEST_P_VALUE = 1 / (PERMUTATIONS + 1)  # of a test by permutations
LEVEL = 0.05  # significance level of all tests together
_Z = 1.6448536269514722  # the normal quantile of a one-sided 95% bound
_SMOOTH = 0.5  # images added to each class, so that the logarithm of an empty class is finite


@dataclass(frozen=True)
class Classifier:
    """Result of the classifier two-sample test; None if there are too few images.

    accuracy: mean of the accuracies on both sets; auc_lower: one-sided 95% lower bound of the AUC
    """

    accuracy: float | None
    auc: float | None
    auc_lower: float | None
    p_value: float


@dataclass(frozen=True)
class ModelOutputs:
    """Outputs of the model on one set of images. features: float32 [N, d]; probabilities: [M, C]."""

    features: Array
    probabilities: Array


def sample_indices(images: int, most: int, seed: int) -> np.ndarray:
    """Return at most `most` random indices below `images`, int64, ascending; they depend only on the arguments."""
    if images <= most:
        return np.arange(images)
    return np.sort(np.random.default_rng([seed, images]).choice(images, most, replace=False))


def detect_shift(reference: ModelOutputs, recent: ModelOutputs, seed: int) -> dict[str, Any]:
    """Test whether `recent` has shifted from `reference`; return {"drifted", "score", "tests"}.

    drifted: True if the smallest of four p-values, times four (Bonferroni), is at most `LEVEL`. score: 0 to 1, the
    separability of the two sets by their features: 2 AUC - 1 at the lower 95% bound of the AUC, so that a few images
    do not have a high score by chance.
    """
    classifier = classifier_test(reference.features, recent.features, seed)
    tests = {
        "classifier": asdict(classifier),
        "mmd": mmd_test(reference.features, recent.features, seed),
        "class_mix": class_mix_test(reference.probabilities, recent.probabilities, seed),
        "confidence": confidence_test(reference.probabilities, recent.probabilities),
    }
    smallest = min(test["p_value"] for test in tests.values())
    score = max(0.0, 2 * (classifier.auc_lower or 0.0) - 1)
    return {"drifted": bool(smallest * len(tests) <= LEVEL), "score": score, "tests": tests}


def classifier_test(reference: Array, recent: Array, seed: int) -> Classifier:
    """Run a classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting Classifier Two-Sample Tests").

    A logistic regression is trained on half of each set to separate the two, and tested on the other halves. As the
    sets may differ in size, the p-value is that of the one-sided rank test of its scores (Mann & Whitney 1947).
    """
    from scipy.stats import mannwhitneyu
    from sklearn.linear_model import LogisticRegression

    if min(len(reference), len(recent)) < MIN_IMAGES:
        return Classifier(None, None, None, 1.0)
    rng = np.random.default_rng([seed, 1])
    halves = [np.array_split(rows[rng.permutation(len(rows))].astype(np.float64), 2) for rows in (reference, recent)]
    train = np.concatenate([half[0] for half in halves])
    center, scale = train.mean(axis=0), train.std(axis=0)
    scale[scale < 1e-12] = 1.0
    is_recent = np.repeat([0, 1], [len(half[0]) for half in halves])
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300).fit((train - center) / scale, is_recent)
    old, new = (model.decision_function((half[1] - center) / scale) for half in halves)
    rank_test = mannwhitneyu(new, old, alternative="greater")
    auc = float(rank_test.statistic) / (len(old) * len(new))
    accuracy = float((new > 0).mean() + (old <= 0).mean()) / 2
    return Classifier(accuracy, auc, auc_lower_bound(auc, min(len(old), len(new))), float(rank_test.pvalue))


def auc_lower_bound(auc: float, images: int) -> float:
    """Return the one-sided 95% lower bound of an AUC, conservative also at 1.

    images: number in the smaller set. The variance of an AUC is at most A (1 - A) / `images` (Birnbaum & Klose 1957),
    that of a proportion, so Wilson's bound (1927) of a proportion holds.
    """
    square = _Z**2 / images
    spread = _Z * np.sqrt(auc * (1 - auc) / images + square / (4 * images))
    return float(max(0.0, (auc + square / 2 - spread) / (1 + square)))


def mmd_test(reference: Array, recent: Array, seed: int) -> dict[str, Any]:
    """Compute the unbiased squared maximum mean discrepancy (Gretton et al. 2012, "A Kernel Two-Sample Test").

    Returns {"value", "p_value"}. The width of the Gaussian kernel is the median distance; one matrix product evaluates
    all permutations.
    """
    from scipy.spatial.distance import pdist, squareform

    samples = [
        rows[sample_indices(len(rows), MAX_KERNEL_IMAGES, seed)].astype(np.float64) for rows in (reference, recent)
    ]
    sizes = tuple(map(len, samples))
    if min(sizes) < 2:
        return {"value": None, "p_value": 1.0}
    squares = pdist(np.concatenate(samples), "sqeuclidean")
    width = float(np.median(squares)) or float(squares.mean()) or 1.0
    kernel = squareform(np.exp(-squares / width))  # its diagonal is 0: no image is compared with itself
    first = np.zeros((sum(sizes), PERMUTATIONS + 1))
    first[: sizes[0]] = 1.0
    first[:, 1:] = np.random.default_rng([seed, 2]).permuted(first[:, 1:], axis=0)
    within_first, first_to_all = (first * (kernel @ first)).sum(axis=0), kernel.sum(axis=1) @ first
    within_second = kernel.sum() - 2 * first_to_all + within_first
    n, m = sizes
    between = first_to_all - within_first
    values = within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - 2 * between / (n * m)
    return {"value": float(values[0]), "p_value": _share_as_large(values)}


def class_mix_test(reference: Array, recent: Array, seed: int) -> dict[str, Any]:
    """Compare the shares of the predicted classes.

    Returns chi-square with a permutation p-value, total variation, the population stability index, and the share of
    each class in both sets, in index order.
    """
    classes = reference.shape[1]
    counts = np.stack([np.bincount(rows.argmax(axis=1), minlength=classes) for rows in (reference, recent)])
    total, sizes = counts.sum(axis=0), counts.sum(axis=1)
    draws = np.random.default_rng([seed, 3]).multivariate_hypergeometric(
        total, sizes[1], size=PERMUTATIONS, method="marginals"
    )
    recent_counts = np.concatenate([counts[1:], draws])
    expected = np.maximum(total / sizes.sum(), 1e-300)
    # In a table of two rows, one row and the margins determine the other row, so chi-square needs one of them.
    factor = sizes[1] * (1 - sizes[1] / sizes.sum())
    values = ((recent_counts - sizes[1] * expected) ** 2 / expected).sum(axis=1) / factor
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
    """Run the Kolmogorov-Smirnov test of the probability of the predicted class; return it with the two means."""
    from scipy.stats import ks_2samp

    old, new = reference.max(axis=1), recent.max(axis=1)
    test = ks_2samp(old, new)
    return {
        "statistic": float(test.statistic),
        "p_value": float(test.pvalue),
        "reference": float(old.mean()),
        "recent": float(new.mean()),
    }


def _share_as_large(values: Array) -> float:
    """Return the permutation p-value of the first value, which counts as a permutation (Phipson & Smyth 2010)."""
    tolerance = 1e-12 * max(1.0, abs(float(values[0])))
    return float((values >= values[0] - tolerance).mean())
