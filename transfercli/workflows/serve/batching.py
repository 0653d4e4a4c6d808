"""Batches of the images that requests wait for: when one is computed, and of how many images.

A batch starts as soon as the model is idle. It waits a few milliseconds if more images are being decoded meanwhile than
are ready. While the model computes, a second batch is handed over once it is half full, so that the model never waits
for the server.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from transfercli.workflows.predict.loadable import ModelOutput
from transfercli.workflows.predict.predictions import Prediction

GATHER_SECONDS = 0.003  # that an idle model waits for images that are being decoded
AHEAD = 2  # batches handed over: one is computed, one waits in the process of the model
NEW = 0.2  # weight of a new measurement in a moving average


@dataclass(eq=False, slots=True)
class Job:
    """Images of one request, and what is known of their predictions.

    over: True once nobody waits for it; its images are then neither decoded nor computed. finish: called when all
    predictions are there.
    """

    predictions: list[Prediction | None]
    top: int
    abstain: bool
    finish: Callable[[], None]
    left: int = 0
    over: bool = False
    probabilities: list[np.ndarray | None] = field(default_factory=list)

    def set(self, index: int, prediction: Prediction, probabilities: np.ndarray | None = None) -> None:
        """Set the prediction of an image."""
        if self.over or self.predictions[index] is not None:
            return
        self.predictions[index], self.probabilities[index] = prediction, probabilities
        self.left -= 1
        if not self.left:
            self.over = True
            self.finish()


@dataclass(eq=False, slots=True)
class Item:
    """Image of a job.

    content: as it was received, bytes or an array; pixels: uint8 [H, W, 3], once decoded. file: the bytes of `content`,
    if the answer log may keep them.
    """

    job: Job
    index: int
    content: bytes | np.ndarray | None = None
    pixels: np.ndarray | None = None
    file: bytes | None = None


class Speed:
    """Seconds of a forward pass by its number of images, as measured.

    limit: the most images of a batch; measured: (images, seconds) of powers of two.
    """

    def __init__(self, limit: int, measured: Iterable[tuple[int, float]]) -> None:
        self.limit = limit
        self._seconds = {int(size): max(seconds, 1e-6) for size, seconds in measured}

    def record(self, images: int, seconds: float) -> None:
        """Record the seconds of a batch of `images`, which is computed padded to a power of two."""
        size = _padded_size(images)
        before = self._seconds.get(size, seconds)
        self._seconds[size] = max(1e-6, (1 - NEW) * before + NEW * seconds)

    def seconds(self, images: int) -> float:
        """Return the seconds of a batch; a size that was never computed is in proportion to the nearest that was."""
        size = _padded_size(images)
        if size in self._seconds:
            return self._seconds[size]
        if not self._seconds:
            return 0.0
        nearest = min(self._seconds, key=lambda known: abs(math.log2(known / size)))
        return self._seconds[nearest] * size / nearest

    def best_size(self, waiting: int) -> int:
        """Return the number of images to compute now, of those that wait: the one with most images a second.

        Five images may be faster as four and then one than padded to eight.
        """
        waiting = min(waiting, self.limit)
        whole = 1 << (waiting.bit_length() - 1)
        if whole == waiting:
            return waiting
        return waiting if waiting * self.seconds(whole) > whole * self.seconds(waiting) else whole


def _padded_size(images: int) -> int:
    return 1 << (images - 1).bit_length()


class Rate:
    """Images a second that were answered while others waited."""

    def __init__(self, first: float) -> None:
        self.value = first
        self._last = 0.0

    def record(self, images: int, now: float, *, busy: bool) -> None:
        """Record that images were answered; busy: True if more were waiting since the answer before."""
        if busy and now > self._last > 0:
            self.value += NEW * (images / (now - self._last) - self.value)
        self._last = now


class Batcher:
    """Queue of decoded images before one model.

    send: hands a batch, uint8 [N, H, W, 3], to the model. later: calls a function after a number of seconds. coming:
    returns the number of images that are being decoded.
    """

    def __init__(
        self,
        speed: Speed,
        send: Callable[[np.ndarray], None],
        later: Callable[[float, Callable[[], None]], object],
        coming: Callable[[], int],
    ) -> None:
        self.speed = speed
        self._send, self._later, self._coming = send, later, coming
        self._ready: deque[Item] = deque()
        self._sent: deque[tuple[list[Item], np.ndarray]] = deque()
        self._gathering_since: float | None = None
        self._computing_since = 0.0

    def add(self, items: Iterable[Item]) -> None:
        """Add decoded images; start a batch if the model can take one."""
        self._ready.extend(items)
        self.pump()

    def pump(self) -> None:
        """Start the batches that the model can take now."""
        while len(self._sent) < AHEAD:
            self._drop_unwanted()
            waiting = len(self._ready)
            if not waiting or (self._sent and 2 * waiting < self.speed.limit) or self._gathers(waiting):
                return
            size = self.speed.best_size(waiting)
            items = [self._ready.popleft() for _ in range(size)]
            images = np.stack([item.pixels for item in items if item.pixels is not None])
            if not self._sent:
                self._computing_since = time.monotonic()
            self._sent.append((items, images))
            self._send(images)

    def _drop_unwanted(self) -> None:
        """Drop the images that nobody waits for any more."""
        if any(item.job.over for item in self._ready):
            self._ready = deque(item for item in self._ready if not item.job.over)

    def _gathers(self, waiting: int) -> bool:
        """Return True if an idle model is to wait for images that are being decoded."""
        if self._sent or waiting >= min(self.speed.limit, self._coming()):
            self._gathering_since = None
            return False
        now = time.monotonic()
        if self._gathering_since is None:
            self._gathering_since = now
            self._later(GATHER_SECONDS, self.pump)
        elif now - self._gathering_since >= GATHER_SECONDS:
            self._gathering_since = None
            return False
        return True

    def take(self) -> tuple[list[Item], np.ndarray]:
        """Return the items and pixels of the batch whose output has arrived, and start the next."""
        batch = self._sent.popleft()
        self._computing_since = time.monotonic()
        self.pump()
        return batch

    @property
    def computing(self) -> float:
        """Seconds for which the model has computed the oldest batch that it was handed; 0 if it has none."""
        return time.monotonic() - self._computing_since if self._sent else 0.0

    @property
    def has_more(self) -> bool:
        """True if images wait beside the oldest batch."""
        return bool(self._ready or len(self._sent) > 1)


def rows_of(output: ModelOutput, rows: Sequence[int]) -> ModelOutput:
    """Return the output of some images of a batch."""
    arrays = {one.name: getattr(output, one.name) for one in fields(output)}
    return replace(output, **{name: value[rows] for name, value in arrays.items() if value is not None})
