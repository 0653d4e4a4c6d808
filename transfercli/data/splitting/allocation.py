"""Subsets of images while they are being assigned, with the numbers of images of each class or label in each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from transfercli.data.splitting.copy_groups import Sample, Unit


@dataclass(frozen=True, slots=True)
class Presence:
    """Condition that a split meets: an image with a label or, if not `positive`, one known to be without it."""

    label: str
    positive: bool = True


class Allocation:
    """Subsets of the images of each class while they are being assigned.

    Attributes:
        several: True if an image may have several labels; then a split needs images without each label, too.
        fixed: pixel hash -> subset that must not change.
        trained: pixel hashes that an earlier run trained on; they cannot become test images.
        subset_of: pixel hash -> subset, for the images of `pool` that are assigned.
        classes: label -> its different pixel hashes.
        labels_of: pixel hash -> its labels.
        counts: label -> subset -> number of different images.
        images: subset -> number of different images.
        free: units without a fixed subset.
    """

    def __init__(
        self,
        pool: Sequence[Sample],
        fixed: Mapping[str, str],
        trained: Set[str] = frozenset(),
        *,
        several: bool = False,
    ) -> None:
        self.several, self.fixed, self.trained, self.free = several, fixed, trained, list[Unit]()
        self.subset_of: dict[str, str] = {}
        self.classes: defaultdict[str, set[str]] = defaultdict(set)
        self.labels_of: defaultdict[str, set[str]] = defaultdict(set)
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.images: Counter[str] = Counter()
        self._unknown_of: defaultdict[str, set[str]] = defaultdict(set)
        self._unknown: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._free_of: defaultdict[str, list[Unit]] = defaultdict(list)
        for sample in pool:
            self.labels_of[sample.pixels].update(sample.labels)
            for label in sample.labels:
                self.classes[label].add(sample.pixels)
            if sample.unknown:
                self._unknown_of[sample.pixels].update(sample.unknown)
        for pixels, unknown in self._unknown_of.items():
            unknown -= self.labels_of[pixels]
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

    def candidates(self, presence: Presence) -> list[Unit]:
        """Return the free units with an image that meets a condition."""
        if presence.positive:
            return self.free_of(presence.label)
        return [unit for unit in self.free if self.size(unit, presence)]

    def sizes(self, unit: Unit) -> Counter[str]:
        """Return the number of different images of a unit per class."""
        return Counter(label for pixels in unit.pixels for label in self.labels_of.get(pixels, ()))

    def size(self, unit: Unit, presence: Presence) -> int:
        """Return the number of different images of a unit that meet a condition."""
        return sum(self._meets(pixels, presence) for pixels in unit.pixels if pixels in self.labels_of)

    def number(self, presence: Presence) -> int:
        """Return the number of different assigned images that meet a condition."""
        return sum(self.count(presence, subset) for subset in self.images)

    def count(self, presence: Presence, subset: str) -> int:
        """Return the number of different images in a subset that meet a condition."""
        positive = self.counts[presence.label][subset]
        return positive if presence.positive else self.images[subset] - positive - self._unknown[presence.label][subset]

    def emptied_without(self, unit: Unit) -> Iterator[Presence]:
        """Yield the conditions that the subset of an assigned unit would no longer meet without the unit."""
        subset = self.subset_of[unit.pixels[0]]
        for label, size in self.sizes(unit).items():
            if self.counts[label][subset] <= size:
                yield Presence(label)
        for label in self.classes if self.several else ():
            without = Presence(label, positive=False)
            if (size := self.size(unit, without)) and self.count(without, subset) <= size:
                yield without

    def is_allowed(self, unit: Unit, subset: str) -> bool:
        """Return False if the unit was trained on and the subset is `test`."""
        return subset != "test" or self.trained.isdisjoint(unit.pixels)

    def assign(self, unit: Unit, subset: str) -> None:
        """Assign all images of a unit to a subset."""
        for pixels in unit.pixels:
            self._set(pixels, subset)

    def _meets(self, pixels: str, presence: Presence) -> bool:
        has = presence.label in self.labels_of[pixels]
        return has if presence.positive else not has and presence.label not in self._unknown_of.get(pixels, ())

    def _set(self, pixels: str, subset: str) -> None:
        before = self.subset_of.get(pixels)
        numbers = [self.images, *(self.counts[label] for label in self.labels_of[pixels])]
        numbers += [self._unknown[label] for label in self._unknown_of.get(pixels, ())]
        for number in numbers:
            if before is not None:
                number[before] -= 1
            number[subset] += 1
        self.subset_of[pixels] = subset
