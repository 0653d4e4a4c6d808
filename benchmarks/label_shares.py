"""Shares of every label in the splits of images with several labels: by hash, and stratified.

Run: python -m benchmarks.label_shares

Images with skewed labels, from frequent to rare, correlated through a hidden kind of scene; ten draws of the data. The
deviation of a label is the number of its images in a split, minus the number that its share asks for. Prints a Markdown
table.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from functools import partial
from unittest import mock

import numpy as np

from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.splits import assign

FRACTIONS = {"validation": 0.15, "test": 0.15}
SETS = ((500, 10), (2000, 20), (5000, 40))  # images, labels
DRAWS = 10
FEWEST = 3  # images of a label; with fewer no split by the rule of the splits is possible


def draw(images: int, labels: int, seed: int) -> list[Sample]:
    """Return images whose labels follow from their kind of scene; frequencies fall from 60% to below 1%."""
    random = np.random.default_rng(seed)
    frequency = 0.6 * np.geomspace(1, 0.01, labels)
    affinity = random.lognormal(0, 1, (6, labels))
    chance = np.minimum(frequency * affinity[random.integers(0, 6, images)], 0.95)
    found = random.random((images, labels)) < chance
    found &= found.sum(axis=0) >= FEWEST
    hashes = (hashlib.sha256(f"{seed} {n}".encode()).hexdigest() for n in range(images))
    return [Sample(key, tuple(f"{k:02d}" for k in np.flatnonzero(row))) for key, row in zip(hashes, found, strict=True)]


def deviations(samples: list[Sample], splits: list[str]) -> Iterator[tuple[float, float]]:
    """Yield, for each label and held-out split, the deviation in images, and as a share of the wanted number."""
    names = np.array(splits)
    for label in sorted({label for sample in samples for label in sample.labels}):
        has = np.array([label in sample.labels for sample in samples])
        for split, fraction in FRACTIONS.items():
            wanted = fraction * has.sum()
            off = abs(float((has & (names == split)).sum() - wanted))
            yield off, off / wanted


def main() -> None:
    plain = mock.patch("transfercli.data.splitting.iterative._STEPS", 0)
    methods = {
        "by hash": (None, None),
        "iterative stratification": (0, plain),
        "and exchanges (`stratified`)": (0, None),
    }
    print("| images | labels | split | mean deviation | largest | mean share off | seconds |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for images, labels in SETS:
        for name, (seed, patch) in methods.items():
            found, seconds = [], 0.0
            for number in range(DRAWS):
                samples = draw(images, labels, number)
                split = partial(assign, samples, FRACTIONS, {}, seed=seed, several=True)
                start = time.perf_counter()
                if patch is None:
                    result = split()
                else:
                    with patch:
                        result = split()
                seconds += time.perf_counter() - start
                found += deviations(samples, result.splits)
            off, share = np.array(found).T
            print(
                f"| {images:,} | {labels} | {name} | {off.mean():.2f} images | {off.max():.1f} | {share.mean():.1%} |"
                f" {seconds / DRAWS:.2f} |"
            )


if __name__ == "__main__":
    main()
