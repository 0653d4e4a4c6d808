"""Rows that are read by index: the images of a split, or the features that a network computes from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class Rows(Protocol):
    """A fixed number of rows, all of one shape and dtype.

    Images are uint8 [H, W, 3], always RGB: conversion to grey is a layer of the model. Features are of the shape that
    the network outputs, float32 or bfloat16.
    """

    def __len__(self) -> int: ...

    def read(self, indices: Indices) -> np.ndarray:
        """Return the rows at `indices` (int64 [n], each from 0 to len - 1, in any order, also repeated).

        The array is [n, *shape] in the dtype of the rows, a copy that the caller may change.
        """
        ...


def release(rows: Rows) -> None:
    """Let rows that are mapped from files leave this process's memory after they were read; others stay as they are."""
    if hasattr(rows, "release"):
        rows.release()


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """Rows of an `array` [N, *shape] in memory or memory-mapped."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: Indices) -> np.ndarray:
        return np.asarray(self.array[indices])


@dataclass(frozen=True, eq=False)
class SelectedRows:
    """Rows of others: row i is row `selection[i]` of `rows`. selection: int64 [N], in any order, also repeated."""

    rows: Rows
    selection: Indices

    def __len__(self) -> int:
        return len(self.selection)

    def read(self, indices: Indices) -> np.ndarray:
        return self.rows.read(self.selection[indices])

    def release(self) -> None:
        """Let the rows leave this process's memory, as `release`."""
        release(self.rows)


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """Vectors of several rows side by side: row i is row i of each of `parts`, one behind the other."""

    parts: tuple[Rows, ...]

    def __len__(self) -> int:
        return len(self.parts[0])

    def read(self, indices: Indices) -> np.ndarray:
        return np.concatenate([part.read(indices) for part in self.parts], axis=1)

    def release(self) -> None:
        """Let the rows leave this process's memory, as `release`."""
        for part in self.parts:
            release(part)


@dataclass(frozen=True, eq=False)
class ChainedRows:
    """Rows of several, those of the first of `parts` before those of the next."""

    parts: tuple[Rows, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def read(self, indices: Indices) -> np.ndarray:
        starts = np.cumsum([0, *map(len, self.parts[:-1])])
        part_of = np.searchsorted(starts, indices, side="right") - 1
        numbers = np.unique(part_of) if len(indices) else [0]
        read = np.concatenate([self.parts[n].read(indices[part_of == n] - starts[n]) for n in numbers])
        rows = np.empty_like(read)
        rows[np.argsort(part_of, kind="stable")] = read
        return rows

    def release(self) -> None:
        """Let the rows leave this process's memory, as `release`."""
        for part in self.parts:
            release(part)


@dataclass(frozen=True, eq=False)
class TransformedRows:
    """Rows of others, changed as they are read.

    transform: gets the rows that were read, [n, *shape], and their indices, int64 [n], and returns n rows.
    """

    rows: Rows
    transform: Callable[[np.ndarray, Indices], np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: Indices) -> np.ndarray:
        return self.transform(self.rows.read(indices), indices)

    def release(self) -> None:
        """Let the rows leave this process's memory, as `release`."""
        release(self.rows)
