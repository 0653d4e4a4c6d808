"""Paired permutation test: the predictions of two models for the same images are swapped at random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.metrics.confusion import Array
from transfercli.evaluation.scoring import Predicted, scoring_of
from transfercli.evaluation.statistics.bootstrap import BLOCK_NUMBERS

SWAPS = 999
TOLERANCE = 1e-12  # gains closer than this are equal


def permutation_p_value(champion: Predicted, challenger: Predicted, metric: str, seed: int) -> float | None:
    """Return the share of random swaps with at least the challenger's gain; None if the gain is not defined.

    Approximate randomisation (Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses"; Yeh 2000): if the two
    models are equally good, exchanging their predictions of an image, each with probability one half, does not change
    the distribution of the gain. The test is exact for every metric and any number of images. Gains equal to the
    observed one count half (mid-p, Lancaster 1961), so the p-value of a loss is one minus this; for accuracy it is
    McNemar's test. The images of a group are swapped together.

    Both predictions must be of the same images under the same labels; the champion's groups are used.
    """
    gains = swapped_gains(champion, challenger, metric, np.random.default_rng([seed, 1]), SWAPS + 1)
    values = np.concatenate(list(gains))
    observed = float(values[0])
    if not np.isfinite(observed):
        return None
    known = values[np.isfinite(values)]
    tolerance = TOLERANCE * max(1.0, abs(observed))
    above, tied = known > observed + tolerance, np.abs(known - observed) <= tolerance
    return float(above.mean() + tied.mean() / 2)


def swapped_gains(
    champion: Predicted, challenger: Predicted, metric: str, rng: np.random.Generator, number: int
) -> Iterator[Array]:
    """Yield blocks [r] of `number` gains in all: first the observed one, then those of random swaps.

    A gain is positive if the challenger is better, also if lower values of the metric are.
    """
    scoring = scoring_of(champion)
    row = scoring.metrics[metric]
    sign = 1 if row.higher_is_better else -1
    clusters = cluster_indices(champion.groups)
    units = len(champion) if clusters is None else int(clusters.max()) + 1
    block = max(1, BLOCK_NUMBERS // (2 * len(champion)))
    for start in range(0, number, block):
        swapped = rng.integers(2, size=(units, min(block, number - start))).astype(np.float64)
        if start == 0:
            swapped[:, 0] = 0.0  # the observed gain is one of the permutations
        if clusters is not None:
            swapped = swapped[clusters]
        old, new = (
            row.rule(scoring.sample([champion, challenger], np.concatenate(weights), None))
            for weights in ((1 - swapped, swapped), (swapped, 1 - swapped))
        )
        yield sign * (new - old)
