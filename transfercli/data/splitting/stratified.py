"""Exact shares of every class: stratified sides and folds, drawn with a seed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from transfercli.data.splitting.copy_groups import Sample, Unit


class Board:
    """Where the images of each class stand while sides are decided.

    Attributes:
        fixed: pixel hash -> place, not to be changed.
        trained: pixel hashes that an earlier run trained on; they are no test images any more.
        place: pixel hash -> place of every image of `pool` that has one.
        classes: label -> its different pixel hashes; labels_of: the inverse.
        counts: label -> different images in each place.
        free: the units that may be put anywhere.
    """

    def __init__(self, pool: Sequence[Sample], fixed: Mapping[str, str], trained: Set[str] = frozenset()) -> None:
        self.fixed, self.trained, self.free = fixed, trained, list[Unit]()
        self.place: dict[str, str] = {}
        self.classes: defaultdict[str, set[str]] = defaultdict(set)
        self.labels_of: defaultdict[str, set[str]] = defaultdict(set)
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._free_of: defaultdict[str, list[Unit]] = defaultdict(list)
        for sample in pool:
            self.classes[sample.label].add(sample.pixels)
            self.labels_of[sample.pixels].add(sample.label)
        for pixels in self.labels_of:
            if pixels in fixed:
                self._set(pixels, fixed[pixels])

    def take(self, free: Iterable[Unit]) -> None:
        for unit in free:
            self.free.append(unit)
            for label in self.sizes(unit):
                self._free_of[label].append(unit)

    def free_of(self, label: str) -> list[Unit]:
        """The free units with an image of this class."""
        return self._free_of[label]

    def sizes(self, unit: Unit) -> Counter[str]:
        """Different images of a unit by class."""
        return Counter(label for pixels in unit.pixels for label in self.labels_of.get(pixels, ()))

    def may_go(self, unit: Unit, place: str) -> bool:
        return place != "test" or self.trained.isdisjoint(unit.pixels)

    def put(self, unit: Unit, place: str) -> None:
        for pixels in unit.pixels:
            self._set(pixels, place)

    def _set(self, pixels: str, place: str) -> None:
        before = self.place.get(pixels)
        for label in self.labels_of[pixels]:
            if before is not None:
                self.counts[label][before] -= 1
            self.counts[label][place] += 1
        self.place[pixels] = place


def deal(board: Board, shares: Mapping[str, float], seed: int) -> None:
    """Put every free unit where its class lacks most of its share, large units first, rare classes first.

    Before them those that may not be test images, so that the others can still fill that share. Single images end up
    at the exact shares; groups as near as their sizes let them.
    """
    for label in sorted(board.classes, key=lambda label: (len(board.classes[label]), label)):
        wanted = quotas(len(board.classes[label]), shares, f"{seed}/{label}")
        waiting = [unit for unit in board.free_of(label) if unit.pixels[0] not in board.place]
        sized = {unit.key: board.sizes(unit)[label] for unit in waiting}
        order = {unit.key: (board.may_go(unit, "test"), -sized[unit.key], _drawn(seed, unit.key)) for unit in waiting}
        for unit in sorted(waiting, key=lambda unit: order[unit.key]):
            standing = board.counts[label]
            able = [place for place in wanted if board.may_go(unit, place)]
            board.put(unit, max(able, key=lambda place: wanted[place] - standing[place]))


def quotas(count: int, shares: Mapping[str, float], salt: str) -> dict[str, int]:
    """`count` images shared out by largest remainder, at least one a place where there are as many.

    Equal remainders are told apart by a hash with `salt`, so that small classes do not all favour the same place.
    """
    exact = {place: count * share for place, share in shares.items()}
    given = {place: int(value + 1e-9) for place, value in exact.items()}
    rest = sorted(exact, key=lambda place: (round(given[place] - exact[place], 9), _drawn(salt, place)))
    for place in rest[: max(count - sum(given.values()), 0)]:
        given[place] += 1
    for place in given:
        richest = max(given, key=given.__getitem__)
        if not given[place] and given[richest] > 1:
            given[place], given[richest] = 1, given[richest] - 1
    return given


def _drawn(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()
