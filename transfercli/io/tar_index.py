"""Index of a tar archive: the name, place and size of each regular file in it, from the headers alone.

Nothing is unpacked. Formats: POSIX ustar and pax (IEEE Std 1003.1-2017, pax) and GNU tar's long names. Folders, links,
devices and sparse files have no entry.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512
_MAX_EXTRA = 1024 * 1024  # bytes of a header that extends the next one
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"


class TarError(ValueError):
    """Raised if a file is no tar archive, or is damaged or cut off."""


@dataclass(frozen=True, slots=True)
class Member:
    """Regular file in an archive: its name as stored, and the place and size of its content in bytes."""

    name: str
    start: int
    size: int


def members(file: BinaryIO) -> Iterator[Member]:
    """Yield the regular files of an archive in order. Raises `TarError`."""
    length, at, name, size_given = file.seek(0, os.SEEK_END), 0, "", None
    while at + BLOCK <= length:
        file.seek(at)
        header = file.read(BLOCK)
        if not header.strip(b"\0"):  # the end, after which anything may stand
            return
        _check(header, at)
        size = _number(header[124:136]) if size_given is None else size_given
        kind, start = header[156:157], at + BLOCK
        if size < 0 or start + size > length:
            raise TarError(f"it is cut off: a member at byte {at} needs {size} bytes, {length - start} are there")
        at = start + -(-size // BLOCK) * BLOCK
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            content = _extra(file, start, size)
            if kind == _LONG_NAME:
                name = _text(content.rstrip(b"\0"))
            elif kind == _PAX:
                fields = _pax_fields(content)
                name = fields.get("path", name)
                size_given = _decimal(fields["size"]) if "size" in fields else None
            continue
        if kind in (b"0", b"\0", b"7") and not (name or _name(header)).endswith("/"):
            yield Member(name or _name(header), start, size)
        name, size_given = "", None
    if at < length or at == 0:
        raise TarError("it is no tar archive" if at == 0 else "it is cut off")


def _check(header: bytes, at: int) -> None:
    """Raise `TarError` unless the header's checksum is right: the sum of its bytes, with spaces in its own place."""
    try:
        wanted = _number(header[148:156])
    except TarError:
        wanted = -1
    if wanted != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise TarError("it is no tar archive" if at == 0 else f"the header at byte {at} is damaged")


def _number(field: bytes) -> int:
    """Return a number in octal digits, or in base 256 as GNU tar writes large ones."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise TarError("a header is damaged") from None


def _decimal(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise TarError("a header is damaged")
    return int(text)


def _name(header: bytes) -> str:
    name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
    is_posix = header[257:263] == b"ustar\0"
    return _text(prefix + b"/" + name if prefix and is_posix else name)


def _extra(file: BinaryIO, start: int, size: int) -> bytes:
    if size > _MAX_EXTRA:
        raise TarError(f"a header of {size} bytes is too long")
    file.seek(start)
    return file.read(size)


def _pax_fields(content: bytes) -> dict[str, str]:
    """Return the fields of a pax header: lines `LENGTH KEY=VALUE`, whose length counts the line as a whole."""
    fields = {}
    while content:
        digits, _, _ = content.partition(b" ")
        length = _decimal(_text(digits))
        line = content[len(digits) + 1 : length]
        if length <= len(digits) + 1 or length > len(content) or not line.endswith(b"\n"):
            raise TarError("a header is damaged")
        key, _, value = line[:-1].partition(b"=")
        fields[_text(key)] = _text(value)
        content = content[length:]
    if "GNU.sparse.major" in fields or "GNU.sparse.name" in fields:
        raise TarError("it holds sparse files, which are not read")
    return fields


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
