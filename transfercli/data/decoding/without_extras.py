"""Image files without damaged extras: texts, previews, colour profiles and other data that the pixels do not need.

Pillow refuses a file for such data, for example a PNG text that is too long or has a wrong checksum. Other readers
(libpng, libjpeg and libwebp, and so TensorFlow and OpenCV) leave it out. What the pixels need stays: if it is damaged,
the file is still refused.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from transfercli.data.file_formats import HEAD_BYTES, format_of

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_IS_ANCILLARY = 0x20  # bit of the first letter of a PNG chunk's name: the chunk is not needed to decode the pixels
_PNG_COLOURS = frozenset({b"tRNS", b"iCCP", b"eXIf"})  # opacity, colour profile and orientation
_APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT, _SCAN = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE, 0xDA
_ADOBE_BYTES = 16  # of a whole APP14 segment, which says how the channels of a JPEG are to be read
_WEBP_PIXELS = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
_WEBP_HEADER, _WEBP_FLAGS = b"VP8X", 0x12  # flags that stay: opacity and animation, without profile, EXIF and XMP


def without_extras(content: bytes) -> Iterator[bytes]:
    """Yield versions of a PNG, JPEG or WebP with fewer extras; nothing for other formats.

    The first ones keep what changes the picture, such as its orientation and its colour profile.
    """
    versions = {"PNG": _png, "JPEG": _jpeg, "WEBP": _webp}.get(format_of(content[:HEAD_BYTES]))
    if versions:
        yield from (version for version in versions(content) if version != content)


def _png(content: bytes) -> Iterator[bytes]:
    """Yield a PNG with those ancillary chunks that change the picture and have the right checksum; then with none."""
    chunks = [*_png_chunks(content)]
    for kept in (_PNG_COLOURS, frozenset[bytes]()):
        parts = [
            chunk
            for name, chunk in chunks
            if not name[0] & _IS_ANCILLARY or (name in kept and _checksum(chunk) == chunk[-4:])
        ]
        yield b"".join([PNG_SIGNATURE, *parts])


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the bytes of each chunk; the last one may be cut."""
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(content):
        length, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if not _LETTERS.issuperset(name):
            return
        yield name, content[at : at + 12 + length]
        at += 12 + length


def _checksum(chunk: bytes) -> bytes:
    return zlib.crc32(chunk[4:-4]).to_bytes(4, "big")


def _jpeg(content: bytes) -> Iterator[bytes]:
    """Yield a JPEG with its EXIF data and its colour profile; then with its EXIF data; then with neither."""
    segments, rest = _jpeg_segments(content)
    for kept in ((b"Exif\0\0", b"ICC_PROFILE\0"), (b"Exif\0\0",), ()):
        parts = [segment for marker, segment in segments if _is_needed(marker, segment) or segment[4:].startswith(kept)]
        yield b"".join([content[:2], *parts, rest])


def _is_needed(marker: int, segment: bytes) -> bool:
    if marker == _APP14:
        return len(segment) >= _ADOBE_BYTES
    return not _APP0 <= marker <= _APP15 and marker != _COMMENT


def _jpeg_segments(content: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the marker and the bytes of each segment before the first scan, and the rest of the file."""
    segments, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != _SCAN:
        if content[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        segments.append((content[at + 1], content[at:end]))
        at = end
    return segments, content[at:]


def _webp(content: bytes) -> Iterator[bytes]:
    """Yield a WebP of its pixels and its opacity alone, if these are whole and the file was not cut."""
    if 8 + int.from_bytes(content[4:8], "little") > len(content):
        return
    parts, at = list[bytes](), 12
    while at + 8 <= len(content):
        name, length = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        if name in _WEBP_PIXELS or name == _WEBP_HEADER:
            if at + 8 + length > len(content) or not length:
                return
            chunk = bytearray(content[at:end])
            if name == _WEBP_HEADER:
                chunk[8] &= _WEBP_FLAGS
            parts.append(bytes(chunk))
        at = end
    body = b"WEBP" + b"".join(parts)
    yield b"RIFF" + len(body).to_bytes(4, "little") + body
