"""Stratified splits and folds of images with several labels: the shares of every label, as nearly as they can be had.

First iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, "On the stratification of multi-label data"): the
images of the label with the fewest left go to the subset that lacks most of them. A label that most images have comes
last and gets what the others leave over. So images are then moved and exchanged between subsets, as long as the numbers
come nearer to the wanted ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from transfercli.data.splitting.allocation import Allocation
from transfercli.data.splitting.copy_groups import Unit
from transfercli.data.splitting.stratified import hash_of, quotas

_STEPS = 2000  # moves and exchanges at most
_TRIED = 64  # units of each of two subsets that are tried for an exchange
_LEAST = 1e-9  # a smaller gain is rounding

Quotas = Mapping[str, Mapping[str, int]]
Floats = npt.NDArray[np.float64]


def allocate_labels(allocation: Allocation, shares: Mapping[str, float], seed: int) -> None:
    """Assign every free unit to a subset so that each has its share of every label and of all images.

    Of the units with a label, those that cannot become test images come first, so that the others can still fill the
    test split, then large ones; the rest of the order follows from the seed.

    Args:
        shares: subset -> fraction of the images of every label.
    """
    wanted = {label: quotas(len(found), shares, f"{seed}/{label}") for label, found in allocation.classes.items()}
    images = quotas(len(allocation.labels_of), shares, str(seed))
    ordered = sorted(
        allocation.free,
        key=lambda unit: (allocation.is_allowed(unit, "test"), -len(unit.pixels), hash_of(seed, unit.key)),
    )
    _assign_rarest_first(allocation, wanted, images, ordered)
    _Exchange(allocation, wanted, images, ordered).run()


def _assign_rarest_first(
    allocation: Allocation, wanted: Quotas, images: Mapping[str, int], ordered: Sequence[Unit]
) -> None:
    """Assign the units of the label with the fewest left, again and again; at last those without a label."""
    place = {unit.key: number for number, unit in enumerate(ordered)}
    units_of = {label: sorted(allocation.free_of(label), key=lambda unit: place[unit.key]) for label in wanted}
    left = Counter({label: len(units) for label, units in units_of.items()})
    assigned: set[str] = set()
    while +left:
        rarest = min(+left, key=lambda label: (left[label], label))
        for unit in units_of[rarest]:
            if unit.key not in assigned:
                lacking = {
                    subset: quota - allocation.counts[rarest][subset] for subset, quota in wanted[rarest].items()
                }
                _assign(allocation, unit, images, lacking)
                assigned.add(unit.key)
                left.subtract(allocation.sizes(unit).keys())
    for unit in ordered:
        if unit.key not in assigned:
            _assign(allocation, unit, images, {})


def _assign(allocation: Allocation, unit: Unit, images: Mapping[str, int], lacking: Mapping[str, int]) -> None:
    """Assign a unit to the subset that lacks most images of a label; of several, to the one that lacks most images."""
    allowed = [subset for subset in images if allocation.is_allowed(unit, subset)]
    best = max(allowed, key=lambda subset: (lacking.get(subset, 0), images[subset] - allocation.images[subset]))
    allocation.assign(unit, best)


class _Exchange:
    """Moves and exchanges of U units between S subsets that reduce the squared excess of L labels and of all images.

    The excess is the number of images beyond the wanted one; its square counts relative to the label's images, so that
    a rare label weighs as much as a frequent one.
    """

    def __init__(
        self, allocation: Allocation, wanted: Quotas, images: Mapping[str, int], units: Sequence[Unit]
    ) -> None:
        from scipy import sparse

        self._allocation, self._units, self._subsets = allocation, units, list(images)
        labels = {label: number for number, label in enumerate(sorted(wanted))}
        sizes = [allocation.sizes(unit) for unit in units]
        rows = [row for row, size in enumerate(sizes) for _ in size] + [*range(len(units))]
        columns = [labels[label] for size in sizes for label in size] + [len(labels)] * len(units)
        values = [count for size in sizes for count in size.values()] + [len(unit.pixels) for unit in units]
        quotas_of = [wanted[label] for label in labels] + [images]
        numbers = [allocation.counts[label] for label in labels] + [allocation.images]
        weight = np.array([max(sum(quota.values()), 1) ** -0.5 for quota in quotas_of])
        excess = [
            [number[s] - quota[s] for s in self._subsets] for number, quota in zip(numbers, quotas_of, strict=True)
        ]
        shape = len(units), len(labels) + 1
        self._sizes = sparse.csr_array((values, (rows, columns)), shape).multiply(weight[None, :]).tocsr()
        self._excess = np.array(excess, float) * weight[:, None]
        self._square: Floats = np.asarray(self._sizes.multiply(self._sizes).sum(axis=1)).ravel()
        self._place = np.array([self._subsets.index(allocation.subset_of[unit.pixels[0]]) for unit in units], int)
        self._allowed = np.array([[allocation.is_allowed(unit, subset) for subset in self._subsets] for unit in units])

    def run(self) -> None:
        """Make the best move, or if there is none the best exchange, until nothing helps."""
        for _ in range(_STEPS if len(self._units) else 0):
            products = self._sizes @ self._excess
            if not self._move(products) and not self._exchange(products):
                return

    def _move(self, products: Floats) -> bool:
        rows = np.arange(len(self._units))
        change = products - products[rows, self._place][:, None] + self._square[:, None]
        change[~self._allowed] = np.inf
        change[rows, self._place] = np.inf
        row, subset = np.unravel_index(change.argmin(), change.shape)
        if change[row, subset] > -_LEAST:
            return False
        self._set(int(row), int(subset))
        return True

    def _exchange(self, products: Floats) -> bool:
        best, chosen = -_LEAST, None
        for one, other in combinations(range(len(self._subsets)), 2):
            change = products[:, other] - products[:, one]
            leaving = self._first(change + self._square, one, other)
            coming = self._first(self._square - change, other, one)
            if not (len(leaving) and len(coming)):
                continue
            common = (self._sizes[leaving] @ self._sizes[coming].T).toarray()
            total = (change + self._square)[leaving][:, None] + (self._square - change)[coming][None, :] - 2 * common
            row, column = np.unravel_index(total.argmin(), total.shape)
            if total[row, column] < best:
                best, chosen = total[row, column], ((int(leaving[row]), other), (int(coming[column]), one))
        for row, subset in chosen or ():
            self._set(row, subset)
        return chosen is not None

    def _first(self, change: Floats, source: int, target: int) -> npt.NDArray[np.intp]:
        """Return the units of `source` that gain most by a move to `target`."""
        rows = np.flatnonzero((self._place == source) & self._allowed[:, target])
        return rows[np.argsort(change[rows], kind="stable")[:_TRIED]]

    def _set(self, row: int, subset: int) -> None:
        sizes = self._sizes[[row]].toarray()[0]
        self._excess[:, self._place[row]] -= sizes
        self._excess[:, subset] += sizes
        self._place[row] = subset
        self._allocation.assign(self._units[row], self._subsets[subset])
