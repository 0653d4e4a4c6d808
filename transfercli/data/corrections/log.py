"""Log of label decisions, a CSV file: read strictly, and appended to so that no acknowledged decision is ever lost.

A row is one decision on one image. Rows are only added, and the last one of an image counts, so that two reviewers, or
two pages, never overwrite each other. The file is data for programs: cells are quoted by RFC 4180 and otherwise as they
are, because an apostrophe against the formulas of a spreadsheet would be part of a label.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from transfercli.errors import DataError
from transfercli.io.atomic import fsync_folder, write_all, write_errors
from transfercli.text import shortened

COLUMNS = ("path", "sha256", "old", "new", "who", "when")
LINE_END = b"\n"
HEADER = ",".join(COLUMNS).encode() + LINE_END
MAX_BYTES = 256 * 2**20
MEND = "mend the row, or remove it"
MOST_TEXT = 10_000  # characters of a label set or a name
_SHA256 = re.compile("[0-9a-f]{64}")
_WHEN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?")
# Line ends, NUL, and surrogates that stand for no byte (PEP 383).
_CONTROL = re.compile("[\x00\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029\ud800-\udc7f\udd00-\udfff]")


@dataclass(frozen=True, slots=True)
class Decision:
    """Decision on the label of one image.

    Attributes:
        path, sha256: of its file, as in `dataset.csv`.
        old: the label that it had; new: the one that it gets, which may be the same; "" takes earlier decisions back.
            Of an image that may have several labels, both are texts of label sets.
        who: name that the reviewer gave, or "".
        when: UTC, `2026-11-29T08:21:07Z`, or "".
    """

    path: str
    sha256: str
    old: str
    new: str
    who: str = ""
    when: str = ""

    @property
    def image(self) -> tuple[str, str]:
        """Path and content, which both name the image: another file under the same path is another image."""
        return self.path, self.sha256


@dataclass(frozen=True)
class DecisionLog:
    """Decisions of a file, in its order. content: the bytes of its whole rows; torn: True if a part of one follows."""

    decisions: Sequence[Decision] = ()
    content: bytes = HEADER
    torn: bool = False

    @property
    def sha256(self) -> str:
        """SHA-256 of the whole rows."""
        return sha256(self.content).hexdigest()


def read_log(path: Path) -> DecisionLog | None:
    """Read the decisions of a file; None if there is no file yet.

    A last row that a kill cut short is left out. Raises `DataError`, with the line, for any other damage.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would block
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be read: {error.strerror}", "make it readable, or name another file"
        ) from error
    with os.fdopen(handle, "rb") as file:
        _check_file(file, path.name)
        return _parsed(file.read(MAX_BYTES + 1), path.name)


def append_decisions(path: Path, decisions: Sequence[Decision]) -> None:
    """Append decisions: when this returns, they are on the disk, and if it fails, none of them is in the file.

    Other processes that append wait meanwhile. The rest of a row that a kill cut short is removed first. Raises
    `DataError` if the file is damaged otherwise.
    """
    rows = b"".join(_row(decision) for decision in decisions)
    with write_errors(path), _locked(path) as file:
        _check_file(file, path.name)
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        whole = _whole(file.read(MAX_BYTES + 1), path.name)
        _check_columns(whole, path.name)
        start = b"" if whole else HEADER
        if whole and not whole.endswith(LINE_END):
            start = LINE_END  # a last row that an editor left without its line end
        try:
            if len(whole) < end:
                file.truncate(len(whole))
            write_all(file, start + rows)
            os.fsync(file.fileno())
            if not end:
                fsync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                file.truncate(len(whole))
            raise


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to append to, made if it is missing, and hold its lock; try again if it was replaced meanwhile."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    yield file
                    return


