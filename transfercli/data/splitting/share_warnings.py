"""Warnings about splits: sides that the source overruled, and shares far from those of the config."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.splits import SplitResult
from transfercli.reporting import Reporter
from transfercli.text import counted

# A split is reported if its number of images differs from the config's by more than this fraction of it.
TOLERANCE = 1 / 3
MIN_IMAGES = 10  # a split that should have fewer is a matter of chance, and reported as too small


def warn_of_overruled(overruled: Mapping[str, tuple[str, str]], reporter: Reporter) -> None:
    """Warn of images that the data puts into another split than earlier runs of the experiment did."""
    if overruled:
        moves = Counter(overruled.values())
        shown = ", ".join(f"{count} from {old} to {new}" for (old, new), count in sorted(moves.items()))
        reporter.warning(
            f"{counted(len(overruled), 'image')} in another split than in earlier runs of this experiment, because the"
            f" data says so: {shown}; earlier runs were tested on other images"
        )


def warn_of_shared_images(samples: Sequence[Sample], reporter: Reporter) -> None:
    """Warn of images that the source has both for validation and for test."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for sample in samples:
        splits[sample.pixels].add(sample.split)
    count = sum({"validation", "test"} <= found for found in splits.values())
    if count:
        reporter.warning(
            f"{counted(count, 'image')} both for validation and for test: the best epoch is chosen by test images, so"
            " that test metrics are too optimistic"
        )


def warn_of_shares(
    samples: Sequence[Sample], result: SplitResult, fractions: Mapping[str, float], reporter: Reporter
) -> None:
    """Warn of splits that are much larger or smaller than the fractions of the config.

    fractions: split -> fraction of the training images to set aside.
    """
    splits = {
        sample.pixels: split for sample, split in zip(samples, result.splits, strict=True) if sample.split == "train"
    }
    counts, total = Counter(splits.values()), len(splits)
    wanted = {split: fraction * total for split, fraction in fractions.items() if fraction * total >= MIN_IMAGES}
    far = [split for split, number in wanted.items() if abs(counts[split] - number) > TOLERANCE * number]
    if far:
        shown = ", ".join(
            f"{split} has {counts[split]} of {total} images ({counts[split] / total:.0%}), data.{split} is"
            f" {fractions[split]:g}"
            for split in far
        )
        reporter.warning(
            f"{shown}: each image's split follows from its pixels, is kept from earlier runs, or is that of its group"
            " (under a new name, data.split: stratified gives exact shares)"
        )
