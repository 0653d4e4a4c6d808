"""Stratified splits and folds: exact shares of every class, drawn with a seed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from transfercli.data.splitting.copy_groups import Sample, Unit


class Allocation:
    """Subsets of the images of each class while they are being assigned.

    Attributes:
        fixed: pixel hash -> subset that must not change.
        trained: pixel hashes that an earlier run trained on; they cannot become test images.
        subset_of: pixel hash -> subset, for the images of `pool` that are assigned.
        classes: label -> its different pixel hashes.
        labels_of: pixel hash -> its labels.
        counts: label -> subset -> number of different images.
        free: units without a fixed subset.
    """

    def __init__(self, pool: Sequence[Sample], fixed: Mapping[str, str], trained: Set[str] = frozenset()) -> None:
        self.fixed, self.trained, self.free = fixed, trained, list[Unit]()
        self.subset_of: dict[str, str] = {}
        self.classes: defaultdict[str, set[str]] = defaultdict(set)
        self.labels_of: defaultdict[str, set[str]] = defaultdict(set)
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._free_of: defaultdict[str, list[Unit]] = defaultdict(list)
        for sample in pool:
            self.labels_of[sample.pixels].update(sample.labels)
            for label in sample.labels:
                self.classes[label].add(sample.pixels)
        for pixels in self.labels_of:
            if pixels in fixed:
                self._set(pixels, fixed[pixels])

    def add_free(self, free: Iterable[Unit]) -> None:
        """Add units without a fixed subset."""
        for unit in free:
            self.free.append(unit)
            for label in self.sizes(unit):
                self._free_of[label].append(unit)

    def free_of(self, label: str) -> list[Unit]:
        """Return the free units with an image of this class."""
        return self._free_of[label]

    def sizes(self, unit: Unit) -> Counter[str]:
        """Return the number of different images of a unit per class."""
        return Counter(label for pixels in unit.pixels for label in self.labels_of.get(pixels, ()))

    def is_allowed(self, unit: Unit, subset: str) -> bool:
        """Return False if the unit was trained on and the subset is `test`."""
        return subset != "test" or self.trained.isdisjoint(unit.pixels)

    def assign(self, unit: Unit, subset: str) -> None:
        """Assign all images of a unit to a subset."""
        for pixels in unit.pixels:
            self._set(pixels, subset)

    def _set(self, pixels: str, subset: str) -> None:
        before = self.subset_of.get(pixels)
        for label in self.labels_of[pixels]:
            if before is not None:
                self.counts[label][before] -= 1
            self.counts[label][subset] += 1
        self.subset_of[pixels] = subset


def allocate(allocation: Allocation, shares: Mapping[str, float], seed: int) -> None:
    """Assign every free unit to the subset that lacks most images of its class.

    Rare classes come first, and within a class large units. Units that cannot become test images come before all
    others, so that the others can still fill the test split. Single images reach the exact shares, groups as nearly as
    their sizes allow.

    Args:
        shares: subset -> fraction of the images of every class.
    """
    for label in sorted(allocation.classes, key=lambda label: (len(allocation.classes[label]), label)):
        quota = quotas(len(allocation.classes[label]), shares, f"{seed}/{label}")
        waiting = [unit for unit in allocation.free_of(label) if unit.pixels[0] not in allocation.subset_of]
        order = {
            unit.key: (allocation.is_allowed(unit, "test"), -allocation.sizes(unit)[label], _hash(seed, unit.key))
            for unit in waiting
        }
        for unit in sorted(waiting, key=lambda unit: order[unit.key]):
            present = allocation.counts[label]
            allowed = [subset for subset in quota if allocation.is_allowed(unit, subset)]
            allocation.assign(unit, max(allowed, key=lambda subset: quota[subset] - present[subset]))


def quotas(count: int, shares: Mapping[str, float], salt: str) -> dict[str, int]:
    """Divide `count` images by the largest-remainder method, with at least one per subset if `count` allows.

    Equal remainders are ordered by a hash with `salt`, so that small classes do not all favour the same subset.

    Returns subset -> number of images.
    """
    exact = {subset: count * share for subset, share in shares.items()}
    quota = {subset: int(value + 1e-9) for subset, value in exact.items()}
    by_remainder = sorted(exact, key=lambda subset: (round(quota[subset] - exact[subset], 9), _hash(salt, subset)))
    for subset in by_remainder[: max(count - sum(quota.values()), 0)]:
        quota[subset] += 1
    for subset in quota:
        largest = max(quota, key=quota.__getitem__)
        if not quota[subset] and quota[largest] > 1:
            quota[subset], quota[largest] = 1, quota[largest] - 1
    return quota


def _hash(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()
