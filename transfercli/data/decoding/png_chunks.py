"""PNG files without damaged extras: the pixels are whole if the critical chunks are.

Pillow refuses a PNG for a damaged ancillary chunk, such as a text that is too long or a wrong checksum of the physical
size. Other readers (libpng, and so TensorFlow and OpenCV) leave such a chunk out, as the PNG specification recommends.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_IS_ANCILLARY = 0x20  # bit of the first letter of a chunk's name: the chunk is not needed to decode the pixels
_CHANGES_COLOURS = frozenset({b"tRNS", b"iCCP", b"eXIf"})  # opacity, colour profile and orientation


def without_extras(content: bytes) -> Iterator[bytes]:
    """Yield a PNG with only those ancillary chunks that change the result and have the right checksum; then with none.

    Yields nothing for other formats, and for a PNG that has no ancillary chunk.
    """
    if not content.startswith(SIGNATURE):
        return
    chunks = [*_chunks(content)]
    if not any(name[0] & _IS_ANCILLARY for name, _ in chunks):
        return
    for kept in (_CHANGES_COLOURS, frozenset()):
        parts = [
            chunk
            for name, chunk in chunks
            if not name[0] & _IS_ANCILLARY or (name in kept and _checksum(chunk) == chunk[-4:])
        ]
        yield b"".join([SIGNATURE, *parts])


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the bytes of each chunk; the last one may be cut."""
    at = len(SIGNATURE)
    while at + 8 <= len(content):
        length, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if not _LETTERS.issuperset(name):
            return
        yield name, content[at : at + 12 + length]
        at += 12 + length


def _checksum(chunk: bytes) -> bytes:
    return zlib.crc32(chunk[4:-4]).to_bytes(4, "big")
