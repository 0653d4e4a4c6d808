"""How often would chance alone gain as much? Two models' answers to the same images, swapped at random."""

from __future__ import annotations

import numpy as np

from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.bootstrap import AT_ONCE

SWAPS = 999


def by_chance(champion: Predictions, challenger: Predictions, metric: str, seed: int) -> float | None:
    """The share of random swaps under which the challenger gains at least as much; None where no gain is defined.

    Approximate randomisation (Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses"; Yeh 2000): were the two
    models alike, each image's two answers might as well be exchanged, so the gain is one of those that exchanging each
    with probability a half gives. It is exact however few images there are, for every metric. Gains that tie with the
    one found count half (mid-p, Lancaster 1961), so that of a loss it is one minus this; for accuracy it is McNemar's
    test.

    Both sets of predictions are of the same images under the same labels.
    """
    row = METRICS[metric]
    sign = 1 if row.higher_is_better else -1
    targets = np.concatenate([champion.targets, challenger.targets])
    probabilities = np.concatenate([champion.probabilities, challenger.probabilities])
    rng, gains = np.random.default_rng([seed, 1]), []
    block = max(1, AT_ONCE // len(targets))
    for start in range(0, SWAPS + 1, block):
        swapped = rng.integers(2, size=(len(champion), min(block, SWAPS + 1 - start))).astype(np.float64)
        if start == 0:
            swapped[:, 0] = 0.0  # the gain that was found is one of them
        old, new = (
            row.rule(Sample(targets, probabilities, np.concatenate(sides)))
            for sides in ((1 - swapped, swapped), (swapped, 1 - swapped))
        )
        gains.append(sign * (new - old))
    found = np.concatenate(gains)
    if not np.isfinite(found[0]):
        return None
    known = found[np.isfinite(found)]
    tolerance = 1e-12 * max(1.0, abs(float(found[0])))
    above, tied = known > found[0] + tolerance, np.abs(known - found[0]) <= tolerance
    return float(above.mean() + tied.mean() / 2)
