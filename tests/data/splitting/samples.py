"""Samples of a few classes, for splits."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.splits import SplitResult

HALVES = {"validation": 0.15, "test": 0.15}


def pixels(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def of_classes(sizes: list[int], first: int = 0) -> list[Sample]:
    samples = []
    for number, size in enumerate(sizes):
        samples += [Sample(pixels(first + number * 10_000 + n), (f"class{number}",)) for n in range(size)]
    return samples


def held_by(samples: list[Sample], found: SplitResult) -> dict[str, set[str]]:
    sides: dict[str, set[str]] = {}
    for sample, side in zip(samples, found.splits, strict=True):
        sides.setdefault(sample.pixels, set()).add(side)
    return sides


class_sizes = st.lists(st.integers(3, 25), min_size=2, max_size=6)

fractions = st.fixed_dictionaries({}, optional={"validation": st.floats(0.01, 0.4), "test": st.floats(0.01, 0.4)})
