"""A Gaussian process from signals of a shift to the fall of the accuracy, with none where there is no shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.monitoring.answered_images import Array

# Chosen on four runs and judged on others, with each judged corruption left out: benchmarks/expected_accuracy.py.
LINEAR, LOCAL, LENGTH, NOISE = 0.5, 3.0, 1.0, 0.1
MIX = "mix"  # the kind of sets with another class mix alone
MIX_PARTS = 5
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class ShiftProcess:
    """Gaussian process of corrections, in log odds, conditioned on none at signals of zero.

    The kernel has a linear part, which goes on beyond the known shifts, and a local one of length `LENGTH`.

    scale: [K], root mean squares of the known signals; inputs: [S, K], the known signals over `scale`; weights: [S];
    inverse: [S, S], of the kernel matrix with noise
    """

    scale: Array
    inputs: Array
    weights: Array
    inverse: Array

    @classmethod
    def fit(cls, signals: Array, corrections: Array) -> ShiftProcess:
        """Fit the process to known shifts: signals [S, K] and corrections [S]."""
        scale = np.sqrt(np.square(signals).mean(axis=0)) + _LEAST
        inputs = signals / scale
        kernel: npt.NDArray[Any] = _kernel(inputs, inputs) + NOISE * np.eye(len(inputs))
        inverse: npt.NDArray[Any] = np.linalg.inv(kernel)
        return cls(scale, inputs, inverse @ corrections, inverse)

    def at(self, signals: Array) -> tuple[Array, Array]:
        """Return the expected corrections and their standard deviations, each [R], for signals [R, K]."""
        inputs = signals / self.scale
        across = _kernel(inputs, self.inputs)
        variance = np.diagonal(_kernel(inputs, inputs)) - np.einsum("rs,st,rt->r", across, self.inverse, across)
        return across @ self.weights, np.sqrt(np.maximum(variance, 0.0) + NOISE)


def without_own_kind(signals: Array, corrections: Array, kinds: Sequence[str]) -> tuple[Array, Array]:
    """Return corrections and standard deviations, each [S], of processes that know no shift of the same kind.

    Sets with another class mix are left out a fifth at a time.
    """
    names = np.array(kinds)
    parts = [np.flatnonzero(names == kind) for kind in dict.fromkeys(kinds) if kind != MIX]
    parts += [part for part in np.array_split(np.flatnonzero(names == MIX), MIX_PARTS) if len(part)]
    expected, deviations = np.zeros(len(names)), np.ones(len(names))
    for part in parts:
        others = np.setdiff1d(np.arange(len(names)), part)
        process = ShiftProcess.fit(signals[others], corrections[others])
        expected[part], deviations[part] = process.at(signals[part])
    return expected, deviations


def _kernel(rows: Array, columns: Array) -> Array:
    width = rows.shape[1]
    squares = np.square(rows[:, None] - columns[None]).sum(axis=-1)
    from_zero = [np.exp(-np.square(each).sum(axis=1) / (2 * LENGTH**2 * width)) for each in (rows, columns)]
    local = np.exp(-squares / (2 * LENGTH**2 * width)) - np.outer(*from_zero)
    return LINEAR / width * rows @ columns.T + LOCAL * local
