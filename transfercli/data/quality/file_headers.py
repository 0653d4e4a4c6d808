"""What a file's first bytes say beside its name: another format than the extension, or more than one picture."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 4096

# Format -> the extensions that promise it.
EXTENSIONS: dict[str, frozenset[str]] = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}),
    "PNG": frozenset({".png"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "GIF": frozenset({".gif"}),
    "WEBP": frozenset({".webp"}),
    "TIFF": frozenset({".tif", ".tiff"}),
}
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)


@dataclass(frozen=True, slots=True)
class Head:
    """What the bytes of a file say, whatever its name.

    Attributes:
        format: "" where it is none of `EXTENSIONS`.
        pictures: how many there are, in words; "" for one.
    """

    format: str = ""
    pictures: str = ""


def read_head(file: str) -> Head:
    """Opens the file for its first 4 KiB; GIF and TIFF are gone through frame by frame without decoding them."""
    head = _first_bytes(file)
    name = format_of(head)
    return Head(name, _MOVING[name](file, head) if name in _MOVING else "")


def _first_bytes(file: str) -> bytes:
    """b"" where the file cannot be read."""
    try:
        with Path(file).open("rb") as opened:
            return opened.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def format_of(head: bytes) -> str:
    """The format by its signature, or ""."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return next((name for signature, name in SIGNATURES if head.startswith(signature)), "")


def oddities(file: str, head: Head) -> list[str]:
    """What is odd about a readable image of this name: `wrong extension: …` and `animated: …`, or nothing."""
    extension, found = Path(file).suffix.lower(), []
    if head.format and extension not in EXTENSIONS[head.format]:
        found.append(f"wrong extension: {extension!r}, but the file is {head.format}")
    return [*found, f"animated: {head.pictures}, the first is used"] if head.pictures else found


def _gif_or_tiff(file: str, head: bytes) -> str:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = Path(file).read_bytes()  # Pillow would keep the file open until it is collected
            frames = int(getattr(Image.open(io.BytesIO(content), formats=("GIF", "TIFF")), "n_frames", 1))
    except Exception:  # its first picture was decoded; what follows it may be anything
        return "more than one picture, some of them damaged"
    return f"{frames} pictures" if frames > 1 else ""


def _png(file: str, head: bytes) -> str:
    return "several pictures" if b"acTL" in head.partition(b"IDAT")[0] else ""


def _webp(file: str, head: bytes) -> str:
    return "several pictures" if head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2 else ""


_MOVING = {"GIF": _gif_or_tiff, "TIFF": _gif_or_tiff, "PNG": _png, "WEBP": _webp}
