"""One worker process and the conversation with it: paths out, outcomes back, started again where a file ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from transfercli.data.image import Decoded, Geometry

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from transfercli.data.decoding.worker import main; main()"
)


class WorkersUnavailableError(Exception):
    """Not one worker could be started."""


def settings_for(geometry: Geometry, index: Path | None = None, nice: int = 0) -> dict[str, Any]:
    """What a worker is told first.

    Args:
        index: the cache's index; a content that it holds is hashed and not decoded.
        nice: how far it stands back where the processor is wanted by others.
    """
    return {
        "geometry": [geometry.height, geometry.width, geometry.resize],
        "index": str(index) if index else "",
        "space": geometry.space,
        "parent": os.getpid(),
        "nice": nice,
    }


class Worker:
    """A process that decodes. Start it in a thread that lives as long: the kernel ends it with that thread."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings, self.geometry = settings, Geometry(*settings["geometry"])
        self.lock, self.closed = threading.Lock(), False
        self.process = _process()

    def greet(self) -> None:
        """Wait until it is ready; raises WorkersUnavailableError where it ended instead."""
        try:
            _send(self.process, self.settings)
            if _line(self.process) != {}:
                raise EOFError("no greeting")
        except (OSError, EOFError) as error:
            raise WorkersUnavailableError(f"a worker process ended at its start: {error}") from error

    def outcomes(self, paths: Sequence[str]) -> Iterator[Decoded]:
        """One outcome a path, in their order; ends early once `close` was called.

        All paths in one request; one request a path after the process has ended, to know which file it is. A file
        that ends it twice is reported with a problem: once may be another program's doing, such as a shortage of
        memory.
        """
        waiting, alone, suspect = deque(paths), False, ""
        while waiting and not self.closed:
            asked = [waiting[0]] if alone else list(waiting)
            try:
                for decoded in self._ask(asked):
                    waiting.popleft()
                    yield decoded
            except (OSError, EOFError):
                if self.closed:
                    return
                if alone and suspect == waiting[0]:
                    waiting.popleft()
                    yield Decoded(problem="unreadable: ends the decoder or takes too long")
                    suspect = ""
                elif alone:
                    suspect = waiting[0]
                alone = True
                self._replace()

    def kill(self) -> None:
        """From any thread: end the process, whatever it is doing; `outcomes` ends too."""
        with self.lock:
            self.closed = True
            self.process.kill()

    def close(self) -> None:
        self.kill()
        _end(self.process)

    def _ask(self, paths: list[str]) -> Iterator[Decoded]:
        _send(self.process, paths)
        for _ in paths:
            yield _receive(self.process, self.geometry)

    def _replace(self) -> None:
        with self.lock:
            if self.closed:
                return
            _end(self.process)
            self.process = _process()
        self.greet()


def _process() -> subprocess.Popen[bytes]:
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
