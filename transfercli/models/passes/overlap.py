"""Passes over rows in which reading, computing and fetching overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from transfercli.models.placement import gathered
from transfercli.rows import Indices, Rows

IN_FLIGHT = 2  # results that wait on the device; it computes one while the one before is fetched


def outputs_of(compute: Callable[[np.ndarray], Any], rows: Rows, indices: Indices, size: int) -> Iterator[np.ndarray]:
    """Yield what `compute` returns for `rows` at `indices`, in order, in batches of `size` images.

    The last batch is padded, so all have the same shape; its output comes without the padding. A thread reads the next
    batch while one is computed, and a result is fetched when `IN_FLIGHT` more are on their way. An error of the thread
    is raised here.

    compute: starts the computation of a batch, as `compiled`.
    """
    batches = [indices[start : start + size] for start in range(0, len(indices), size)]
    started: deque[tuple[Any, int]] = deque()
    with ThreadPoolExecutor(1) as reader:
        read = deque([reader.submit(rows.read, batch) for batch in batches[:1]])
        for number in range(len(batches)):
            inputs = read.popleft().result()
            read.extend(reader.submit(rows.read, batch) for batch in batches[number + 1 : number + 2])
            started.append((compute(padded(inputs, size)), len(inputs)))
            if len(started) > IN_FLIGHT:
                yield _fetched(*started.popleft())
        while started:
            yield _fetched(*started.popleft())


def padded(images: np.ndarray, size: int) -> np.ndarray:
    """Return a batch of `size` images: those of a smaller one, again and again."""
    return images if len(images) == size else images[np.arange(size) % len(images)]


def _fetched(output: Any, count: int) -> np.ndarray:
    return gathered(output)[:count]
