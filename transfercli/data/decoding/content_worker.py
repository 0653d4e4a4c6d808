"""Worker process that decodes images whose bytes it is sent, as a server receives them.

Usage: python -m transfercli.data.decoding.content_worker PARENT SECONDS, with a socket as stdin. It imports only Pillow
and NumPy. SIGALRM ends it, also inside a decoder, if an image takes longer than SECONDS; it ends when the socket is
closed, and with its parent.

request: a JSON line with the geometry and the size of each image in bytes, or the shape of an array, uint8
[height, width, 3]; then the bytes of all images.
answer: for each image, in order, `ANSWER`: 1 if there are pixels, and the number of bytes that follow: the pixels, or
the reason why there are none.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

import numpy as np

from transfercli.data.decoding.decode import decode_bytes, resize_array
from transfercli.data.decoding.worker_answer import ANSWER
from transfercli.data.image import Decoded, Geometry
from transfercli.io.parent import exit_with_parent

NICENESS = 5  # lower priority, so that the network and the server get the processor first
HELD_SECONDS = 0.002  # that a finished image may wait for the next one: waking the reader costs more than a small image
HELD_BYTES = 1 << 20
MAX_REASON = 500  # characters


def main() -> None:
    """Decode requests until the socket is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server decides when its workers end
        signal.signal(number, signal.SIG_IGN)
    exit_with_parent(int(sys.argv[1]))
    os.nice(NICENESS)
    connection = socket.socket(fileno=os.dup(0))
    seconds = float(sys.argv[2])
    connection.sendall(b"\n")
    with connection.makefile("rb", 1 << 20) as source:
        while line := source.readline():
            request = json.loads(line)
            contents = [(size, source.read(_bytes_of(size))) for size in request["images"]]
            _decode_all(connection, contents, Geometry(*request["geometry"]), seconds)


def _bytes_of(size: int | Sequence[int]) -> int:
    return size if isinstance(size, int) else int(np.prod(size))


def _decode_all(
    connection: socket.socket, contents: list[tuple[int | Sequence[int], bytes]], geometry: Geometry, seconds: float
) -> None:
    """Decode the images of a request, and send their answers a few at a time."""
    held, since = bytearray(), time.monotonic()
    for size, content in contents:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        decoded = decode_bytes(content, geometry) if isinstance(size, int) else _resized(content, size, geometry)
        signal.setitimer(signal.ITIMER_REAL, 0)
        payload = decoded.problem[:MAX_REASON].encode() if decoded.pixels is None else decoded.pixels.data
        held += ANSWER.pack(decoded.pixels is not None, memoryview(payload).nbytes)
        held += payload
        if len(held) > HELD_BYTES or time.monotonic() - since > HELD_SECONDS:
            connection.sendall(held)
            held, since = bytearray(), time.monotonic()
    connection.sendall(held)


def _resized(content: bytes, shape: Sequence[int], geometry: Geometry) -> Decoded:
    """Resize an array as a decoded file is."""
    height, width, _ = shape
    if height * width > geometry.max_megapixels * 1e6:
        limit = f"data.max_megapixels allows {geometry.max_megapixels:g}"
        return Decoded(problem=f"too large: {width}x{height} is {width * height / 1e6:.1f} megapixels, {limit}")
    if not height * width:
        return Decoded(problem=f"empty: {width}x{height} pixels")
    return resize_array(np.frombuffer(content, np.uint8).reshape(height, width, 3), geometry)


if __name__ == "__main__":
    main()
