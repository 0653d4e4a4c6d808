"""Pictures that a browser posts: read with limits of size and time into memory, and decoded by a worker process."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from transfercli.data.decoding.stream import Decoder
from transfercli.data.image import Decoded, InputImage

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_BYTES = 64 << 20
SECONDS = 30.0  # for a body to arrive
AT_ONCE = 4  # bodies that are read or decoded


class PostedPictures:
    """Reader of posted pictures. None is stored: a file in memory, which has no name, holds one while it is decoded."""

    def __init__(self) -> None:
        self._busy = 0

    async def decoded(self, request: Request, decoder: Decoder) -> Decoded:
        """Return the decoded body of a request, with a problem if it is no usable image.

        Raises 413 if it is too large, 408 if it does not arrive in time, 503 if too many are read at once.
        """
        if self._busy >= AT_ONCE:
            raise HTTPException(503, "too many pictures at once", {"Retry-After": "2"})
        self._busy += 1
        try:
            with _memory_file() as (handle, path):
                try:
                    async with asyncio.timeout(SECONDS):
                        await _read_into(handle, request)
                except TimeoutError:
                    raise HTTPException(408, "the picture did not arrive in time") from None
                except ClientDisconnect:
                    raise HTTPException(400, "the picture did not arrive whole") from None
                [decoded] = await asyncio.wrap_future(decoder.submit([InputImage(path)]))
                return decoded
        finally:
            self._busy -= 1


async def _read_into(handle: int, request: Request) -> None:
    length = request.headers.get("content-length", "0")
    size = int(length) if length.isdecimal() else 0
    async for part in request.stream():
        size = max(size, os.fstat(handle).st_size + len(part))
        if size > MOST_BYTES:
            raise HTTPException(413, f"a picture may have {MOST_BYTES >> 20} MiB at most")
        os.write(handle, part)


@contextmanager
def _memory_file() -> Iterator[tuple[int, str]]:
    """Yield the handle of a file that is gone at the end, and a path that a worker process finds it by.

    It is in memory on Linux, else in the folder for temporary files.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("picture", os.MFD_CLOEXEC)
        try:
            yield handle, f"/proc/{os.getpid()}/fd/{handle}"
        finally:
            os.close(handle)
        return
    with tempfile.NamedTemporaryFile(prefix="picture-", buffering=0) as file:
        yield file.fileno(), file.name
