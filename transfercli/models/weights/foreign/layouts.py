"""Layouts: arrays as PyTorch stores them, laid out as Keras does.

No import of Keras: a file is recognised, and its shapes are checked, before Keras is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Target:
    """Weight of a base that is to be filled. grid: (rows, columns) of the patches, of a base that has any."""

    shape: tuple[int, ...]
    grid: tuple[int, int] | None = None


def _same(value: Array, target: Target) -> Array:
    return value


def _convolution(value: Array, target: Target) -> Array:
    """Lay out a kernel [out, in, h, w] as [h, w, in, out]."""
    return value.transpose(2, 3, 1, 0)


def _depthwise(value: Array, target: Target) -> Array:
    """Lay out a depthwise kernel [channels, 1, h, w] as [h, w, channels, 1]."""
    return value.transpose(2, 3, 0, 1)


def _dense(value: Array, target: Target) -> Array:
    """Lay out a matrix [out, in] as [in, out]."""
    return value.T


def resampled(positions: Array, grid: tuple[int, int]) -> Array:
    """Return positions [rows, columns, d] resampled to a grid (rows, columns), as [patches, d] of the same dtype.

    Bicubic, with antialiasing, as timm does it; unchanged if the grid is the same.
    """
    if positions.shape[:2] != grid:
        channels = np.moveaxis(positions.astype("float32"), -1, 0)
        size = (grid[1], grid[0])
        smooth = [Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC) for channel in channels]
        positions = np.stack([np.asarray(channel) for channel in smooth], -1).astype(positions.dtype)
    return positions.reshape(grid[0] * grid[1], -1)


LAYOUTS: dict[str, Callable[[Array, Target], Array]] = {
    "same": _same,
    "convolution": _convolution,
    "depthwise": _depthwise,
    "dense": _dense,
}
# Number of dimensions that a stored tensor must have for a layout; a layout that is missing here takes any.
DIMENSIONS = {"convolution": 4, "depthwise": 4, "dense": 2}
