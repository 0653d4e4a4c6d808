"""Worker processes for decoding: answers as they come, and no worker outlives the block that started it."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np

from transfercli.data.cache import pixel_space
from transfercli.data.decode import Decoded, Geometry

CHUNK = 32
TOGETHER_BYTES = 4 * 1024 * 1024
WAITING = 4  # lists of answers held at most: memory stays flat in the number of files
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from transfercli.data.worker import main; main()"


class WorkersUnavailableError(Exception):
    """Not one worker could be started."""


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
    pool = _Pool(chunks, geometry, index)
    with closing(pool):
        pool.start(min(workers, len(files)))
        yield from pool.answers()


class _Pool:
    def __init__(self, chunks: Iterator[list[tuple[int, str]]], geometry: Geometry, index: Path | None) -> None:
        self.chunks, self.lock = chunks, threading.Lock()
        self.settings = {
            "geometry": [geometry.height, geometry.width, geometry.resize],
            "index": str(index) if index else "",
            "space": pixel_space(geometry).name,
            "parent": os.getpid(),
        }
        self.geometry = geometry
        self.queue: queue.Queue[list[tuple[int, Decoded]] | BaseException | None] = queue.Queue(WAITING)
        self.stopping = threading.Event()
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        for number in range(count):
            # Started here: the kernel ends a worker with the thread that started it, and this one lives longest.
            self.processes[number] = self._process()
        for number in range(count):
            thread = threading.Thread(target=self._serve, args=(number,), daemon=True)
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
        with self.lock:
            for process in self.processes.values():
                process.kill()
        for thread in self.threads:
            if not sys.is_finalizing():  # Python 3.13 holds daemon threads still while it ends: joining would hang
                thread.join()
        for process in self.processes.values():
            _end(process)

    def _put(self, answer: list[tuple[int, Decoded]] | BaseException | None) -> None:
        while not self.stopping.is_set():
            try:
                self.queue.put(answer, timeout=0.2)
                return
            except queue.Full:
                continue

    def _serve(self, number: int) -> None:
        """One worker's conversation, in a thread of its own."""
        try:
            _greet(self.processes[number], self.settings)
            while not self.stopping.is_set():
                with self.lock:
                    chunk = next(self.chunks, None)
                if chunk is None:
                    break
                self._chunk(number, deque(chunk))
        except BaseException as error:
            self._put(error)
        self._put(None)

    def _chunk(self, number: int, waiting: deque[tuple[int, str]]) -> None:
        """All files in one request; one request a file after the worker has ended, to know which file it is."""
        crashed: set[int] = set()
        while waiting and not self.stopping.is_set():
            asked = list(waiting)[: 1 if crashed else None]
            try:
                self._ask(number, asked, waiting)
            except (OSError, EOFError):
                if self.stopping.is_set():
                    return
                position = waiting[0][0]
                if len(asked) == 1 and position in crashed:
                    # Twice: once may be another program's doing, such as a shortage of memory.
                    self._put([(position, Decoded(problem="unreadable: ends the decoder or takes too long"))])
                    waiting.popleft()
                crashed.add(position if len(asked) == 1 else -1)
                self._replace(number)

    def _ask(self, number: int, asked: list[tuple[int, str]], waiting: deque[tuple[int, str]]) -> None:
        """Hand on answers some at a time: waking the main thread for each costs more than decoding a small file."""
        process, answers, size = self.processes[number], list[tuple[int, Decoded]](), 0
        _send(process, [path for _, path in asked])
        try:
            for position, _ in asked:
                answers.append((position, _receive(process, self.geometry)))
                waiting.popleft()
                size += int(np.prod(self.geometry.shape))
                if size >= TOGETHER_BYTES:
                    self._put(answers)
                    answers, size = [], 0
        finally:
            self._put(answers)

    def _replace(self, number: int) -> None:
        with self.lock:
            if self.stopping.is_set():
                return
            _end(self.processes[number])
            self.processes[number] = self._process()
        _greet(self.processes[number], self.settings)

    def _process(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],  # -P: no module of the current folder
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise WorkersUnavailableError(str(error)) from error


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except BrokenPipeError:
            pass  # what was never sent cannot be flushed


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise EOFError("no pipe")
    return pipe


def _greet(process: subprocess.Popen[bytes], settings: dict[str, Any]) -> None:
    try:
        _send(process, settings)
        if _line(process) != {}:
            raise EOFError("no greeting")
    except (OSError, EOFError) as error:
        raise WorkersUnavailableError(f"a worker process ended at its start: {error}") from error


def _send(process: subprocess.Popen[bytes], value: Any) -> None:
    pipe = _pipe(process.stdin)
    pipe.write(json.dumps(value).encode() + b"\n")
    pipe.flush()


def _line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    line = _pipe(process.stdout).readline()
    if not line.endswith(b"\n"):
        raise EOFError("the worker ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _receive(process: subprocess.Popen[bytes], geometry: Geometry) -> Decoded:
    answer = _line(process)
    if not answer.pop("has_pixels"):
        return Decoded(**answer)
    size = int(np.prod(geometry.shape))
    content = _pipe(process.stdout).read(size)
    if len(content) != size:
        raise EOFError("the worker ended")
    return Decoded(**answer, pixels=np.frombuffer(content, np.uint8).reshape(geometry.shape))
