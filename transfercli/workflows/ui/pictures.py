"""Pictures of recorded images for the pages: decoded by worker processes, and kept in a bounded memory.

An address names an image by the SHA-256 that the run recorded. A file that has another content now, or cannot be read,
is answered with a placeholder.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from transfercli.data.cache.images import cache_root
from transfercli.data.dataset import Record
from transfercli.data.decoding.pictures import picture_geometry, picture_of
from transfercli.data.decoding.stream import Decoder
from transfercli.data.image import Decoded, InputImage
from transfercli.data.recorded_images import read_cached
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import base_folder
from transfercli.data.sources.storage.table_paths import recorded_place
from transfercli.evaluation.report.thumbnails import LOSSLESS, encoded, kind_of
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.recent import Recent

if TYPE_CHECKING:
    from starlette.requests import Request

SMALL, LARGE = 192, 1024  # pixels of a picture on a wall, and of one that is opened
WORKERS = 2
MOST_BYTES = 96 << 20  # of encoded pictures in memory
PLACEHOLDER = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><rect width="96" height="96" fill="#8a93a0"/>'
    '<g font-family="sans-serif" font-size="11" text-anchor="middle" fill="#11151b">'
    '<text x="48" y="44">no picture:</text><text x="48" y="60">{reason}</text></g></svg>'
)


class Pictures:
    """Pictures of files in two sizes; the worker processes start when the first one is asked for."""

    def __init__(self) -> None:
        self.cache = Recent[bytes](MOST_BYTES, size=len)
        self._decoders: dict[int, Decoder] = {}
        self._lock = Lock()

    async def answer(self, request: Request, files: RecordedFiles, record: Record, side: int) -> Response:
        """Return the picture of a recorded image, at most `side` pixels wide and high."""
        tag = f'"{record.sha256[:32]}-{side}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=31536000, immutable"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        key = record.sha256, side
        content = self.cache.get(key)
        if content is None:
            file, picture, reason = files.file_of(record), None, "not a file"
            if file:
                decoded = await asyncio.wrap_future(self._decode(file, side))
                picture = picture_of(decoded, picture_geometry(side))
                reason = "not readable" if picture is None else "file changed"
                picture = picture if decoded.sha256 == record.sha256 else None
            if picture is None:
                picture = await run_in_threadpool(files.cached, record)
            if picture is None:
                return placeholder(reason)
            content = encoded_picture(picture)
            self.cache.put(key, content)
        return Response(content, media_type=kind_of(content), headers=headers)

    def _decode(self, file: str, side: int) -> Future[Decoded]:
        with self._lock:
            if side not in self._decoders:
                self._decoders[side] = Decoder(picture_geometry(side), WORKERS if side == SMALL else 1)
            found = self._decoders[side].submit([InputImage(file)])
        result: Future[Decoded] = Future()
        found.add_done_callback(lambda done: _pass_on(done, result))
        return result

    def close(self) -> None:
        """End the worker processes."""
        with self._lock:
            for decoder in self._decoders.values():
                decoder.__exit__(None, None, None)
            self._decoders.clear()


def _pass_on(done: Future[list[Decoded]], result: Future[Decoded]) -> None:
    if done.cancelled():
        result.set_result(Decoded(problem="the site was stopped"))
    elif error := done.exception():
        result.set_exception(error)
    else:
        result.set_result(next(iter(done.result()), Decoded(problem="not read")))


def placeholder(reason: str) -> Response:
    """Return a picture that says why there is none."""
    return Response(
        PLACEHOLDER.format(reason=reason), media_type="image/svg+xml", headers={"Cache-Control": "no-store"}
    )


def encoded_picture(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture as PNG if it is small, else as JPEG."""
    return encoded(picture, lossless=max(picture.shape[:2]) <= LOSSLESS)


class RecordedFiles:
    """Files of the images that a run recorded."""

    def __init__(self, run: StoredRun) -> None:
        root = run.config.data.train
        self._run, self._base = run, None if is_keras(root) else base_folder(root)
        self._cache = cache_root(run.config.compute)

    def file_of(self, record: Record) -> str:
        """Return the path of an image; "" for one of a `keras:` data set, which has no file."""
        return "" if self._base is None else recorded_place(record.path, self._base, self._cache)

    def cached(self, record: Record) -> npt.NDArray[np.uint8] | None:
        """Return the pixels that the network reads, from the image cache; None if it does not hold the image."""
        remaining = read_cached([record], self._run.reading)
        return remaining.read(record.path) if record.path in remaining.rows else None
