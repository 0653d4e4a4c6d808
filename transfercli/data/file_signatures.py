"""Formats of image files by their first bytes."""

from __future__ import annotations

from pathlib import Path

HEAD_BYTES = 4096

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)
# Formats that are not read: (position, bytes, name).
OTHER_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypavif", "AVIF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
)
# Files that stand in for an image: (start, words for a message).
STAND_INS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the image: run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image: run `git annex get`"),
    (b"<!doctype html", "a web page, not an image: the download failed"),
    (b"<html", "a web page, not an image: the download failed"),
)
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})


def first_bytes(file: str) -> bytes:
    """Return the first 4 KiB of a file; b"" if it cannot be read or is not a regular file."""
    path = Path(file)
    try:
        if not path.is_file():  # opening a pipe would block
            return b""
        with path.open("rb") as opened:
            return opened.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def format_of(head: bytes) -> str:
    """Return the format by its signature, or ""."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    return next((name for signature, name in SIGNATURES if head.startswith(signature)), "")


def other_image_format(head: bytes) -> str:
    """Return the name of an image format that is not read, or ""."""
    return next((name for place, signature, name in OTHER_SIGNATURES if head[place:].startswith(signature)), "")


def stand_in(head: bytes) -> str:
    """Return words for a file that stands in for an image, such as a Git LFS pointer, or ""."""
    start = head.lstrip()[:64].lower()
    return next((words for signature, words in STAND_INS if start.startswith(signature)), "")
