"""Pairs of labels of images with several: numbers of images with both, and pairs that chance does not explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.label_sets import LabelSet

LEVEL = 0.01  # probability that chance makes one or more of all pairs look suspicious
SAME, IMPLIED, EXCLUSIVE = "same images", "only with", "never together"

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelPair:
    """Two labels that go together, or exclude each other, more than chance allows.

    Attributes:
        kind: `same images` if the images with one are those with the other, `only with` if `first` is only in images
            with `second`, `never together` if no image has both.
        together: number of images with both.
        first_images, second_images: number of images with each, of those in which both are known.
    """

    first: str
    second: str
    kind: str
    together: int
    first_images: int
    second_images: int

    def as_result(self) -> dict[str, Any]:
        """Return the pair as JSON."""
        return {
            "labels": [self.first, self.second],
            "kind": self.kind,
            "together": self.together,
            "images": [self.first_images, self.second_images],
        }


@dataclass(frozen=True, eq=False)
class CoOccurrence:
    """Numbers of images with two labels.

    Attributes:
        labels: the L labels.
        together: int64 [L, L]; on the diagonal the number of images with the label.
        unknown: number of images in which each label is unknown.
        pairs: those that chance does not explain.
    """

    labels: Sequence[str]
    together: Counts
    unknown: dict[str, int]
    pairs: Sequence[LabelPair]

    def as_result(self) -> dict[str, Any]:
        """Return the numbers as JSON."""
        return {"labels": list(self.labels), "together": self.together.tolist()}


def co_occurrence(sets: Sequence[LabelSet], labels: Sequence[str]) -> CoOccurrence:
    """Count how often labels are in the same image. sets: of each image; unknown labels count as neither."""
    has, unknown = (_indicators([getattr(one, kind) for one in sets], labels) for kind in ("has", "unknown"))
    together = (has.T @ has).toarray()
    unjudged = (unknown.T @ unknown).toarray()
    missing = unjudged.diagonal()
    known = len(sets) - missing[:, None] - missing[None, :] + unjudged  # images in which both are known
    images = together.diagonal()[:, None] - (has.T @ unknown).toarray()  # of label i, in which j is known, too
    counts = {label: int(count) for label, count in zip(labels, missing, strict=True) if count}
    return CoOccurrence(labels, together, counts, _suspicious(labels, together, images, known))


def _indicators(of_image: Sequence[Sequence[str]], labels: Sequence[str]) -> Any:
    """Return a sparse int64 [N, L]: 1 for each label of each image."""
    from scipy import sparse

    index_of = {label: index for index, label in enumerate(labels)}
    rows = [row for row, names in enumerate(of_image) for _ in names]
    columns = [index_of[name] for names in of_image for name in names]
    return sparse.csr_array((np.ones(len(rows), np.int64), (rows, columns)), (len(of_image), len(labels)))


def _suspicious(labels: Sequence[str], together: Counts, images: Counts, known: Counts) -> list[LabelPair]:
    """Return the pairs with a number of common images that independent labels would hardly have.

    Fisher's exact test on the images in which both are known, with Bonferroni's correction for the number of pairs.
    """
    from scipy.stats import hypergeom

    level = LEVEL / max(len(labels) * (len(labels) - 1) / 2, 1)
    fewer = np.minimum(images, images.T)
    always = np.triu((together == fewer) & (fewer > 0), 1)
    never = np.triu((together == 0) & (fewer > 0), 1)
    found = []
    for a, b in np.argwhere(always | never):
        count, first, second = int(together[a, b]), int(images[a, b]), int(images[b, a])
        chance = hypergeom(int(known[a, b]), first, second)
        if (chance.sf(count - 1) if count else chance.cdf(0)) > level:
            continue
        if first > second:
            a, b, first, second = b, a, second, first
        kind = EXCLUSIVE if not count else SAME if first == second else IMPLIED
        found.append(LabelPair(labels[a], labels[b], kind, count, first, second))
    order = [SAME, IMPLIED, EXCLUSIVE]
    return sorted(found, key=lambda pair: (order.index(pair.kind), -pair.first_images, pair.first, pair.second))
