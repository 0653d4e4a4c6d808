"""Pool of decoding worker processes; results arrive in any order, and no worker outlives the generator."""

from __future__ import annotations

import itertools
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.decoding.worker_client import Worker, worker_settings
from transfercli.data.image import Decoded, Geometry

CHUNK = 32  # files per request
BATCH_BYTES = 4 * 1024 * 1024  # pixels per list of results
MAX_QUEUED = 4  # lists of results in the queue, which bounds memory


def decode_files(
    files: Sequence[str],
    geometry: Geometry,
    workers: int,
    index: Path | None = None,
    arriving: Iterator[tuple[int, str]] | None = None,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Decoded]]:
    """Decode `files` in worker processes; yield (index into `files`, result) in no fixed order.

    A file that ends its worker twice is returned with a problem, and decoding continues. Closing the generator ends the
    workers at once. Raises `WorkersUnavailableError` if the workers cannot be started.

    Args:
        index: file of the cache's index; a content in it is hashed but not decoded.
        arriving: yields (index into `files`, file) once a file can be read, in any order; None: all of them can.
        stop: ends the waiting for what arrives, when the generator is closed.
    """
    numbered = iter(list(enumerate(files))) if arriving is None else arriving
    size = max(1, min(CHUNK, len(files) // (4 * workers)))  # so that all workers finish at about the same time
    chunks = iter(lambda: list(itertools.islice(numbered, size)), [])
    pool = _Pool(chunks, worker_settings(geometry, index), stop)
    with closing(pool):
        pool.start(min(workers, len(files)))
        yield from pool.results()


class _Pool:
    """Workers, each with a thread that sends it chunks of files and puts the results into a queue."""

    def __init__(
        self, chunks: Iterator[list[tuple[int, str]]], settings: dict[str, Any], stop: Callable[[], None]
    ) -> None:
        self.chunks, self.stop, self.lock = chunks, stop, threading.Lock()
        self.settings = settings
        self.queue: queue.Queue[list[tuple[int, Decoded]] | BaseException | None] = queue.Queue(MAX_QUEUED)
        self.stopping = threading.Event()
        self.workers: list[Worker] = []
        self.threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        for _ in range(count):
            self.workers.append(
                Worker(self.settings)
            )  # in this thread, which outlives the others: a worker ends with its thread
        for worker in self.workers:
            thread = threading.Thread(target=self._serve, args=(worker,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def results(self) -> Iterator[tuple[int, Decoded]]:
        working = len(self.threads)
        while working:
            item = self.queue.get()
            if item is None:
                working -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield from item

    def close(self) -> None:
        self.stopping.set()
        self.stop()
        for worker in self.workers:
            worker.kill()
        for thread in self.threads:
            if not sys.is_finalizing():  # Python 3.13 pauses daemon threads while it exits, so that joining would hang
                thread.join()
        for worker in self.workers:
            worker.close()

    def _put(self, item: list[tuple[int, Decoded]] | BaseException | None) -> None:
        while not self.stopping.is_set():
            try:
                self.queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def _serve(self, worker: Worker) -> None:
        """Send chunks to one worker until none are left; runs in the worker's thread."""
        try:
            worker.wait_until_ready()
            while not self.stopping.is_set():
                with self.lock:
                    chunk = next(self.chunks, None)
                if chunk is None:
                    break
                self._decode_chunk(worker, chunk)
        except BaseException as error:
            self._put(error)
        self._put(None)

    def _decode_chunk(self, worker: Worker, chunk: list[tuple[int, str]]) -> None:
        """Queue results in lists, because waking the main thread costs more than decoding a small file."""
        results, size = list[tuple[int, Decoded]](), 0
        try:
            # Not strict: a worker ends early if the pool is closed.
            for (position, _), decoded in zip(chunk, worker.decode([path for _, path in chunk]), strict=False):
                results.append((position, decoded))
                size += int(np.prod(worker.geometry.shape))
                if size >= BATCH_BYTES:
                    self._put(results)
                    results, size = [], 0
        finally:
            self._put(results)
