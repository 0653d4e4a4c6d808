"""A process that decodes files for its parent: paths in, pixels out, over its two pipes.

Started as an interpreter of its own (`pool.py`), so it neither forks a process that runs TensorFlow nor imports the
caller's script again, and it loads nothing but Pillow and NumPy. It ends when its input ends, which is when the
parent is gone, whatever killed it.

In:  one JSON line of settings, then one JSON line for each list of paths.
Out: one empty JSON object when it is ready; then for each path one JSON line, and the pixels where there are any.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Decoded, Geometry

FILE_SECONDS = 120  # no allowed image takes as long; the alarm ends the worker, also inside a decoder
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a C library prints must not come between the answers
    settings = json.loads(source.readline())
    _die_with(settings["parent"])
    os.nice(settings["nice"])
    geometry, known = Geometry(*settings["geometry"]), _known(settings)
    _answer(sink, {})
    sink.flush()
    for line in source:
        for path in json.loads(line):
            signal.alarm(FILE_SECONDS)
            decoded = decode_file(path, geometry, known)
            signal.alarm(0)
            _answer(sink, described(decoded), decoded.pixels)
        sink.flush()


def described(decoded: Decoded) -> dict[str, Any]:
    """Everything but the pixels, which follow as bytes."""
    answer = {field.name: getattr(decoded, field.name) for field in fields(Decoded) if field.name != "pixels"}
    return answer | {"has_pixels": decoded.pixels is not None}


def _answer(sink: BinaryIO, answer: dict[str, Any], pixels: Any = None) -> None:
    sink.write(json.dumps(answer).encode() + b"\n")
    if pixels is not None:
        sink.write(pixels.data)


def _known(settings: dict[str, Any]) -> Callable[[str], bool] | None:
    """Whether the cache holds a content already, asked of its index without ever writing to it."""
    if not settings["index"]:
        return None
    try:
        index = sqlite3.connect(f"{Path(settings['index']).as_uri()}?mode=ro", uri=True, timeout=10)
    except sqlite3.Error:
        return None
    query = "SELECT 1 FROM entries WHERE space = ? AND key = ?"

    def known(sha256: str) -> bool:
        try:
            return index.execute(query, (settings["space"], sha256)).fetchone() is not None
        except sqlite3.Error:
            return False

    return known


def _die_with(parent: int) -> None:
    """Linux: be killed with the parent, even in the middle of a decoder; elsewhere the closed pipe is enough."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)
