"""Which side an image is on: decided once, by its pixels or its group, and kept for good.

The side of an image not seen before follows from the hash of its decoded pixels, so it does not depend on the other
images, on names or on order: adding files moves nothing, and a copy lands where its original is. Images of one group
go together, by the hash of the group's name. Earlier assignments win over all that. Only where a class would lack a
side is something moved, the image or group with the lowest hash, and that move is an assignment like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from transfercli.data.splitting.assignments import SIDES, count_of, fold_name
from transfercli.data.splitting.copy_groups import Sample, Unit, units_of
from transfercli.data.splitting.stratified import Board, deal
from transfercli.errors import DataError
from transfercli.text import counted

RANK = {side: rank for rank, side in enumerate(SIDES)}  # an image once held out never comes back to train


@dataclass(frozen=True, slots=True)
class Folds:
    """Cross-validation: `count` folds, of which number `validating` (from 1) validates and the others train."""

    count: int
    validating: int

    def name(self, number: int) -> str:
        return fold_name(number, self.count)

    def side(self, place: str) -> str:
        """The side of an image whose place is a fold of this count, or a side itself."""
        if not count_of(place):
            return place
        return "validation" if place == self.name(self.validating) else "train"


@dataclass(frozen=True, slots=True)
class Sides:
    """What `assign` decides.

    Attributes:
        sides: of each sample, in order.
        assignments: pixel hash -> side or fold, of these samples and of all in `earlier`.
        held_out: hashes of training images that are validation or test images also.
        followed: hashes of training images that are held out because others of their group are, by the source.
        torn: a group's name each where earlier assignments put its images on several sides.
    """

    sides: list[str]
    assignments: dict[str, str]
    held_out: set[str]
    followed: frozenset[str] = frozenset()
    torn: tuple[str, ...] = ()


def natural_place(key: str, shares: Mapping[str, float]) -> str:
    """Where a hash falls: its first 64 bits, as a fraction, against the shares added up; the last takes the rest."""
    place, bound = int(key[:16], 16) / 2.0**64, 0.0
    *carved, rest = shares
    for name in carved:
        bound += shares[name]
        if place < bound:
            return name
    return rest


def shares_of(fractions: Mapping[str, float], folds: Folds | None = None) -> dict[str, float]:
    """Every place that images may go to and its share of them, in the order in which hashes fall on them."""
    shares = {side: fractions[side] for side in ("test", "validation") if side in fractions}
    rest = max(1.0 - sum(shares.values()), 0.0)
    if folds is None:
        return {**shares, "train": rest}
    return {**shares, **{folds.name(n + 1): rest / folds.count for n in range(folds.count)}}


def assign(
    samples: Sequence[Sample],
    fractions: Mapping[str, float],
    earlier: Mapping[str, str],
    *,
    folds: Folds | None = None,
    seed: int | None = None,
) -> Sides:
    """Put every sample on a side.

    Args:
        fractions: of the sides to be carved from the training images, such as {"validation": 0.15}; {} for none.
        earlier: pixel hash -> side or fold, of earlier runs of the experiment. Sides where there are folds now, and
            folds where there are none or others, only tell what was trained on: it is no test image any more.
        folds: instead of a fraction for validation.
        seed: None goes by the hash; a number gives every class its exact shares, drawn with it.

    Raises DataError, naming the class and its count, where a class has too few different images for its sides.
    """
    shares = shares_of(fractions, folds)
    explicit = _explicit(samples)
    lasting = {*SIDES} if folds is None else {*shares, "test"}
    known = {pixels: place for pixels, place in earlier.items() if place in lasting}
    fixed = dict(known)
    for pixels, side in explicit.items():
        fixed[pixels] = max(side, fixed.get(pixels, side), key=_rank)
    units = units_of(samples)
    torn = _follow(units, fixed)
    board = Board([sample for sample in samples if sample.side == "train"], fixed, earlier.keys() - known.keys())
    _place(board, units, shares, seed)
    _fill_lacking_places(board, [*reversed(shares)], folds)
    place_of = board.place
    sides = [place_of[s.pixels] if s.side == "train" else s.side for s in samples]
    return Sides(
        [folds.side(place) for place in sides] if folds else sides,
        {**earlier, **fixed, **place_of},
        {pixels for pixels in explicit if pixels in board.labels_of},
        _followers(units, explicit, known, place_of),
        torn,
    )


def _rank(place: str) -> tuple[int, str]:
    return RANK.get(place, 0), place


def _explicit(samples: Iterable[Sample]) -> dict[str, str]:
    """The held-out hashes that the source itself names."""
    named: dict[str, str] = {}
    for sample in samples:
        if sample.side != "train":
            named[sample.pixels] = max(sample.side, named.get(sample.pixels, sample.side), key=_rank)
    return named


def _follow(units: Sequence[Unit], fixed: dict[str, str]) -> tuple[str, ...]:
    """New images of a group go where the group is; one name of each group that stands on several sides."""
    torn = []
    for unit in units:
        standing = {fixed[pixels] for pixels in unit.pixels if pixels in fixed}
        if standing:
            strictest = max(standing, key=_rank)
            fixed.update({pixels: strictest for pixels in unit.pixels if pixels not in fixed})
        if len(standing) > 1:
            torn.append(unit.name)
    return tuple(torn)


def _followers(
    units: Iterable[Unit], explicit: Mapping[str, str], known: Mapping[str, str], place_of: Mapping[str, str]
) -> frozenset[str]:
    joined = [unit for unit in units if any(pixels in explicit for pixels in unit.pixels)]
    return frozenset(
        pixels for unit in joined for pixels in unit.pixels if not (pixels in explicit or pixels in known)
    ) & frozenset(place_of)


def _place(board: Board, units: Iterable[Unit], shares: Mapping[str, float], seed: int | None) -> None:
    """Put what nothing has fixed where its hash falls, or where its class has a share left."""
    free = [unit for unit in units if unit.pixels[0] not in board.fixed]
    board.take(free)
    if seed is not None:
        deal(board, shares, seed)
        return
    for unit in board.free:
        board.put(unit, natural_place(unit.key, {p: share for p, share in shares.items() if board.may_go(unit, p)}))


def _fill_lacking_places(board: Board, wanted: Sequence[str], folds: Folds | None) -> None:
    for label in sorted(board.classes):
        _check_enough(label, len(board.classes[label]), wanted, folds)
        for place in wanted:
            if not board.counts[label][place]:
                moved = _movable(board, label, place, wanted)
                if moved is None:
                    raise _no_image_left(board, label, place, wanted)
                board.put(moved, place)


def _check_enough(label: str, different: int, wanted: Sequence[str], folds: Folds | None) -> None:
    least = max(2, len(wanted))
    if different < least:
        held = [place for place in wanted if place in SIDES]
        named = [f"{folds.count} folds", *held] if folds else held
        raise DataError(
            f"class {label!r} has {counted(different, 'different usable image')} for {' and '.join(named)};"
            f" at least {least} are needed",
            f"add images of {label!r}, or take the class out",
        )


def _movable(board: Board, label: str, place: str, wanted: Sequence[str]) -> Unit | None:
    """The free unit with the lowest hash whose move to `place` leaves no class without one that it has; train first."""
    able = sorted((unit for unit in board.free_of(label) if board.may_go(unit, place)), key=lambda unit: unit.key)
    for giver in wanted:
        for unit in able:
            if board.place[unit.pixels[0]] == giver and all(
                board.counts[owner][giver] > size for owner, size in board.sizes(unit).items()
            ):
                return unit
    return None


def _no_image_left(board: Board, label: str, place: str, wanted: Sequence[str]) -> DataError:
    standing = board.counts[label]
    found = ", ".join(f"{standing[name]} in {name}" for name in dict.fromkeys((*SIDES, *wanted)) if standing[name])
    groups = len(board.free_of(label))
    if groups and any(len(unit.pixels) > 1 for unit in board.free_of(label)):
        return DataError(
            f"class {label!r} has no group left for {place}: its {len(board.classes[label])} different images stand in "
            f"{counted(groups, 'group')} ({found})",
            f"add groups of {label!r}, or let data.group tell its images apart more finely",
        )
    return DataError(
        f"class {label!r} has no image left for {place}: {found}, fixed by "
        "earlier runs of this experiment or by the data",
        f"add images of {label!r}, or give the experiment a new name",
    )
