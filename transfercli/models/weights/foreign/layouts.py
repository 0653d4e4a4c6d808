"""Layouts: arrays as PyTorch stores them, laid out as Keras does.

No import of Keras: a file is recognised, and its shapes are checked, before Keras is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from transfercli.errors import ArtefactError

Array = npt.NDArray[np.floating]
MOST_TOKENS = 5  # of a published network before its patches: a class token and four registers


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


def _part(number: int) -> Callable[[Array, Target], Array]:
    """Return the layout of one of three parts that are fused in a matrix [3 out, in] or a bias [3 out]."""

    def third(value: Array, target: Target) -> Array:
        return np.split(value, 3)[number].T

    return third


def _flat(value: Array, target: Target) -> Array:
    """Lay out a vector [d, 1, 1] as [d]."""
    return value.reshape(-1)


def _vectors(value: Array, target: Target) -> Array:
    """Lay out vectors [1, n, d] or [n, d], or one [d], as [n, d]."""
    return value.reshape(-1, value.shape[-1])


def _positions(value: Array, target: Target) -> Array:
    """Lay out positions [1, T, d] or [T, d], those of patches last, as [patches, d], resampled to the base's grid."""
    vectors = _vectors(value, target)
    before = _tokens_before(vectors)
    side = math.isqrt(len(vectors))
    return resampled(vectors[before:].reshape(side, side, -1), target.grid or (side, side))


def _class_position(value: Array, target: Target) -> Array:
    """Return the position of the class token [1, d]; zeros if it has none, as in DeiT-III."""
    vectors = _vectors(value, target)
    return vectors[:1] if _tokens_before(vectors) else np.zeros_like(vectors[:1])


def _register_positions(value: Array, target: Target) -> Array:
    """Return the positions of the registers [n, d], which are after the class token; zeros if they have none."""
    vectors, count = _vectors(value, target), target.shape[0]
    return vectors[1 : 1 + count] if _tokens_before(vectors) == 1 + count else np.zeros_like(vectors[:count])


def _tokens_before(positions: Array) -> int:
    """Return the number of positions before those of the patches, whose grid is a square in every published file.

    Raises `ArtefactError` if no square grid is left after a class token and a few registers.
    """
    before = len(positions) - math.isqrt(len(positions)) ** 2
    if before > MOST_TOKENS:
        raise ArtefactError(
            f"model.weights: {len(positions)} positions of patches are no square grid after at most {MOST_TOKENS} other"
            " tokens",
            "use a file that was trained with square images",
        )
    return before


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


def _variance_for_keras(value: Array, target: Target) -> Array:
    """Shift a variance by the difference of epsilon, 1e-5 in PyTorch and 1.001e-5 in Keras: their sums are equal."""
    return value.astype("float32") - np.float32(1e-8)


LAYOUTS: dict[str, Callable[[Array, Target], Array]] = {
    "same": _same,
    "convolution": _convolution,
    "depthwise": _depthwise,
    "dense": _dense,
    "query": _part(0),
    "key": _part(1),
    "value": _part(2),
    "flat": _flat,
    "vectors": _vectors,
    "positions": _positions,
    "class_position": _class_position,
    "register_positions": _register_positions,
    "variance_for_keras": _variance_for_keras,
}
# Layout -> numbers of dimensions that a stored tensor may have.
DIMENSIONS: dict[str, tuple[int, ...]] = {
    "same": tuple(range(1, 9)),
    "convolution": (4,),
    "depthwise": (4,),
    "dense": (2,),
    **dict.fromkeys(("query", "key", "value"), (1, 2)),
    "flat": (1, 3),
    "vectors": (1, 2, 3),
    **dict.fromkeys(("positions", "class_position", "register_positions"), (2, 3)),
    "variance_for_keras": (1,),
}


def laid_out(layout: str, value: Array, target: Target) -> Array | None:
    """Return a tensor as Keras lays it out, by a row of `LAYOUTS`; None if the layout does not take its shape.

    Raises `ArtefactError` if positions of patches have no square grid.
    """
    shape = value.shape
    if 0 in shape or len(shape) not in DIMENSIONS[layout]:
        return None
    if layout in ("query", "key", "value"):
        fits = shape[0] % 3 == 0
    elif layout == "flat":
        fits = set(shape[1:]) <= {1}
    elif "vectors" in layout or "position" in layout:
        fits = len(shape) < 3 or shape[0] == 1
    else:
        fits = True
    return LAYOUTS[layout](value, target) if fits else None
