"""Values that weights of a network can have: finite numbers in float32, and variances that are not negative."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from transfercli.errors import ArtefactError
from transfercli.text import clipped, counted, first_of

# A variance of zero is slightly below it, once the difference of two libraries' epsilons is taken from it.
LOWEST_VARIANCE = -1e-6


def check_values(tensors: Iterable[tuple[str, np.ndarray]], title: str) -> None:
    """Raise `ArtefactError` if a weight is an integer or boolean tensor, or not finite in float32.

    tensors: name -> weight that would be used. title: the file in messages. A number without dimensions may be an
    integer: Keras's normalization layers count batches.
    """
    whole, infinite = [], []
    for name, value in tensors:
        if value.dtype.kind in "iub":
            whole += [f"{clipped(name)} ({value.dtype})"] if value.ndim else []
        elif count := int(value.size - np.isfinite(in_float32(value)).sum()):
            infinite.append(f"{clipped(name)} ({count} of {value.size})")
    if whole:
        raise ArtefactError(
            f"{title} has weights that are integers or booleans, in {counted(len(whole), 'tensor')}:"
            f" {first_of(whole, 3)}",
            "use the file before it was quantised, with weights of 16 or 32 bits",
        )
    if infinite:
        raise ArtefactError(
            f"{title} has weights that are NaN or infinite, in {counted(len(infinite), 'tensor')}:"
            f" {first_of(infinite, 3)}",
            "use a checkpoint from before its training diverged, or fetch the file again",
        )


def check_weights(
    weights: Mapping[str, np.ndarray], title: str, sources: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Raise `ArtefactError` as `check_values`, or if a running variance of a BatchNorm is negative.

    weights: of a network, by their names `base/LAYER/WEIGHT`. sources: their names in the file, if it has others.
    """
    names = {key: " and ".join((sources or {}).get(key) or [key]) for key in weights}
    check_values(((names[key], value) for key, value in weights.items()), title)
    negative = [
        f"{clipped(names[key])} ({float(value.min()):g})"
        for key, value in weights.items()
        if key.endswith("/moving_variance") and value.size and value.min() < LOWEST_VARIANCE
    ]
    if negative:
        raise ArtefactError(
            f"{title} has variances below zero, in {counted(len(negative), 'tensor')}: {first_of(negative, 3)}",
            "fetch or write the file again: no data have a negative variance",
        )


def in_float32(value: np.ndarray) -> np.ndarray:
    """Return floating-point numbers of any type as float32; what it cannot hold becomes infinite."""
    if value.dtype.kind in "iub" or value.dtype == np.float32:
        return value
    with np.errstate(over="ignore"):
        return value.astype("float32")
