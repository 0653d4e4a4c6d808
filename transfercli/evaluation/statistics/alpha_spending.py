"""Alpha spending: a limit on the false promotions of all nights together that compare models on the same test images.

Each night may promote a challenger that is not better with a probability of at most its level. The levels of all nights
that used a set of test images never add up to more than 1 - `retrain.promote.lifetime_confidence`, the budget. So the
chance of any false promotion is at most the budget, however the nights depend on each other (Bonferroni).

A level depends on what is left of the budget and on the validation images, never on tonight's answers to test images. A
night whose challenger is better on the validation images may spend more (weighted tests: Ignatiadis, Wang & Ramdas
2023, "E-values as unnormalized weights in multiple testing"). The validation images need not be honest for that: they
only divide the budget among the nights. A promotion costs nothing: if the challenger is better, it is no error, and if
not, the first error is made already (Tian & Ramdas 2021, "Online control of the familywise error rate").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import count_clusters
from transfercli.evaluation.scoring import Predicted
from transfercli.evaluation.statistics.exact_tests import MOST_SWAPS, gain_p_value
from transfercli.text import counted

Array = npt.NDArray[np.float64]

SHARE = 0.01  # of what is left: spent on average by a night whose challenger is not better
SMALLEST_SHARE = 0.001  # of what is left, for a challenger that is worse on the validation images
LARGEST_SHARE = 0.5  # of what is left, for a challenger that is far better on them
VALIDATION_SWAPS = 9_999  # as strong as evidence needs to be for `LARGEST_SHARE`
SMALLEST_P_VALUE = 1e-15  # of the validation images: normal quantiles stay finite


@dataclass(frozen=True, slots=True)
class Evidence:
    """Comparison of challenger and champion on validation images that both have and neither trained on.

    units: number of groups of images, or of images without groups; 0 if there are none, or none on which they differ
    p_value: one-sided mid-p-value of the challenger's gain; 0.5 without evidence
    """

    units: int = 0
    p_value: float = 0.5


def evidence_of(champion: Predicted, challenger: Predicted, metric: str, seed: int) -> Evidence:
    """Return the evidence of predictions of the same validation images under the same labels.

    If the two models do not differ on these images, they say nothing, which is not the same as that neither is better.
    """
    gain, loss = (
        gain_p_value(*models, metric, seed, VALIDATION_SWAPS)
        for models in ((champion, challenger), (challenger, champion))
    )
    if gain == loss == 1:
        return Evidence()
    return Evidence(count_units(champion), (gain + 1 - loss) / 2)


def count_units(predictions: Predicted) -> int:
    """Return the number of independent groups of images, or of images if they have no groups."""
    return count_clusters(predictions.groups) or len(predictions)


def budget_of(confidence: float) -> float:
    """Return 1 - `lifetime_confidence`, as a decimal number and not as its binary neighbour."""
    return round(1 - confidence, 12)


def night_level(
    left: Array | float, test_units: int, validation_units: int, validation_p: Array | float, most: float
) -> Array:
    """Return the level of a night: the largest p-value, on the test images, of a challenger that may be promoted.

    The sum of the normal scores of both sets of images, weighted by the square roots of their sizes, must reach the
    quantile of `SHARE` of what is left. This is the most powerful division of the budget if the true gain is the same
    on both, and a night whose challenger is not better spends `SHARE` on average.

    left: what is left of the budget; most: 1 - confidence of a single night. Arrays of the same shape give an array.
    """
    from scipy.special import ndtr, ndtri

    score = -ndtri(np.clip(validation_p, SMALLEST_P_VALUE, 1 - SMALLEST_P_VALUE))
    remaining = np.maximum(left, 0.0)
    needed = -ndtri(SHARE * remaining) * math.sqrt(test_units + validation_units)
    level = ndtr((score * math.sqrt(validation_units) - needed) / math.sqrt(test_units))
    level = np.maximum(level, SMALLEST_SHARE * remaining)
    return np.minimum(level, np.minimum(LARGEST_SHARE * remaining, most))


def swaps_for(level: float) -> int:
    """Return the number of random swaps whose smallest p-value is a twentieth of the level, within limits."""
    return round(min(max(20 / level, 999), MOST_SWAPS)) if level > 0 else 999


def images_to_promote(level: float) -> int:
    """Return the smallest number of images fixed, with none broken, whose exact p-value is at most `level`."""
    return math.ceil(-math.log2(level) - 1e-9)


def comparisons_text(asked: float) -> str:
    """Return a mean number of comparisons in words, whole: `1 comparison`, `about 2 comparisons`."""
    mean = round(asked, 1)  # as it is logged
    number = max(1, math.floor(mean + 0.5))
    return f"{'' if mean == number else 'about '}{counted(number, 'comparison')}"


def images_to_renew(spent: float, images: int, budget: float) -> int:
    """Return the number of new test images after which half of the budget is left; 0 if it is.

    spent: mean of what was spent on each of the present images.
    """
    return max(0, math.ceil(images * (2 * spent / budget - 1) - 1e-9))


@dataclass(frozen=True, slots=True)
class NightLimit:
    """The level of a night, and what the test images that decide have spent.

    Attributes:
        confidence: that no night of all that use these images promotes a worse model; the budget is 1 minus this.
        level: the largest p-value of a challenger that may be promoted tonight.
        asked: mean number of comparisons that an image took part in, with tonight's.
        spent: mean of the levels of an image's earlier comparisons.
        images: number of test images that decide.
        evidence: of the validation images.
    """

    confidence: float
    level: float
    asked: float
    spent: float
    images: int
    evidence: Evidence = Evidence()

    @property
    def budget(self) -> float:
        """Sum of the levels that all nights together may reach."""
        return budget_of(self.confidence)

    def spent_after(self, promoted: bool) -> float:
        """Return what is spent after tonight's decision; a promotion spends nothing."""
        return self.spent if promoted else self.spent + self.level

    def left_after(self, promoted: bool) -> float:
        """Return what is left of the budget after tonight's decision."""
        return max(0.0, self.budget - self.spent_after(promoted))

    def record(self, p_value: float, promoted: bool) -> dict[str, Any]:
        """Return the `lifetime` of a decision."""
        return {
            "confidence": self.confidence,
            "asked": round(self.asked, 1),
            "p_value": p_value,
            "alpha": self.level,
            "spent": self.spent_after(promoted),
            "left": self.left_after(promoted),
            "validation": {"images": self.evidence.units, "p_value": self.evidence.p_value},
        }
