"""Client of one worker process: it sends paths, receives results, and restarts a worker that a file crashed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import IO, Any

import numpy as np

from transfercli.data.image import Decoded, FileState, Geometry

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from transfercli.data.decoding.worker import main; main()"
)


class WorkersUnavailableError(Exception):
    """Raised if a worker process cannot be started."""


def worker_settings(geometry: Geometry, index: Path | None = None, nice: int = 0) -> dict[str, Any]:
    """Return the settings that a worker reads first.

    Args:
        index: file of the cache's index; a content in it is hashed but not decoded.
        nice: increment of the worker's niceness (lower priority).
    """
    return {
        "geometry": [*astuple(geometry)],
        "index": str(index) if index else "",
        "space": geometry.space,
        "parent": os.getpid(),
        "nice": nice,
    }


class Worker:
    """Decoding process. Create it in a thread that lives as long, because the kernel ends it with that thread."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings, self.geometry = settings, Geometry(*settings["geometry"])
        self.lock, self.closed = threading.Lock(), False
        self.process = _process()

    def wait_until_ready(self) -> None:
        """Send the settings and wait for the reply. Raises `WorkersUnavailableError` if the process ends instead."""
        try:
            _send(self.process, self.settings)
            if _line(self.process) != {}:
                raise EOFError("unexpected reply")
        except (OSError, EOFError) as error:
            raise WorkersUnavailableError(f"a worker process ended at its start: {error}") from error

    def decode(self, paths: Sequence[str]) -> Iterator[Decoded]:
        """Yield one result per path, in order; end early if `close` is called.

        All paths are sent in one request. If the process ends, the remaining paths are sent one by one, to find the
        file that ended it. A file that ends the process twice gets a problem; a single time may have another cause,
        such as a shortage of memory.
        """
        waiting, alone, suspect = deque(paths), False, ""
        while waiting and not self.closed:
            request = [waiting[0]] if alone else list(waiting)
            try:
                for decoded in self._request(request):
                    waiting.popleft()
                    yield decoded
            except (OSError, EOFError):
                if self.closed:
                    return
                if alone and suspect == waiting[0]:
                    waiting.popleft()
                    yield Decoded(problem="unreadable: crashes the decoder or takes too long")
                    suspect = ""
                elif alone:
                    suspect = waiting[0]
                alone = True
                self._replace()

    def kill(self) -> None:
        """Kill the process, from any thread; `decode` then ends."""
        with self.lock:
            self.closed = True
            self.process.kill()

    def close(self) -> None:
        """Kill the process and close its pipes."""
        self.kill()
        _end(self.process)

    def _request(self, paths: list[str]) -> Iterator[Decoded]:
        _send(self.process, paths)
        for _ in paths:
            yield _receive(self.process, self.geometry)

    def _replace(self) -> None:
        with self.lock:
            if self.closed:
                return
            _end(self.process)
            self.process = _process()
        self.wait_until_ready()


def _process() -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps(sys.path)],  # -P: import no module from the current folder
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
            pass  # unsent data cannot be flushed


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
    header: dict[str, Any] = json.loads(line)
    return header


def _receive(process: subprocess.Popen[bytes], geometry: Geometry) -> Decoded:
    header = _line(process)
    header["state"] = FileState(*header["state"])
    if not header.pop("has_pixels"):
        return Decoded(**header)
    size = int(np.prod(geometry.shape))
    content = _pipe(process.stdout).read(size)
    if len(content) != size:
        raise EOFError("the worker ended")
    return Decoded(**header, pixels=np.frombuffer(content, np.uint8).reshape(geometry.shape))
