"""Images that a model was least sure of, kept as files to be labelled: a bounded number, each once.

`kept/` holds them under the SHA-256 of their bytes, and `kept.csv` beside it lists them, the least sure first. Several
processes share both: each brings its own candidates, and the least sure of all stay.
"""

from __future__ import annotations

import csv
import hashlib
import heapq
import io
import math
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.file_lock import plain_lock

FOLDER, TABLE, LOCK = "kept", "kept.csv", ".kept.lock"
MAX_FILE = 32 * 2**20  # bytes; of a larger one, the model's input is kept
MAX_PENDING = 64 * 2**20  # bytes in memory, which are written at once
MAX_TABLE = 16 * 2**20
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"II*\x00": ".tif",
    b"MM\x00*": ".tif",
}


@dataclass(frozen=True, order=True)
class Kept:
    """A row of the table: the confidence, the file's name, the answer, if the image was strange, and the time, UTC."""

    confidence: float
    file: str
    label: str
    strange: str
    when: str


COLUMNS = tuple(one.name for one in fields(Kept))


class KeptImages:
    """The `most` least sure images of a model's folder. It is not safe for threads."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._content: dict[str, bytes] = {}  # of candidates that are not written yet, by name of the file
        self._pending = 0  # bytes of them
        self._rows: dict[str, Kept] = {}
        self._largest: list[float] = []  # a heap of the negative confidences of all rows
        self._set_rows(_read_table(folder / TABLE))

    @property
    def full(self) -> bool:
        """True if the candidates in memory should be written now; until they are, no others are taken."""
        return self._pending > MAX_PENDING

    def wants(self, confidence: float) -> bool:
        """Return True if an image of this confidence would be among the least sure."""
        return not self.full and (len(self._largest) < self.most or confidence < -self._largest[0])

    def add(self, confidence: float, content: bytes, label: str, strange: bool | None, when: str) -> None:
        """Add a candidate. content: the bytes of a file in a format of `SIGNATURES`."""
        name = hashlib.sha256(content).hexdigest() + suffix_of(content)
        flag = "" if strange is None else str(strange).lower()
        row = Kept(confidence, name, label, flag, when)
        if name in self._rows and self._rows[name] <= row:
            return
        if name not in self._rows:
            heapq.heappush(self._largest, -confidence)
            if len(self._largest) > self.most:
                heapq.heappop(self._largest)
        self._pending += len(content) * (name not in self._content)
        self._rows[name], self._content[name] = row, content

    def write(self) -> None:
        """Write the candidates that are among the least sure of all processes, and remove images that are not any more.

        Raises `DiskError` or `UsageError` if that fails; then the earlier images stay.
        """
        if not self._content:
            return
        images = self.folder / FOLDER
        atomic.make_folder(images)
        with plain_lock(self.folder / LOCK):
            earlier = [row for row in _read_table(self.folder / TABLE) if (images / row.file).is_file()]
            rows = {row.file: row for row in sorted([*earlier, *self._rows.values()], reverse=True)}
            present = [row for row in rows.values() if row.file in self._content or (images / row.file).is_file()]
            kept = sorted(present)[: self.most]
            for row in kept:
                if not (images / row.file).exists():
                    atomic.write_bytes(images / row.file, self._content[row.file])
            atomic.write_text(self.folder / TABLE, _table(kept))
            names = {row.file for row in kept}
            for path in images.iterdir():
                if _is_name(path.name) and path.name not in names:
                    path.unlink(missing_ok=True)
        self._content.clear()
        self._pending = 0
        self._set_rows(kept)

    def _set_rows(self, rows: list[Kept]) -> None:
        self._rows = {row.file: row for row in rows}
        self._largest = [-row.confidence for row in rows]
        heapq.heapify(self._largest)


def suffix_of(content: bytes) -> str:
    """Return the suffix of an image file by its first bytes; "" for a format that is not kept as it is."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for signature, suffix in SIGNATURES.items() if content.startswith(signature)), "")


def content_of(pixels: npt.NDArray[np.uint8], file: bytes | Path | None) -> bytes:
    """Return the bytes to keep of an image: those of its file, or the model's input, uint8 [H, W, 3], as PNG.

    file: its bytes or path; None if there is none. One that cannot be read any more, or is too large, counts as none.
    """
    content = file if isinstance(file, bytes) else _read(file) if file else b""
    if content and len(content) <= MAX_FILE and suffix_of(content):
        return content
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(MAX_FILE + 1)
    except (OSError, ValueError):
        return b""


def _table(rows: list[Kept]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    return out.getvalue()


def _read_table(path: Path) -> list[Kept]:
    """Return the rows of a table, none if it is missing. Raises `ArtefactError` if it is damaged."""
    if not path.exists():
        return []
    try:
        if not path.is_file() or path.stat().st_size > MAX_TABLE:
            raise ValueError("it is no regular file of a table")
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        kept = [Kept(float(confidence), *texts) for confidence, *texts in rows]
        if not all(math.isfinite(row.confidence) and _is_name(row.file) for row in kept):
            raise ValueError("a row has no confidence or no file")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "remove it with the folder kept") from error
    return kept


def _is_name(text: str) -> bool:
    stem, _, suffix = text.partition(".")
    return len(stem) == 64 and all(letter in "0123456789abcdef" for letter in stem) and suffix.isalnum()
