"""Cells of a Parquet file that hold encoded images: a binary column, or Hugging Face's struct of bytes and path.

A cell is read with its row group, of which a process keeps one in memory. Rows count from 0.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

INSTALL = "pip install 'transfercli[parquet]'"
MAX_GROUP_BYTES = 2 * 1024**3  # of one column, unpacked
MAX_CELL_BYTES = 512 * 1024 * 1024
_BATCH_ROWS = 4096
_METADATA = b"huggingface"
_CLASS_LABEL = "ClassLabel"
_OPEN_INDEXES = 8


class ParquetError(ValueError):
    """Raised if a file is no Parquet file, is damaged, or does not hold what its metadata says.

    hint: the fix, or "".
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ParquetIndex:
    """Description of a file.

    Attributes:
        columns: names of all columns.
        images: column that holds images -> path of its bytes in the file.
        starts: first row of each row group, and the number of rows at the end.
        classes: column -> names of the classes that its numbers stand for.
    """

    columns: tuple[str, ...]
    images: dict[str, str]
    starts: tuple[int, ...]
    classes: dict[str, tuple[str, ...]]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.starts[-1]


def index_of(path: str) -> ParquetIndex:
    """Return the description of a file. Raises `ParquetError`, `OSError`."""
    info = os.stat(path)  # noqa: PTH116 - called for every image
    return _index(path, info.st_size, info.st_mtime_ns, info.st_ino)


@lru_cache(_OPEN_INDEXES)
def _index(path: str, size: int, *_: int) -> ParquetIndex:
    with _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        if min(counts, default=0) < 0 or sum(counts) != metadata.num_rows or metadata.num_rows > size:
            raise ParquetError(f"its metadata is damaged: {metadata.num_rows} rows in {size} bytes")
        twice = [name for name in schema.names if schema.names.count(name) > 1]
        if twice:
            raise ParquetError(f"it has two columns named {twice[0]!r}", "rename one of them")
        images = {field.name: leaf for field in schema if (leaf := _image_leaf(field))}
        classes = _classes((schema.metadata or {}).get(_METADATA))
        return ParquetIndex(tuple(schema.names), images, tuple(accumulate(counts, initial=0)), classes)


def rows_of(path: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the values of columns, row by row. Raises `ParquetError`, `OSError`."""
    with _opened(path) as file:
        if not columns:
            yield from ({} for _ in range(index_of(path).rows))
            return
        for batch in file.iter_batches(_BATCH_ROWS, columns=[*columns], use_threads=False):
            yield from batch.to_pylist()


def cell(path: str, column: str, row: int) -> bytes:
    """Return the bytes of an image.

    Raises `FileNotFoundError` if there is no such cell, `OSError` if it is empty or too large, or cannot be read.
    """
    try:
        index = index_of(path)
        if column not in index.images or not 0 <= row < index.rows:
            raise FileNotFoundError(f"the file has no image in row {row} of {column!r}")
        group = next(number for number, end in enumerate(index.starts[1:]) if row < end)
        info = os.stat(path)  # noqa: PTH116 - as in `index_of`
        cells = _group(path, index.images[column], group, info.st_size, info.st_mtime_ns, info.st_ino)
        value = cells[row - index.starts[group]].as_py()
    except ParquetError as error:
        raise OSError(str(error)) from None
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        raise OSError(f"row {row} has no bytes in {column!r}")
    if len(content) > MAX_CELL_BYTES:
        raise OSError(f"row {row} is too large: {len(content) >> 20} MiB, at most {MAX_CELL_BYTES >> 20} are read")
    return bytes(content)


@lru_cache(1)
def _group(path: str, leaf: str, group: int, *_: int) -> Any:
    """Return the cells of a row group, as an array of Arrow."""
    with _opened(path) as file:
        metadata = file.metadata.row_group(group)
        places = (metadata.column(number) for number in range(metadata.num_columns))
        size = sum(place.total_uncompressed_size for place in places if place.path_in_schema == leaf)
        if size > MAX_GROUP_BYTES:
            raise ParquetError(
                f"its row group {group} has {size / 1024**3:.1f} GiB of images, at most"
                f" {MAX_GROUP_BYTES / 1024**3:.0f} are read; write it with fewer rows in a group"
            )
        cells = file.read_row_group(group, columns=[leaf], use_threads=False).column(0)
        if len(cells) != metadata.num_rows:
            raise ParquetError(f"its row group {group} has {len(cells)} rows, and {metadata.num_rows} in its metadata")
        return cells


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ParquetError("reading it needs pyarrow, which is not installed", INSTALL) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (ParquetError, FileNotFoundError, PermissionError):
        raise
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ParquetError(f"it is damaged, or no Parquet file: {first[:200]}") from None


def _image_leaf(field: Any) -> str:
    """Return the path of the bytes of a column that holds images, or ""."""
    from pyarrow import types

    def is_bytes(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    if is_bytes(field.type):
        return str(field.name)
    if types.is_struct(field.type) and any(part.name == "bytes" and is_bytes(part.type) for part in field.type):
        return f"{field.name}.bytes"
    return ""


def _classes(content: bytes | None) -> dict[str, tuple[str, ...]]:
    """Return the names of classes by column, from the metadata that Hugging Face's `datasets` writes."""
    if content is None:
        return {}
    try:
        features = json.loads(content)["info"]["features"]
        described = {name: _class_label(feature) for name, feature in features.items()}
        found = {name: tuple(label["names"]) for name, label in described.items() if label}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ParquetError("its metadata 'huggingface' is damaged") from None
    for name, names in found.items():
        if not all(isinstance(text, str) and text for text in names) or len({*names}) < len(names):
            raise ParquetError(f"its metadata names the classes of {name!r} twice, or without a text")
    return found


def _class_label(feature: Any) -> dict[str, Any] | None:
    """Return the description of classes in that of a column; a list of them has it inside."""
    while isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    if isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    return feature if isinstance(feature, dict) and feature.get("_type") == _CLASS_LABEL else None