def _check_file(file: IO[bytes], name: str) -> None:
    info = os.fstat(file.fileno())
    if stat.S_ISDIR(info.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", name)
    if not stat.S_ISREG(info.st_mode):
        raise DataError(f"{name} is not a regular file", "name a CSV file of label decisions")
    if info.st_size > MAX_BYTES:
        raise _too_large(name)


def _too_large(name: str) -> DataError:
    message = f"{name} has more than {MAX_BYTES} bytes, the most that are read"
    return DataError(message, "keep only the last row of each image")


def _parsed(content: bytes, name: str) -> DecisionLog:
    whole = _whole(content, name)
    if not whole:
        return DecisionLog(torn=bool(content))
    _check_columns(whole, name)
    decisions = []
    reader = csv.reader(io.StringIO(whole.decode("utf-8-sig", "surrogateescape"), newline=""), strict=True)
    try:
        next(reader)
        for row in filter(None, reader):
            if reason := _fault(row):
                raise DataError(f"{name}:{reader.line_num}: {reason}", MEND)
            decisions.append(Decision(*row))
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: {error}", MEND) from error
    return DecisionLog(decisions, whole, torn=len(whole) < len(content))


def _check_columns(whole: bytes, name: str) -> None:
    """Raise `DataError` if the first of the whole rows, if there are any, is not the header."""
    first = whole.partition(LINE_END)[0]
    if whole and tuple(_cells(first)) != COLUMNS:
        shown = shortened(first.decode("utf-8-sig", "replace").strip(), 100)
        raise DataError(
            f"{name} has the columns {shown}; expected {','.join(COLUMNS)}",
            "name the file that the label review writes",
        )


def _whole(content: bytes, name: str) -> bytes:
    """Return the whole rows of a file's content: without the rest of a row that a kill cut short.

    Raises `DataError` if the file is too large, if a quote that is never closed swallows its last rows, or if its only
    line is no part of a header: it is another file then, or its lines end otherwise.
    """
    if len(content) > MAX_BYTES:
        raise _too_large(name)
    end = start = 0
    even = True  # an even number of quotes so far: a line end is then the end of a row
    while (stop := content.find(LINE_END, start)) >= 0:
        even ^= bool(content.count(b'"', start, stop) % 2)
        start = stop + 1
        end = start if even else end
    if LINE_END in content[end:]:
        raise DataError(
            f"{name}:{content.count(LINE_END, 0, end) + 1}: a quote is opened and never closed",
            'write a cell with a quote as "a ""quoted"" word"',
        )
    if _is_row(content[end:]):
        return content
    if not end and not HEADER.startswith(content):
        raise DataError(
            f"{name} is no file of label decisions: it has no line end (LF)",
            f"save it as CSV with the header {','.join(COLUMNS)}, in UTF-8, with line ends LF or CRLF",
        )
    return content[:end]


def _is_row(tail: bytes) -> bool:
    """Return True if bytes without a line end are a whole row all the same, or the header: an editor left it out."""
    row = _cells(tail)
    return tuple(row) == COLUMNS or (bool(row) and not _fault(row))


def _cells(line: bytes) -> list[str]:
    """Return the values of one row; none if the bytes are none or several."""
    try:
        rows = list(csv.reader([line.decode("utf-8-sig", "surrogateescape")], strict=True))
    except csv.Error:
        return []
    return rows[0] if len(rows) == 1 else []


def _fault(row: Sequence[str]) -> str:
    """Return the reason that a row is no decision, or ""."""
    if len(row) != len(COLUMNS):
        return f"a row of {len(row)} values; expected {len(COLUMNS)}: {','.join(COLUMNS)}"
    decision = Decision(*row)
    if not decision.path or "\0" in decision.path:
        return "the path is empty, or no name of a file"
    if not _SHA256.fullmatch(decision.sha256):
        return f"{shortened(decision.sha256, 70)!r} is not a SHA-256 of 64 hexadecimal digits"
    for column in ("old", "new", "who"):
        text = getattr(decision, column)
        if len(text) > MOST_TEXT or _CONTROL.search(text):
            return f"{column} is {shortened(text, 70)!r}: expected one line of at most {MOST_TEXT} characters"
    if not _WHEN.fullmatch(decision.when):
        return f"when is {shortened(decision.when, 70)!r}; expected a time in UTC such as 2026-11-29T08:21:07Z"
    return ""


def _row(decision: Decision) -> bytes:
    """Return the line of a decision. Raises `DataError` if it would not be read back."""
    values = astuple(decision)
    if reason := _fault(values):
        raise DataError(f"a decision on {decision.path!r} cannot be stored: {reason}")
    return (",".join(map(_cell, values)) + "\n").encode("utf-8", "surrogateescape")


def _cell(text: str) -> str:
    """Return a value quoted by RFC 4180."""
    return '"' + text.replace('"', '""') + '"' if any(character in text for character in '",\r\n') else text
