"""Slices of a split that are evaluated separately: by a column of the data table, by brightness or by image size.

A model with an accuracy of 90% may still be wrong on every image from one camera.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.examples import Reader

READ_AT_ONCE = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow converts colour to grey
MISSING = "(none)"


@dataclass(frozen=True, slots=True)
class Slice:
    """A division of a split into parts.

    values: the name of the part of each image; order: the names of the parts in report order
    """

    values: tuple[str, ...]
    order: tuple[str, ...]

    def parts(self) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
        """Yield the name of each part that has images, and the indices of its images."""
        index_of = {value: index for index, value in enumerate(self.order)}
        part_of = np.array([index_of[value] for value in self.values])
        for index, value in enumerate(self.order):
            if len(indices := np.flatnonzero(part_of == index)):
                yield value, indices


def slice_by_value(values: Sequence[str]) -> Slice:
    """Return a slice with one part for each distinct value, the largest first; images without a value are one part."""
    names = tuple(value or MISSING for value in values)
    distinct, counts = np.unique(np.array(names, dtype=object), return_counts=True)
    return Slice(names, tuple(distinct[np.lexsort((distinct, -counts))]))


def slice_by_thirds(values: npt.NDArray[np.float64], names: tuple[str, str, str], unit: str) -> Slice:
    """Return a slice of three parts of about equal size, with their bounds in their names.

    Images of equal value are always in the same part, so the bounds define it; there may be fewer than three parts.
    """
    cuts = np.unique(np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf"))
    part_of = np.searchsorted(cuts, values, side="left")
    present = np.unique(part_of)
    used_names = {1: ("all",), 2: (names[0], names[2])}.get(len(present), names)
    titles = {}
    for index, name in zip(present, used_names, strict=True):
        inside = values[part_of == index]
        titles[index] = f"{name}: {inside.min():.0f} to {inside.max():.0f} {unit}"
    return Slice(tuple(titles[index] for index in part_of), tuple(titles.values()))


def brightness(read: Reader, images: int) -> npt.NDArray[np.float64]:
    """Return the mean luma of each image at the model's input size, 0 (black) to 255: float64 [N]."""
    lumas = []
    for start in range(0, images, READ_AT_ONCE):
        pixels = read(np.arange(start, min(start + READ_AT_ONCE, images)))
        lumas.append(pixels.mean(axis=(1, 2), dtype=np.float32) @ LUMA)
    return np.concatenate(lumas).astype(np.float64)


def square_sides(sizes: Sequence[tuple[int, int]]) -> npt.NDArray[np.float64]:
    """Return the side, in pixels, of a square of the same area as each (width, height): float64 [N]."""
    return np.sqrt(np.asarray(sizes, np.float64).reshape(-1, 2).prod(axis=1))


# Slices computed from the images; every other name is a column of the data table.
BRIGHTNESS, IMAGE_SIZE = "brightness", "image_size"


def table_slices(names: Sequence[str]) -> list[str]:
    """Return the names that are columns of the data table, without repetitions."""
    return [name for name in dict.fromkeys(names) if name not in (BRIGHTNESS, IMAGE_SIZE)]


def compute_slices(
    names: Sequence[str], read: Reader, sizes: Sequence[tuple[int, int]], columns: Mapping[str, Sequence[str]]
) -> dict[str, Slice]:
    """Compute the slices named in `evaluation.slices`.

    read: reads the N images; sizes: (width, height) of each image file; columns: N values by column of the data table
    """
    computed: dict[str, Callable[[], Slice]] = {
        BRIGHTNESS: lambda: slice_by_thirds(brightness(read, len(sizes)), ("dark", "medium", "bright"), "of 255"),
        IMAGE_SIZE: lambda: slice_by_thirds(square_sides(sizes), ("small", "medium", "large"), "pixels a side"),
    }
    return {
        name: computed[name]() if name in computed else slice_by_value(columns[name]) for name in dict.fromkeys(names)
    }
