"""File headers: the format by the first bytes, the number of pictures in a file, and damage that its segments show."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.file_formats import EXTENSIONS, first_bytes, format_of
from transfercli.data.quality.jpeg_scans import damage

_TAKEN, _MODEL, _EXIF = 0x9003, 0x0110, 0x8769  # EXIF tags: DateTimeOriginal, Model, and the part that holds the former


@dataclass(frozen=True, slots=True)
class FileHeader:
    """Format and number of pictures by a file's content.

    Attributes:
        format: a key of `file_formats.EXTENSIONS`, or "" for other formats.
        pictures: number of pictures in words; "" for one.
        damage: damage of the image data of a JPEG, or "".
        moment: second and camera of a JPEG by its EXIF data, or "".
    """

    format: str = ""
    pictures: str = ""
    damage: str = ""
    moment: str = ""


def read_header(file: str) -> FileHeader:
    """Read the first 4 KiB of a file; JPEG, GIF and TIFF files are read whole, without decoding."""
    head = first_bytes(file)
    name = format_of(head)
    pictures = _COUNTERS[name](file, head) if name in _COUNTERS else ""
    if name != "JPEG":
        return FileHeader(name, pictures)
    content = first_bytes(file, -1)
    return FileHeader(name, pictures, damage(content), _moment(content))


def oddities(file: str, header: FileHeader) -> list[str]:
    """Return oddities of a readable image file: `damaged: …`, `wrong extension: …` and `animated: …`, or nothing."""
    extension, texts = Path(file).suffix.lower(), [header.damage] if header.damage else []
    if extension and header.format and extension not in EXTENSIONS[header.format]:
        texts.append(f"wrong extension: {extension!r}, but the file is {header.format}")
    return [*texts, f"animated: {header.pictures}, the first is used"] if header.pictures else texts


def _moment(content: bytes) -> str:
    """Return the second and the camera of a photograph by its EXIF data; "" if it has none."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = Image.open(io.BytesIO(content), formats=("JPEG",)).getexif()
            taken, camera = exif.get_ifd(_EXIF).get(_TAKEN), exif.get(_MODEL)
    except Exception:  # EXIF data may be damaged, which is no problem of the picture
        return ""
    return f"{taken} {camera}" if taken and camera else ""


def _gif_or_tiff(file: str, head: bytes) -> str:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = Path(file).read_bytes()  # given a path, Pillow would keep the file open until garbage collection
            frames = int(getattr(Image.open(io.BytesIO(content), formats=("GIF", "TIFF")), "n_frames", 1))
    except Exception:  # the first picture was decoded; others may be damaged
        return "more than one picture, some of them damaged"
    return f"{frames} pictures" if frames > 1 else ""


def _png(file: str, head: bytes) -> str:
    return "several pictures" if b"acTL" in head.partition(b"IDAT")[0] else ""


def _webp(file: str, head: bytes) -> str:
    return "several pictures" if head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2 else ""


_COUNTERS = {"GIF": _gif_or_tiff, "TIFF": _gif_or_tiff, "PNG": _png, "WEBP": _webp}
