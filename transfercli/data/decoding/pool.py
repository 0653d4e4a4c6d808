"""Worker processes for decoding: answers as they come, and no worker outlives the block that started it."""

from __future__ import annotations

import itertools
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.decoding.worker_client import Worker, settings_for
from transfercli.data.image import Decoded, Geometry

CHUNK = 32
TOGETHER_BYTES = 4 * 1024 * 1024
WAITING = 4  # lists of answers held at most: memory stays flat in the number of files


def decode_files(
    files: Sequence[str], geometry: Geometry, *, workers: int, index: Path | None = None
) -> Iterator[tuple[int, Decoded]]:
    """Decode `files` in processes; yields (position, outcome) in no fixed order.

    A file that ends the worker twice is reported with a problem, and the work goes on. Closing the generator ends the
    workers at once. Raises WorkersUnavailableError where they cannot be started.

    Args:
        index: the cache's index; a content that it holds is hashed and not decoded.
    """
    numbered = iter(list(enumerate(files)))
    size = max(1, min(CHUNK, len(files) // (4 * workers)))  # so that all workers end at about the same time
    chunks = iter(lambda: list(itertools.islice(numbered, size)), [])
    pool = _Pool(chunks, settings_for(geometry, index))
    with closing(pool):
        pool.start(min(workers, len(files)))
        yield from pool.answers()


class _Pool:
    def __init__(self, chunks: Iterator[list[tuple[int, str]]], settings: dict[str, Any]) -> None:
        self.chunks, self.lock = chunks, threading.Lock()
        self.settings = settings
        self.queue: queue.Queue[list[tuple[int, Decoded]] | BaseException | None] = queue.Queue(WAITING)
        self.stopping = threading.Event()
        self.workers: list[Worker] = []
        self.threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        for _ in range(count):
            self.workers.append(Worker(self.settings))  # in this thread, which lives longest
        for worker in self.workers:
            thread = threading.Thread(target=self._serve, args=(worker,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def answers(self) -> Iterator[tuple[int, Decoded]]:
        working = len(self.threads)
        while working:
            answer = self.queue.get()
            if answer is None:
                working -= 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                yield from answer

    def close(self) -> None:
        self.stopping.set()
        for worker in self.workers:
            worker.kill()
        for thread in self.threads:
            if not sys.is_finalizing():  # Python 3.13 holds daemon threads still while it ends: joining would hang
                thread.join()
        for worker in self.workers:
            worker.close()

    def _put(self, answer: list[tuple[int, Decoded]] | BaseException | None) -> None:
        while not self.stopping.is_set():
            try:
                self.queue.put(answer, timeout=0.2)
                return
            except queue.Full:
                continue

    def _serve(self, worker: Worker) -> None:
        """One worker's conversation, in a thread of its own."""
        try:
            worker.greet()
            while not self.stopping.is_set():
                with self.lock:
                    chunk = next(self.chunks, None)
                if chunk is None:
                    break
                self._chunk(worker, chunk)
        except BaseException as error:
            self._put(error)
        self._put(None)

    def _chunk(self, worker: Worker, chunk: list[tuple[int, str]]) -> None:
        """Hand on answers some at a time: waking the main thread for each costs more than decoding a small file."""
        answers, size = list[tuple[int, Decoded]](), 0
        try:
            # Not strict: where the pool is closed, a worker ends early.
            for (position, _), decoded in zip(chunk, worker.outcomes([path for _, path in chunk]), strict=False):
                answers.append((position, decoded))
                size += int(np.prod(worker.geometry.shape))
                if size >= TOGETHER_BYTES:
                    self._put(answers)
                    answers, size = [], 0
        finally:
            self._put(answers)
