"""Decoding of a stream of files by workers in advance, in order and with bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from types import TracebackType
from typing import Protocol

from transfercli.data.decoding.decode import decode_file
from transfercli.data.decoding.worker_client import Worker, WorkersUnavailableError, worker_settings
from transfercli.data.image import Decoded, Geometry, InputImage

CHUNK = 8  # files per request
POLL_SECONDS = 0.1  # between two checks of running requests and of a request to stop
NICENESS = 5  # lower priority of the workers, so that the network gets the processor first

Outcome = tuple[InputImage, Decoded]


class Feed(Protocol):
    """Source of image names; `exhausted` is True once there will be no more."""

    exhausted: bool

    def take(self, most: int, seconds: float) -> list[InputImage]:
        """Return at most `most` names; wait at most `seconds` for the first."""


class Decoder:
    """Threads with one worker process each, as a context manager that ends them all.

    trouble: why files are decoded in this process, or "" if all workers were started.
    """

    def __init__(self, geometry: Geometry, workers: int) -> None:
        self.geometry, self.trouble = geometry, ""
        self._settings = worker_settings(geometry, nice=NICENESS)
        self._own, self._started = threading.local(), list[Worker]()
        self._threads = ThreadPoolExecutor(workers, "decoder", self._begin)
        for _ in range(workers):
            self._threads.submit(int)  # an empty task: starts a thread and its worker in advance

    def submit(self, images: Sequence[InputImage]) -> Future[list[Decoded]]:
        """Return a future of one result per name, in order."""
        return self._threads.submit(self._decode, images)

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._started:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._started:
            worker.close()

    def _begin(self) -> None:
        """Start the worker of a thread; called in that thread, because the worker ends with it."""
        self._own.worker = None
        try:
            worker = Worker(self._settings)
            self._started.append(worker)
            worker.wait_until_ready()
            self._own.worker = worker
        except WorkersUnavailableError as error:
            self.trouble = str(error)

    def _decode(self, images: Sequence[InputImage]) -> list[Decoded]:
        readable = [image.file or image.path for image in images if not image.problem]
        worker: Worker | None = self._own.worker
        results = worker.decode(readable) if worker else (decode_file(path, self.geometry) for path in readable)
        return [Decoded(problem=image.problem) if image.problem else next(results) for image in images]


def decode_in_order(feed: Feed, decoder: Decoder, ahead: Callable[[], int]) -> Iterator[Outcome | None]:
    """Yield every image of `feed` with its result, in order; None if the next result is not ready yet.

    ahead: returns the number of images that may be decoded in advance.
    """
    pending: deque[tuple[list[InputImage], Future[list[Decoded]]]] = deque()
    while True:
        while len(pending) * CHUNK < ahead() and (images := feed.take(CHUNK, 0 if pending else POLL_SECONDS)):
            pending.append((images, decoder.submit(images)))
        if not pending:
            if feed.exhausted:
                return
            yield None
            continue
        images, results = pending[0]
        if not wait_for([results], POLL_SECONDS).done:
            yield None
            continue
        pending.popleft()
        yield from zip(images, results.result(), strict=True)
