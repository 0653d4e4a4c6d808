"""Subsets in which a class has no image: an image or group is moved there.

If images may have several labels, a subset needs an image with each label and one without it, since a model learns
nothing from a label that all training images have, and no metric of a label is defined on images that all have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from transfercli.data.splitting.allocation import Allocation, Presence
from transfercli.data.splitting.assignments import SPLITS, fold_count
from transfercli.data.splitting.copy_groups import Unit
from transfercli.errors import DataError
from transfercli.text import counted

# A move may empty another subset, which is then filled by a further move: as many in a row, each from so many units.
_FURTHER_MOVES, _TRIED = 2, 50


def fill_empty_subsets(allocation: Allocation, subsets: Sequence[str]) -> None:
    """Move an image or group to each subset in which a class has no image. Raises `DataError` if there is none.

    subsets: those to fill, train first.
    """
    needed = [Presence(label, positive) for positive in (True, False) for label in sorted(allocation.classes)]
    for presence in needed if allocation.several else needed[: len(allocation.classes)]:
        _check_enough(allocation, presence, subsets)
        for subset in subsets:
            if not allocation.count(presence, subset) and not _fill(allocation, presence, subset, subsets):
                raise _no_image_left(allocation, presence, subset, subsets)


def _fill(
    allocation: Allocation, presence: Presence, subset: str, subsets: Sequence[str], further: int = _FURTHER_MOVES
) -> bool:
    """Move the free unit with the lowest hash to `subset` that empties no other one; those of train come first.

    If every unit would empty another subset, that one is filled by further moves. Return False, with nothing moved, if
    there is no such move.
    """
    units = sorted(allocation.candidates(presence), key=lambda unit: unit.key)
    allowed = [unit for unit in units if allocation.is_allowed(unit, subset)]
    source_of = allocation.subset_of
    moves = [unit for source in subsets if source != subset for unit in allowed if source_of[unit.pixels[0]] == source]
    unit = next((unit for unit in moves if not any(allocation.emptied_without(unit))), None)
    if unit is not None:
        allocation.assign(unit, subset)
        return True
    return further > 0 and any(
        _moved_and_refilled(allocation, unit, subset, subsets, further - 1) for unit in islice(moves, _TRIED)
    )


def _moved_and_refilled(allocation: Allocation, unit: Unit, subset: str, subsets: Sequence[str], further: int) -> bool:
    """Move a unit, and fill what its subset lacks then. Return False, with nothing moved, if that is impossible."""
    before = {other.key: allocation.subset_of[other.pixels[0]] for other in allocation.free}
    source = before[unit.key]
    emptied = list(allocation.emptied_without(unit))
    allocation.assign(unit, subset)
    if all(allocation.count(lost, source) or _fill(allocation, lost, source, subsets, further) for lost in emptied):
        return True
    for other in allocation.free:
        if allocation.subset_of[other.pixels[0]] != before[other.key]:
            allocation.assign(other, before[other.key])
    return False


def _described(allocation: Allocation, presence: Presence) -> str:
    """Return the noun and name of a class or label, such as `class 'cat'`."""
    return f"{'label' if allocation.several else 'class'} {presence.label!r}"


def _check_enough(allocation: Allocation, presence: Presence, subsets: Sequence[str]) -> None:
    different, least = allocation.number(presence), len(subsets)
    if different >= least:
        return
    splits = [subset for subset in subsets if subset in SPLITS]
    folds = [subset for subset in subsets if fold_count(subset)]
    names = " and ".join([f"{len(folds)} folds", *splits] if folds else splits)
    described, label = _described(allocation, presence), presence.label
    without = "" if presence.positive else " without it"
    remove = "class" if not allocation.several else "label"
    raise DataError(
        f"{described} has {counted(different, 'different usable image')}{without} for {names};"
        f" at least {least} are needed",
        f"add images {'of' if presence.positive else 'without'} {label!r}, or remove the {remove}",
    )


def _no_image_left(allocation: Allocation, presence: Presence, subset: str, subsets: Sequence[str]) -> DataError:
    described, label = _described(allocation, presence), presence.label
    counts = {name: allocation.count(presence, name) for name in dict.fromkeys((*SPLITS, *subsets))}
    present = ", ".join(f"{count} in {name}" for name, count in counts.items() if count)
    units = allocation.candidates(presence)
    of, without = ("of", "") if presence.positive else ("without", " without it")
    if any(len(unit.pixels) > 1 for unit in units):
        return DataError(
            f"{described} has no group left{without} for {subset}: its {allocation.number(presence)} different images"
            f"{without} are in {counted(len(units), 'group')} ({present})",
            f"add groups {of} {label!r}, or set data.group so that it makes smaller groups",
        )
    if allocation.several and units:
        return DataError(
            f"{described} has no image left{without} for {subset}: {present}; each of these is also the only one of"
            " another label there",
            f"add images {of} {label!r}, or remove the label",
        )
    return DataError(
        f"{described} has no image left{without} for {subset}: {present}, fixed by "
        "earlier runs of this experiment or by the data",
        f"add images {of} {label!r}, or give the experiment a new name",
    )
