"""Bottom-k samples of images by a hash of their pixels.

The method is that of Cohen & Kaplan (2007, "Summarizing data using bottom-k sketches").

An image is in the sample if its key, a hash, is among the smallest. So the sample is a uniform one of the different
images, it does not depend on their order, and the samples of several processes and days merge into that of all. An
image that was asked several times stands in it once, with the number of times, which is exact: a key that is small
enough in the end was so all along.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.monitoring.histograms import Floats, Integers

Keys = npt.NDArray[np.uint64]

MAX_ROWS = 2000  # of a sample, in a file as well as of several
MAX_BYTES = 4 * 2**20  # of the rows of a sample: of a wide network, a file has fewer
NO_LIMIT = 2**64 - 1  # the largest key


@dataclass(frozen=True, eq=False)
class Sample:
    """Sample of R different images, in the order of their keys.

    keys: uint64 [R], ascending. times: int64 [R], the number of times that each was asked. features: float32 [R, D],
    of the base; D is 0 if the model gave none. probabilities: float32 [R, C]. limit: every image whose key is at most
    this is in the sample.
    """

    keys: Keys
    times: Integers
    features: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    limit: int = NO_LIMIT

    @classmethod
    def none(cls, width: int, labels: int) -> Sample:
        """Return the sample of no image."""
        rows = np.zeros((0, width), np.float32), np.zeros((0, labels), np.float32)
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.int64), *rows)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def different(self) -> int:
        """The number of different images that were asked: exact if all are in the sample, else an estimate.

        It is that of Beyer et al. (2007, "On synopses for distinct-value estimation under multiset operations").
        """
        return round(len(self) * 2.0**64 / (self.limit + 1))

    def smallest(self, rows: int) -> Sample:
        """Return the sample with at most so many rows."""
        if len(self) <= rows:
            return self
        return Sample(
            self.keys[:rows],
            self.times[:rows],
            self.features[:rows],
            self.probabilities[:rows],
            int(self.keys[rows]) - 1,
        )


def merge_samples(samples: Sequence[Sample], rows: int = MAX_ROWS) -> Sample:
    """Return the sample of the images of several samples, at least one, with at most so many rows.

    Above the smallest of their limits, not every image is in one of them.
    """
    limit = min(sample.limit for sample in samples)
    kept = [sample.keys <= np.uint64(limit) for sample in samples]
    keys = np.concatenate([sample.keys[of] for sample, of in zip(samples, kept, strict=True)])
    different, first, place = np.unique(keys, return_index=True, return_inverse=True)
    asked = np.zeros(len(different), np.int64)
    np.add.at(asked, place, np.concatenate([sample.times[of] for sample, of in zip(samples, kept, strict=True)]))
    features = np.concatenate([sample.features[of] for sample, of in zip(samples, kept, strict=True)])[first]
    probabilities = np.concatenate([sample.probabilities[of] for sample, of in zip(samples, kept, strict=True)])[first]
    return Sample(different, asked, features, probabilities, limit).smallest(rows)


def keys_of(images: Sequence[npt.NDArray[np.uint8]]) -> Keys:
    """Return the key of each image, uint64 [N]: the first bytes of a hash of its pixels, uint8 [H, W, 3].

    They are the same in every process, so that an image is in all of their samples or in none.
    """
    digests = [hashlib.sha256(np.ascontiguousarray(image).data).digest()[:8] for image in images]
    return np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)


class Reservoir:
    """Sample that grows image by image, with bounded memory. It is not safe for threads.

    width: of the features, D; labels: C.
    """

    def __init__(self, width: int, labels: int, rows: int | None = None) -> None:
        self.rows = rows_that_fit(width, labels) if rows is None else rows
        self._places: dict[int, int] = {}  # of each key among the rows
        self._largest: list[int] = []  # a heap of negative keys
        self._times = np.zeros(self.rows, np.int64)
        self._features = np.zeros((self.rows, width), np.float32)
        self._probabilities = np.zeros((self.rows, labels), np.float32)
        self._limit = NO_LIMIT

    def add(self, keys: Keys, features: Floats | None, probabilities: Floats) -> None:
        """Add images: their keys [N], features [N, D] or None if D is 0, and probabilities [N, C]."""
        for row in np.flatnonzero(keys <= np.uint64(self._limit)):
            key = int(keys[row])
            place = self._places.get(key)
            if place is not None:
                self._times[place] += 1
            elif (place := self._place_for(key)) is not None:
                self._places[key] = place
                heapq.heappush(self._largest, -key)
                self._times[place], self._probabilities[place] = 1, probabilities[row]
                if features is not None:
                    self._features[place] = features[row]

    def _place_for(self, key: int) -> int | None:
        """Return the row of a new image, in place of the one with the largest key; None if it is above the limit."""
        if len(self._places) < self.rows:
            return len(self._places)
        largest = -self._largest[0]
        self._limit = min(self._limit, max(key, largest) - 1)
        if key > self._limit:
            return None
        heapq.heappop(self._largest)
        return self._places.pop(largest)

    def sample(self) -> Sample:
        """Return a copy of the sample."""
        keys = np.array(sorted(self._places), np.uint64)
        places = np.array([self._places[int(key)] for key in keys], np.int64)
        rows = self._times[places], self._features[places], self._probabilities[places]
        return Sample(keys, *rows, self._limit)


def rows_that_fit(width: int, labels: int) -> int:
    """Return the number of rows of a file's sample."""
    return max(1, min(MAX_ROWS, MAX_BYTES // (4 * (width + labels))))
