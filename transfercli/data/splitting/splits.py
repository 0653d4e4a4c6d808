"""Assignment of images to splits and folds, by the hash of their pixels or their group, and permanent.

The split of a new image depends only on the hash of its decoded pixels, not on other images, names or order: adding
files moves no image, and a copy gets the split of its original. Images of one group stay together, by the hash of the
group's name. The source (folders, a column, other paths) takes precedence, then earlier assignments. If a class would
have no image in a split, the image or group with the lowest hash is moved there, and this assignment is permanent, too.
If images may have several labels, each split needs an image with each label and one without it. A subset is a split or
a fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from transfercli.data.splitting.allocation import Allocation
from transfercli.data.splitting.assignments import RANK, SPLITS, fold_count, fold_name, rank
from transfercli.data.splitting.copy_groups import Sample, Unit, units_of
from transfercli.data.splitting.empty_subsets import fill_empty_subsets
from transfercli.data.splitting.iterative import allocate_labels
from transfercli.data.splitting.stratified import allocate
from transfercli.errors import DataError


@dataclass(frozen=True, slots=True)
class Folds:
    """Cross-validation with `count` folds: fold number `validating` (from 1) validates, the others train."""

    count: int
    validating: int

    def name(self, number: int) -> str:
        """Return the subset name of a fold, such as `fold 2/5`."""
        return fold_name(number, self.count)

    def split(self, subset: str) -> str:
        """Return the split that a fold of this count is used as; a split is returned unchanged."""
        if not fold_count(subset):
            return subset
        return "validation" if subset == self.name(self.validating) else "train"


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Result of `assign`.

    Attributes:
        splits: split of each sample, in order.
        assignments: pixel hash -> split or fold, of these samples and of all in `earlier`.
        held_out: pixel hashes of training images that are also validation or test images of the source.
        moved_with_group: pixel hashes of training images that are held out because the source holds out other images of
            their group.
        divided_groups: names of groups whose images earlier assignments or the source put into several splits.
        overruled: pixel hashes whose earlier split is not that of the source -> (earlier split, present split).
    """

    splits: list[str]
    assignments: dict[str, str]
    held_out: set[str]
    moved_with_group: frozenset[str] = frozenset()
    divided_groups: tuple[str, ...] = ()
    overruled: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def subset_of_hash(key: str, shares: Mapping[str, float]) -> str:
    """Return the subset of a hash: its first 64 bits as a fraction, compared with the cumulative shares."""
    position, bound = int(key[:16], 16) / 2.0**64, 0.0
    *subsets, last = shares
    for subset in subsets:
        bound += shares[subset]
        if position < bound:
            return subset
    return last


def shares_of(fractions: Mapping[str, float], folds: Folds | None = None) -> dict[str, float]:
    """Return the subsets to fill and the share of the images for each, in the order used by `subset_of_hash`."""
    shares = {split: fractions[split] for split in ("test", "validation") if split in fractions}
    remainder = max(1.0 - sum(shares.values()), 0.0)
    if folds is None:
        return {**shares, "train": remainder}
    return {**shares, **{folds.name(n + 1): remainder / folds.count for n in range(folds.count)}}


def assign(
    samples: Sequence[Sample],
    fractions: Mapping[str, float],
    earlier: Mapping[str, str],
    *,
    folds: Folds | None = None,
    seed: int | None = None,
    several: bool = False,
) -> SplitResult:
    """Assign every sample to a split.

    Args:
        fractions: split -> fraction of the training images to set aside, such as {"validation": 0.15}; {} for none.
        earlier: pixel hash -> split or fold, of earlier runs of the experiment. Splits if there are folds now, and
            folds of another number, only show that an image was trained on, so that it cannot become a test image.
            A split that the source gives itself is taken from the source: an image that the source has among its
            training images leaves it.
        folds: cross-validation, instead of a fraction for validation.
        seed: None assigns by hash; a number assigns exact shares of every class, drawn with this seed.
        several: True if an image may have several labels.

    Raises `DataError` if a class has too few different images for its splits.
    """
    shares = shares_of(fractions, folds)
    explicit = _explicit(samples)
    lasting = {*SPLITS} if folds is None else {*shares, "test"}
    pool = [sample for sample in samples if sample.split == "train"]
    released = _released(pool, explicit, earlier)
    known = {pixels: subset for pixels, subset in earlier.items() if subset in lasting and pixels not in released}
    fixed = known | explicit
    units = units_of(samples)
    divided = _extend_to_groups(units, fixed)
    allocation = Allocation(pool, fixed, earlier.keys() - known.keys(), several=several)
    _assign_free(allocation, units, shares, seed)
    _check_training_left(pool, explicit, _kind(several))
    fill_empty_subsets(allocation, [*reversed(shares)])
    subset_of = allocation.subset_of
    subsets = [subset_of[sample.pixels] if sample.split == "train" else sample.split for sample in samples]
    return SplitResult(
        [folds.split(subset) for subset in subsets] if folds else subsets,
        {**earlier, **fixed, **subset_of},
        {pixels for pixels in explicit if pixels in allocation.labels_of},
        _moved_with_group(units, explicit, known, subset_of),
        divided,
        _overruled({*explicit, *released}, earlier, fixed | subset_of),
    )


