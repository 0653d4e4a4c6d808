"""Classes or labels that recent images are expected to have, by how often the model takes other images for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array, ratio
from transfercli.evaluation.monitoring.answered_images import LabelledAnswers
from transfercli.evaluation.monitoring.confidence_estimates import CertaintyMap
from transfercli.evaluation.monitoring.expected_metrics import PRESENT, class_probabilities

RARE = 0.1  # of the held-out share, from which a class is expected
_Z = 2.0  # standard deviations above the mistaken images, from which it is expected at any share


@dataclass(frozen=True, slots=True, eq=False)
class ClassPresence:
    """Mean probabilities of each class or label among held-out images, each [C].

    mistaken: among those that are not of it; gained: how much higher among those that are; share: of its images
    images: number of held-out images
    """

    mistaken: Array
    gained: Array
    share: Array
    images: int

    @classmethod
    def fit(cls, held_out: LabelledAnswers, certainty: CertaintyMap) -> ClassPresence:
        """Return the presence by held-out answers."""
        probabilities = class_probabilities(held_out.answers, certainty.right(held_out.answers))
        own, other = held_out.truth == 1, held_out.truth == 0
        mistaken, right = (
            np.nan_to_num(ratio((probabilities * rows).sum(axis=0), rows.sum(axis=0))) for rows in (other, own)
        )
        return cls(mistaken, np.maximum(right - mistaken, 0.0), own.mean(axis=0), len(held_out))

    def expected(self, probabilities: Array) -> npt.NDArray[np.bool_]:
        """Return True for each class that images are expected of, [C], by their probabilities [N, C].

        The sum of the probabilities has to exceed that of images of other classes alone: plainly, or by a tenth of
        what the images of the class itself would add at its held-out share.
        """
        number = len(probabilities)
        mistaken = number * self.mistaken
        plainly = PRESENT + _Z * np.sqrt(mistaken * (1 + number / self.images))
        few = np.maximum(PRESENT, RARE * number * self.share * self.gained)
        beyond: npt.NDArray[np.bool_] = probabilities.sum(axis=0) - mistaken >= np.minimum(plainly, few)
        return beyond
