"""Fixed grids of histograms. Every process and day counts in the same bins, so that histograms add up exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

CONFIDENCE_BINS = 1000
SMALLEST, DECADES, PER_DECADE = 1e-2, 6, 64  # a bin of the grid of numbers is 3.7% of its distance from 0 wide


@dataclass(frozen=True, eq=False)
class Grid:
    """Bins between edges.

    edges: float64 [bins - 1], ascending. Bin i holds edges[i - 1] <= value < edges[i]; the outer bins have no end.
    """

    edges: npt.NDArray[np.float64]

    @property
    def bins(self) -> int:
        return len(self.edges) + 1

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """The middle of each bin; of the outer ones, the edge that they have."""
        edges = self.edges
        return np.concatenate([edges[:1], (edges[1:] + edges[:-1]) / 2, edges[-1:]])

    def counts(self, values: Floats) -> Integers:
        """Return the number of values in each bin, int64 [bins]."""
        places = np.searchsorted(self.edges, values.astype(np.float64), side="right")
        return np.bincount(places, minlength=self.bins).astype(np.int64)


def _symmetric_edges() -> npt.NDArray[np.float64]:
    """Return edges whose distance from 0 grows by a constant factor: a number of any size has a bin that fits it."""
    above = SMALLEST * 10 ** (np.arange(DECADES * PER_DECADE + 1) / PER_DECADE)
    return np.concatenate([-above[::-1], above])


CONFIDENCES = Grid(np.arange(1, CONFIDENCE_BINS) / CONFIDENCE_BINS)  # of probabilities
NUMBERS = Grid(_symmetric_edges())  # of out-of-distribution scores, and of the numbers that a regression answers
