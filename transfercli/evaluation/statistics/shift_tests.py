"""Tests for distribution shift between two sets of images, on features and predictions, without labels.

If both sets are from the same distribution, every p-value is uniform or conservative. If images are in groups, whole
groups are split and permuted between the sets, as images of one subject resemble each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.metrics.confusion import Array, Targets

Groups = Sequence[Sequence[str]]  # the groups of both sets
NO_GROUPS: Groups = ((), ())

MAX_IMAGES = 2000  # of each set; more images detect shifts that are too small to matter
MAX_KERNEL_IMAGES = 1000  # of each set in the kernel matrix, whose size is quadratic in it
MIN_IMAGES = 4  # of each set, to train a classifier on one half and test it on the other
PERMUTATIONS = 999
SMALLEST_P_VALUE = 1 / (PERMUTATIONS + 1)  # of a test by permutations
LEVEL = 0.05  # significance level of all tests together
_Z = 1.6448536269514722  # the normal quantile of a one-sided 95% bound
# Spread of a feature, as a share of its mean, up to which it is constant: two graphs of one network, that of a log and
# that of the feature cache for example, round it differently, which would tell the sets apart.
_CONSTANT = 1e-5
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
    """Outputs of the model on one set of images.

    features: float32 [N, d]; probabilities: [M, C]; feature_groups, groups: name of the group of each of the N and M
    images, "" for an image without one; empty if no image has one
    """

    features: Array
    probabilities: Array
    feature_groups: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Units:
    """Independent units of two sets of images, which permutations assign to the sets.

    of_image: int64 [n + m], the unit of each image, numbered from 0 through both sets; recent: the number of units that
    are recent, which are the last ones
    """

    of_image: Targets
    reference: int
    recent: int

    @classmethod
    def of(cls, sizes: tuple[int, int], groups: Sequence[Sequence[str]]) -> _Units:
        old, new = (_units_of(names, size) for names, size in zip(groups, sizes, strict=True))
        counts = [int(each.max(initial=-1)) + 1 for each in (old, new)]
        return cls(np.concatenate([old, new + counts[0]]), counts[0], counts[1])

    @property
    def grouped(self) -> bool:
        """True if a unit has several images."""
        return self.reference + self.recent < len(self.of_image)

    def permuted(self, rng: np.random.Generator) -> Array:
        """Return 1 for the images in the first set, float64 [n + m, PERMUTATIONS + 1]; the first column is observed."""
        first = np.zeros((self.reference + self.recent, PERMUTATIONS + 1))
        first[: self.reference] = 1.0
        first[:, 1:] = rng.permuted(first[:, 1:], axis=0)
        return first[self.of_image] if self.grouped else first


def _units_of(groups: Sequence[str], images: int) -> Targets:
    of_image = cluster_indices(groups)
    return np.arange(images) if of_image is None else of_image


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
    features = alike_groups(
        (reference.features, recent.features), (reference.feature_groups, recent.feature_groups), seed
    )
    answers = alike_groups((reference.probabilities, recent.probabilities), (reference.groups, recent.groups), seed)
    classifier = classifier_test(*features[0], seed, features[1])
    tests = {
        "classifier": asdict(classifier),
        "mmd": mmd_test(*features[0], seed, features[1]),
        "class_mix": class_mix_test(*answers[0], seed, answers[1]),
        "confidence": confidence_test(*answers[0], seed, answers[1]),
    }
    smallest = min(test["p_value"] for test in tests.values())
    score = max(0.0, 2 * (classifier.auc_lower or 0.0) - 1)
    return {"drifted": bool(smallest * len(tests) <= LEVEL), "score": score, "tests": tests}


def alike_groups(sets: tuple[Array, Array], groups: Groups, seed: int) -> tuple[tuple[Array, Array], Groups]:
    """Return rows and groups of both sets with at most as many images of a group as the median group has.

    The median is the smaller one of the two sets; of larger groups random images are left out. Groups of different
    sizes cannot be exchanged between the sets: a set of groups of one image varies more than one of groups of ten.
    """
    units = [_units_of(names, len(rows)) for rows, names in zip(sets, groups, strict=True)]
    if all(int(each.max(initial=-1)) + 1 == len(each) for each in units):
        return sets, groups
    most = min(int(np.median(np.bincount(each))) for each in units)
    kept = [_at_most(each, most, np.random.default_rng([seed, 6, index])) for index, each in enumerate(units)]
    rows = sets[0][kept[0]], sets[1][kept[1]]
    return rows, [[str(unit) for unit in each[indices]] for each, indices in zip(units, kept, strict=True)]


def _at_most(units: Targets, most: int, rng: np.random.Generator) -> Targets:
    """Return the indices, ascending, of at most `most` random images of each unit."""
    order = np.lexsort((rng.random(len(units)), units))
    sizes = np.bincount(units)
    place = np.arange(len(units)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[place < most])


def classifier_test(reference: Array, recent: Array, seed: int, groups: Groups = NO_GROUPS) -> Classifier:
    """Run a classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting Classifier Two-Sample Tests").

    A logistic regression is trained on half of each set to separate the two, and tested on the other halves. As the
    sets may differ in size, the p-value is that of the one-sided rank test of its scores (Mann & Whitney 1947). With
    groups the halves have whole groups, and the p-value is that of permutations of the tested groups.
    """
    from scipy.stats import mannwhitneyu
    from sklearn.linear_model import LogisticRegression

    sets = [(rows, _units_of(names, len(rows))) for rows, names in zip((reference, recent), groups, strict=True)]
    if min(int(units.max(initial=-1)) + 1 for _, units in sets) < MIN_IMAGES:
        return Classifier(None, None, None, 1.0)
    rng = np.random.default_rng([seed, 1])
    chosen = [_halves(units, rng) for _, units in sets]
    halves = [
        [rows[half].astype(np.float64) for half in rows_of] for (rows, _), rows_of in zip(sets, chosen, strict=True)
    ]
    train = np.concatenate([half[0] for half in halves])
    center, scale = train.mean(axis=0), train.std(axis=0)
    scale[scale <= _CONSTANT * np.abs(center) + 1e-12] = 1.0
    is_recent = np.repeat([0, 1], [len(half[0]) for half in halves])
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300).fit((train - center) / scale, is_recent)
    old, new = (model.decision_function((half[1] - center) / scale) for half in halves)
    rank_test = mannwhitneyu(new, old, alternative="greater")
    auc = float(rank_test.statistic) / (len(old) * len(new))
    accuracy = float((new > 0).mean() + (old <= 0).mean()) / 2
    tested = [units[half[1]] for (_, units), half in zip(sets, chosen, strict=True)]
    p_value, smaller = float(rank_test.pvalue), min(len(np.unique(each)) for each in tested)
    units = _Units.of((len(old), len(new)), [[str(unit) for unit in each] for each in tested])
    if units.grouped:
        p_value = _rank_p_value(np.concatenate([old, new]), units, seed)
    return Classifier(accuracy, auc, auc_lower_bound(auc, smaller), p_value)


def _halves(units: Targets, rng: np.random.Generator) -> list[Targets]:
    """Return the indices of the images of two random halves of the units; images alone are in random order."""
    number = int(units.max()) + 1
    halves = np.array_split(rng.permutation(number), 2)
    return halves if number == len(units) else [np.flatnonzero(np.isin(units, half)) for half in halves]


def _rank_p_value(scores: Array, units: _Units, seed: int) -> float:
    """Return the share of permutations of units in which the recent scores rank at least as high as observed."""
    from scipy.stats import rankdata

    recent = 1 - units.permuted(np.random.default_rng([seed, 4]))
    images = recent.sum(axis=0)
    wins = rankdata(scores) @ recent - images * (images + 1) / 2
    return _share_as_large(wins / (images * (len(scores) - images)))


def auc_lower_bound(auc: float, images: int) -> float:
    """Return the one-sided 95% lower bound of an AUC, conservative also at 1.

    images: number in the smaller set, or of groups in it. The variance of an AUC is at most A (1 - A) / `images`
    (Birnbaum & Klose 1957), that of a proportion, so Wilson's bound (1927) of a proportion holds.
    """
    square = _Z**2 / images
    spread = _Z * np.sqrt(auc * (1 - auc) / images + square / (4 * images))
    return float(max(0.0, (auc + square / 2 - spread) / (1 + square)))


def mmd_test(reference: Array, recent: Array, seed: int, groups: Groups = NO_GROUPS) -> dict[str, Any]:
    """Compute the unbiased squared maximum mean discrepancy (Gretton et al. 2012, "A Kernel Two-Sample Test").

    Returns {"value", "p_value"}. The width of the Gaussian kernel is the median distance; one matrix product evaluates
    all permutations. Images of one group are not compared with each other, as their resemblance is no shift.
    """
    from scipy.spatial.distance import pdist, squareform

    chosen = [sample_indices(len(rows), MAX_KERNEL_IMAGES, seed) for rows in (reference, recent)]
    samples = [rows[indices].astype(np.float64) for rows, indices in zip((reference, recent), chosen, strict=True)]
    names = [[of[index] for index in indices] if of else () for of, indices in zip(groups, chosen, strict=True)]
    units = _Units.of((len(samples[0]), len(samples[1])), names)
    if min(units.reference, units.recent) < 2:
        return {"value": None, "p_value": 1.0}
    squares = pdist(np.concatenate(samples), "sqeuclidean")
    width = float(np.median(squares)) or float(squares.mean()) or 1.0
    kernel = squareform(np.exp(-squares / width))  # its diagonal is 0: no image is compared with itself
    unit_sizes = np.bincount(units.of_image)
    if units.grouped:
        kernel[units.of_image[:, None] == units.of_image] = 0.0
    first = units.permuted(np.random.default_rng([seed, 2]))
    within_first, first_to_all = (first * (kernel @ first)).sum(axis=0), kernel.sum(axis=1) @ first
    within_second = kernel.sum() - 2 * first_to_all + within_first
    n = first.sum(axis=0)
    m = len(first) - n
    of_first = unit_sizes[units.of_image].astype(np.float64) @ first
    between = first_to_all - within_first
    # Pairs of one unit are left out of the numbers of pairs, too.
    pairs = n * n - of_first, m * m - (float((unit_sizes**2).sum()) - of_first)
    values = within_first / pairs[0] + within_second / pairs[1] - 2 * between / (n * m)
    return {"value": float(values[0]), "p_value": _share_as_large(values)}


def class_mix_test(reference: Array, recent: Array, seed: int, groups: Groups = NO_GROUPS) -> dict[str, Any]:
    """Compare the shares of the predicted classes.

    Returns chi-square with a permutation p-value, total variation, the population stability index, and the share of
    each class in both sets, in index order.
    """
    classes = reference.shape[1]
    answers = [rows.argmax(axis=1) for rows in (reference, recent)]
    counts = np.stack([np.bincount(each, minlength=classes) for each in answers])
    total, sizes = counts.sum(axis=0), counts.sum(axis=1)
    units = _Units.of((len(reference), len(recent)), groups)
    rng = np.random.default_rng([seed, 3])
    if units.grouped:
        table = np.zeros((units.reference + units.recent, classes))
        np.add.at(table, (units.of_image, np.concatenate(answers)), 1.0)
        in_second = np.ones((len(table), PERMUTATIONS + 1))
        in_second[: units.reference] = 0.0
        in_second[:, 1:] = rng.permuted(in_second[:, 1:], axis=0)
        recent_counts = in_second.T @ table
    else:
        draws = rng.multivariate_hypergeometric(total, sizes[1], size=PERMUTATIONS, method="marginals")
        recent_counts = np.concatenate([counts[1:], draws])
    recent_sizes = recent_counts.sum(axis=1)
    expected = np.maximum(total / sizes.sum(), 1e-300)
    # In a table of two rows, one row and the margins determine the other row, so chi-square needs one of them.
    factor = recent_sizes * (1 - recent_sizes / sizes.sum())
    values = ((recent_counts - recent_sizes[:, None] * expected) ** 2 / expected).sum(axis=1) / factor
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


def confidence_test(reference: Array, recent: Array, seed: int = 0, groups: Groups = NO_GROUPS) -> dict[str, Any]:
    """Run the Kolmogorov-Smirnov test of the probability of the predicted class; return it with the two means.

    With groups the p-value is that of permutations of groups.
    """
    from scipy.stats import ks_2samp

    old, new = reference.max(axis=1), recent.max(axis=1)
    test = ks_2samp(old, new)
    units, p_value = _Units.of((len(old), len(new)), groups), float(test.pvalue)
    if units.grouped:
        values = np.concatenate([old, new])
        order = np.argsort(values, kind="stable")
        last = np.flatnonzero(np.r_[np.diff(values[order]) > 0, True])  # of equal values
        first = units.permuted(np.random.default_rng([seed, 5]))[order]
        below = np.cumsum(first, axis=0)[last], np.cumsum(1 - first, axis=0)[last]
        p_value = _share_as_large(np.abs(below[0] / below[0][-1] - below[1] / below[1][-1]).max(axis=0))
    return {
        "statistic": float(test.statistic),
        "p_value": p_value,
        "reference": float(old.mean()),
        "recent": float(new.mean()),
    }


def _share_as_large(values: Array) -> float:
    """Return the permutation p-value of the first value, which counts as a permutation (Phipson & Smyth 2010)."""
    tolerance = 1e-12 * max(1.0, abs(float(values[0])))
    return float((values >= values[0] - tolerance).mean())
