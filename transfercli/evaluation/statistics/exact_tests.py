"""One-sided and two-sided tests of a gain, exact for any number of images, also far below one in a thousand.

If two models are equally good, swapping their predictions of an independent unit (a group of images, or one image
without a group) does not change the distribution of the gain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.metrics.confusion import Targets
from transfercli.evaluation.scoring import Predicted, scoring_of
from transfercli.evaluation.statistics.permutation_test import TOLERANCE, swapped_gains

ENOUGH = 50  # swaps that gain as much, after which no more are drawn
MOST_SWAPS = 99_999


def gain_p_value(champion: Predicted, challenger: Predicted, metric: str, seed: int, most: int = MOST_SWAPS) -> float:
    """Return the one-sided p-value of the challenger's gain; 1 if the gain is not defined.

    For metrics that are a sum of whole numbers, such as accuracy, it is exact: McNemar's test (1947) on images, and its
    extension to groups and to several labels (`sign_flip_p_value`).
    For other metrics random swaps are drawn until `ENOUGH` of them gain as much, or `most` are drawn; stopping so keeps
    the p-value valid (Besag & Clifford 1991, "Sequential Monte Carlo p-values"). The smallest one is 1 / (`most` + 1).
    Both predictions must be of the same images under the same labels; the champion's groups are used.
    """
    if metric in scoring_of(champion).whole:
        return sign_flip_p_value(net_counts(champion, challenger, metric))
    as_large, drawn, observed = 0, 0, None
    for gains in swapped_gains(champion, challenger, metric, np.random.default_rng([seed, 3]), most + 1):
        if observed is None:
            observed, gains = float(gains[0]), gains[1:]
            if not np.isfinite(observed):
                return 1.0
        # A swap without a defined gain counts against the challenger.
        reached = ~(gains < observed - TOLERANCE * max(1.0, abs(observed)))
        if as_large + reached.sum() >= ENOUGH:
            last = np.flatnonzero(reached)[ENOUGH - as_large - 1]
            return ENOUGH / (drawn + int(last) + 1)
        as_large, drawn = as_large + int(reached.sum()), drawn + len(gains)
    return (as_large + 1) / (drawn + 1)


def difference_p_value(
    champion: Predicted, challenger: Predicted, metric: str, seed: int, most: int = MOST_SWAPS
) -> float:
    """Return the two-sided p-value of the difference: McNemar's exact test for accuracy, else that of the swaps.

    The smallest one of the swaps is 2 / (`most` + 1). Arguments as in `gain_p_value`.
    """
    if metric in scoring_of(champion).whole:
        return mcnemar(net_counts(champion, challenger, metric))
    one_sided = (
        gain_p_value(champion, challenger, metric, seed, most),
        gain_p_value(replace(challenger, groups=champion.groups), champion, metric, seed, most),
    )
    return min(1.0, 2 * min(one_sided))


def net_counts(champion: Predicted, challenger: Predicted, metric: str | None = None) -> Targets:
    """Return the right answers of the challenger minus those of the champion, int64 [G].

    There is one number for each group of images, or for each image if the champion's predictions have no groups.

    metric: one of `Scoring.whole`, whose answers are counted; None: an image is right as a whole or not.
    """
    scoring = scoring_of(champion)
    old, new = (
        scoring.right(model).astype(np.int64) if metric is None else scoring.whole[metric](model)
        for model in (champion, challenger)
    )
    nets = new - old
    clusters = cluster_indices(champion.groups)
    if clusters is None:
        return nets
    totals = np.zeros(int(clusters.max()) + 1, np.int64)
    np.add.at(totals, clusters, nets)
    return totals


def sign_flip_p_value(nets: Targets) -> float:
    """Return the probability that random signs of `nets`, int [G], give at least their sum.

    With nets of -1, 0 and 1 it is the one-sided exact test of McNemar, a binomial test. With groups of images it is the
    exact permutation form of McNemar's test for clustered data (Durkalski et al. 2003, "Analysis of clustered
    matched-pair data"): all 2**G sums are counted, by adding one group at a time to their distribution.
    """
    from scipy.stats import binomtest

    sizes = np.abs(nets[nets != 0])
    if len(sizes) == 0:
        return 1.0
    if sizes.max() == 1:
        return float(binomtest(int((nets > 0).sum()), len(sizes), alternative="greater").pvalue)
    # The sum of the sizes with a positive sign is (all sizes + sum of nets) / 2 exactly if the sum is as observed.
    positive = np.zeros(int(sizes.sum()) + 1)
    positive[0] = 1.0
    for size in sizes:
        shifted = np.zeros_like(positive)
        shifted[size:] = positive[: len(positive) - size]
        positive = (positive + shifted) / 2
    return min(1.0, float(positive[int(nets[nets > 0].sum()) :].sum()))


def mcnemar(nets: Targets) -> float:
    """Return the two-sided p-value of `sign_flip_p_value`; without groups that of McNemar's exact test (1947)."""
    from scipy.stats import binomtest

    sizes = np.abs(nets[nets != 0])
    if len(sizes) == 0:
        return 1.0
    if sizes.max() == 1:
        return float(binomtest(int((nets > 0).sum()), len(sizes)).pvalue)
    return min(1.0, 2 * min(sign_flip_p_value(nets), sign_flip_p_value(-nets)))
