"""Files decoded by workers ahead of who wants them: answers in the files' order, memory flat in their number."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from types import TracebackType
from typing import Protocol

from transfercli.data.decoding.decode import decode_file
from transfercli.data.decoding.worker_client import Worker, WorkersUnavailableError, settings_for
from transfercli.data.image import Decoded, Geometry, Named

CHUNK = 8  # files a request
PATIENCE = 0.1  # seconds between two looks at what is under way, and at a wish to stop
NICE = 5  # a worker stands back where the network computes, and takes what it leaves

Outcome = tuple[Named, Decoded]


class Feed(Protocol):
    """Names of images as they come in; `over` once there will be no more."""

    over: bool

    def take(self, most: int, seconds: float) -> list[Named]:
        """Return at most `most` names; wait for the first of them for so many seconds."""


class Decoder:
    """Threads, each with a worker process, that are asked for lists of files; a context that leaves none behind.

    trouble: why files are decoded in this process; "" where all workers could be started.
    """

    def __init__(self, geometry: Geometry, workers: int) -> None:
        self.geometry, self.trouble = geometry, ""
        self._settings = settings_for(geometry, nice=NICE)
        self._own, self._started = threading.local(), list[Worker]()
        self._threads = ThreadPoolExecutor(workers, "decoder", self._begin)
        for _ in range(workers):
            self._threads.submit(int)  # starts a thread, and its worker, before there is anything to do

    def submit(self, named: Sequence[Named]) -> Future[list[Decoded]]:
        """One outcome a name, in their order."""
        return self._threads.submit(self._outcomes, named)

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
        """In each thread. The worker is this thread's child, and ends with it."""
        self._own.worker = None
        try:
            worker = Worker(self._settings)
            self._started.append(worker)
            worker.greet()
            self._own.worker = worker
        except WorkersUnavailableError as error:
            self.trouble = str(error)

    def _outcomes(self, named: Sequence[Named]) -> list[Decoded]:
        readable = [one.path for one in named if not one.problem]
        worker: Worker | None = self._own.worker
        answers = worker.outcomes(readable) if worker else (decode_file(path, self.geometry) for path in readable)
        return [Decoded(problem=one.problem) if one.problem else next(answers) for one in named]


def in_order(feed: Feed, decoder: Decoder, ahead: int) -> Iterator[Outcome | None]:
    """Every name of `feed` with its outcome, in their order; None where nothing is there yet.

    ahead: images that may be decoded before they are wanted.
    """
    under_way: deque[tuple[list[Named], Future[list[Decoded]]]] = deque()
    while True:
        while len(under_way) * CHUNK < ahead and (named := feed.take(CHUNK, 0 if under_way else PATIENCE)):
            under_way.append((named, decoder.submit(named)))
        if not under_way:
            if feed.over:
                return
            yield None
            continue
        named, outcomes = under_way[0]
        if not wait_for([outcomes], PATIENCE).done:
            yield None
            continue
        under_way.popleft()
        yield from zip(named, outcomes.result(), strict=True)
