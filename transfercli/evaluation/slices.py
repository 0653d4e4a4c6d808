"""Parts of a split that one wants to see by themselves: a column of the table, bright and dark, small and large images.

A model that is right in nine of ten images may be wrong in all that one camera took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.examples import Reader

READ_AT_ONCE = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of ITU-R BT.601, as Pillow turns colours grey
MISSING = "(none)"


@dataclass(frozen=True, slots=True)
class Slice:
    """values: the part that each image is in; order: the parts, as they are told."""

    values: tuple[str, ...]
    order: tuple[str, ...]

    def parts(self) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
        """The parts that have images, and which."""
        number = {value: index for index, value in enumerate(self.order)}
        places = np.array([number[value] for value in self.values])
        for index, value in enumerate(self.order):
            if len(chosen := np.flatnonzero(places == index)):
                yield value, chosen


def by_value(values: Sequence[str]) -> Slice:
    """A part for each value, the largest first; an empty value is a part of its own."""
    told = tuple(value or MISSING for value in values)
    found, counts = np.unique(np.array(told, dtype=object), return_counts=True)
    return Slice(told, tuple(found[np.lexsort((found, -counts))]))


def by_thirds(values: npt.NDArray[np.float64], names: tuple[str, str, str], unit: str) -> Slice:
    """Three parts of about equal size, with their bounds in their names; fewer where values are equal.

    An image is never in another part than one of the same value, so that the bounds say all.
    """
    cuts = np.unique(np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf"))
    place = np.searchsorted(cuts, values, side="left")
    present = np.unique(place)
    chosen = {1: ("all",), 2: (names[0], names[2])}.get(len(present), names)
    told = {}
    for index, name in zip(present, chosen, strict=True):
        mine = values[place == index]
        told[index] = f"{name}: {mine.min():.0f} to {mine.max():.0f} {unit}"
    return Slice(tuple(told[index] for index in place), tuple(told.values()))


def brightness(read: Reader, images: int) -> npt.NDArray[np.float64]:
    """float64 [N]: the mean luma of each image as the model sees it, 0 (black) to 255."""
    found = []
    for start in range(0, images, READ_AT_ONCE):
        pixels = read(np.arange(start, min(start + READ_AT_ONCE, images)))
        found.append(pixels.mean(axis=(1, 2), dtype=np.float32) @ LUMA)
    return np.concatenate(found).astype(np.float64)


def sides(sizes: Sequence[tuple[int, int]]) -> npt.NDArray[np.float64]:
    """float64 [N]: the side, in pixels, of a square of each image's area, for (width, height) of its file."""
    return np.sqrt(np.asarray(sizes, np.float64).reshape(-1, 2).prod(axis=1))


# The slices that are computed; every other name is a column of the images' table.
BRIGHTNESS, IMAGE_SIZE = "brightness", "image_size"


def table_slices(names: Sequence[str]) -> list[str]:
    """Those of `names` that are columns of a table, each once."""
    return [name for name in dict.fromkeys(names) if name not in (BRIGHTNESS, IMAGE_SIZE)]


def slices_of(
    names: Sequence[str], read: Reader, sizes: Sequence[tuple[int, int]], columns: Mapping[str, Sequence[str]]
) -> dict[str, Slice]:
    """What `evaluation.slices` names, for the N images that `read` reads, with their sizes and columns of a table."""
    computed: dict[str, Callable[[], Slice]] = {
        BRIGHTNESS: lambda: by_thirds(brightness(read, len(sizes)), ("dark", "medium", "bright"), "of 255"),
        IMAGE_SIZE: lambda: by_thirds(sides(sizes), ("small", "medium", "large"), "pixels a side"),
    }
    return {name: computed[name]() if name in computed else by_value(columns[name]) for name in dict.fromkeys(names)}
