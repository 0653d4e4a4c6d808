"""Embeddings of images: their vectors, which are read by blocks, with paths and hashes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from transfercli.rows import Rows, release

BLOCK_BYTES = 16 * 2**20  # of vectors in memory at once


@dataclass(frozen=True)
class Origin:
    """Origin of embeddings: all that determines the vector of an image.

    Attributes:
        network: hash of the network and of the size and preparation of its images.
        name: of the run, EXPERIMENT/RUN_ID, or of the base.
        layers: names of the layers whose vectors are side by side, `last` for the base's output.
        widths: of the vector of each of them.
        normalise: normalisation of the vector of each of them.
    """

    network: str
    name: str
    layers: tuple[str, ...]
    widths: tuple[int, ...]
    normalise: str

    @property
    def width(self) -> int:
        """Length of the vector of an image."""
        return sum(self.widths)

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> Origin:
        """Return the origin of its JSON object. Raises `ValueError` if it is none."""
        try:
            names = [str(content[key]) for key in ("network", "name", "normalise")]
            layers, widths = tuple(map(str, content["layers"])), tuple(map(int, content["widths"]))
        except (KeyError, TypeError) as error:
            raise ValueError("it does not say which network made its vectors") from error
        if len(layers) != len(widths) or not all(width > 0 for width in widths):
            raise ValueError("its layers and their widths contradict each other")
        return cls(names[0], names[1], layers, widths, names[2])


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of N images.

    vectors: float32 [D] each. paths, sha256s: of each image's file.
    """

    origin: Origin
    vectors: Rows
    paths: tuple[str, ...]
    sha256s: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the vectors as float32 [n, D], a block after the other; only one is in memory."""
        size = max(1, BLOCK_BYTES // (4 * self.origin.width))
        for start in range(0, len(self), size):
            yield self.vectors.read(np.arange(start, min(start + size, len(self))))
            release(self.vectors)