def _explicit(samples: Iterable[Sample]) -> dict[str, str]:
    """Return pixel hash -> split for the images that the source holds out itself."""
    split_of: dict[str, str] = {}
    for sample in samples:
        if sample.split != "train":
            split_of[sample.pixels] = max(sample.split, split_of.get(sample.pixels, sample.split), key=rank)
    return split_of


def _released(pool: Iterable[Sample], explicit: Mapping[str, str], earlier: Mapping[str, str]) -> set[str]:
    """Return training images of the source whose earlier split the source gives itself, without them."""
    given = {*explicit.values()}
    return {sample.pixels for sample in pool if sample.pixels not in explicit and earlier.get(sample.pixels) in given}


def _overruled(
    given: Iterable[str], earlier: Mapping[str, str], present: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Return pixel hash -> (earlier split, present split) of images that the source put into another split."""
    both = {pixels: (earlier[pixels], present[pixels]) for pixels in given if pixels in earlier}
    return {pixels: (old, new) for pixels, (old, new) in both.items() if old in RANK and new in RANK and old != new}


def _kind(several: bool) -> str:
    return "label" if several else "class"


def _check_training_left(pool: Sequence[Sample], explicit: Mapping[str, str], kind: str) -> None:
    """Raise `DataError` if every training image of a class is a validation or test image of the source as well."""
    labels = sorted({label for sample in pool for label in sample.labels})
    splits: dict[str, set[str]] = {label: set() for label in labels}
    for sample in pool:
        for label in sample.labels:
            splits[label].add(explicit.get(sample.pixels, "train"))
    lost = [label for label in labels if "train" not in splits[label]]
    if not lost:
        return
    held_out = " and ".join(sorted({split for label in lost for split in splits[label]}, key=rank))
    if len(lost) == len(labels):
        raise DataError(
            f"every training image is a {held_out} image as well: both are the same folder, or copies",
            f"give other images for data.{held_out.partition(' ')[0]}, or a fraction such as 0.15",
        )
    raise DataError(
        f"every training image of {kind} {lost[0]!r} is a {held_out} image as well, so that none is left to train on",
        f"remove the copies of {lost[0]!r} from the training or the held-out images",
    )


def _extend_to_groups(units: Sequence[Unit], fixed: dict[str, str]) -> tuple[str, ...]:
    """Fix new images of a group to the highest-ranked subset of the group.

    Returns the names of groups that are in several subsets.
    """
    divided = []
    for unit in units:
        subsets = {fixed[pixels] for pixels in unit.pixels if pixels in fixed}
        if subsets:
            highest = max(subsets, key=rank)
            fixed.update({pixels: highest for pixels in unit.pixels if pixels not in fixed})
        if len(subsets) > 1:
            divided.append(unit.name)
    return tuple(divided)


def _moved_with_group(
    units: Iterable[Unit], explicit: Mapping[str, str], known: Mapping[str, str], subset_of: Mapping[str, str]
) -> frozenset[str]:
    """Return the new training images in a group of which the source holds out other images."""
    held_out = [unit for unit in units if any(pixels in explicit for pixels in unit.pixels)]
    return frozenset(
        pixels for unit in held_out for pixels in unit.pixels if not (pixels in explicit or pixels in known)
    ) & frozenset(subset_of)


def _assign_free(allocation: Allocation, units: Iterable[Unit], shares: Mapping[str, float], seed: int | None) -> None:
    """Assign the units without a fixed subset: by hash, or with a seed by the shares of their class."""
    allocation.add_free(unit for unit in units if unit.pixels[0] not in allocation.fixed)
    if seed is not None:
        (allocate_labels if allocation.several else allocate)(allocation, shares, seed)
        return
    for unit in allocation.free:
        allowed = {subset: share for subset, share in shares.items() if allocation.is_allowed(unit, subset)}
        allocation.assign(unit, subset_of_hash(unit.key, allowed))
