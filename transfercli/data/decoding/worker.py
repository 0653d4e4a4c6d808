"""Worker process that decodes files for its parent: it reads paths from stdin and writes pixels to stdout.

It runs in a new interpreter (`worker_client.py`), so that no process with TensorFlow is forked and the caller's script
is not imported again; it imports only Pillow and NumPy. It ends when stdin is closed, which also happens if the parent
is killed.

stdin:  one JSON line of settings, then one JSON line for each list of paths.
stdout: an empty JSON object when ready; then for each path one JSON line, followed by the pixels if there are any.
"""

from __future__ import annotations

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
from transfercli.io.parent import exit_with_parent

FILE_SECONDS = 120  # longer than any allowed image takes; then SIGALRM ends the worker, also inside a decoder


def main() -> None:
    """Decode requests until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent ends the worker
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of C libraries must not mix with the results
    settings = json.loads(source.readline())
    exit_with_parent(settings["parent"])
    os.nice(settings["nice"])
    geometry, known = Geometry(*settings["geometry"]), _known(settings)
    _write(sink, {})
    sink.flush()
    for line in source:
        for path in json.loads(line):
            signal.alarm(FILE_SECONDS)
            decoded = decode_file(path, geometry, known)
            signal.alarm(0)
            _write(sink, outcome_header(decoded), decoded.pixels)
        sink.flush()


def outcome_header(decoded: Decoded) -> dict[str, Any]:
    """Return the fields of a result without the pixels, which follow as bytes."""
    values = {field.name: getattr(decoded, field.name) for field in fields(Decoded) if field.name != "pixels"}
    return values | {"has_pixels": decoded.pixels is not None}


def _write(sink: BinaryIO, header: dict[str, Any], pixels: Any = None) -> None:
    sink.write(json.dumps(header).encode() + b"\n")
    if pixels is not None:
        sink.write(pixels.data)


def _known(settings: dict[str, Any]) -> Callable[[str], bool] | None:
    """Return a function that looks up a content in the cache's index, opened read-only; None without an index."""
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
