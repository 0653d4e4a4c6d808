"""Safetensors files from untrusted sources: the header is checked against the file before any tensor is read.

The library (Rust) checks that offsets fit and do not overlap, but accepts a header of 100 MB, any number of tensors and
duplicate names. The format is a length, a JSON header and the tensors' bytes, so a full check is short.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - adds bfloat16 to NumPy's types; Keras does so, too, but may not be imported yet
import numpy as np
import safetensors

from transfercli.errors import ArtefactError
from transfercli.text import clipped

Tensors = dict[str, np.ndarray]

MAX_BYTES = 4 * 2**30
MAX_HEADER = 16 * 2**20
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
MAX_NAME = 512
ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Entry of a header: the tensor's type, such as BF16, and its shape."""

    dtype: str
    shape: tuple[int, ...]


def read_safetensors(path: Path) -> Tensors:
    """Return the tensors of a file, by name. Raises `ArtefactError` unless they are plain and fill the file exactly."""
    return dict(each_tensor(path))


def each_tensor(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, tensor) of a file, one after the other in memory; raises as `read_safetensors` does."""
    names = read_header(path)
    try:
        with safetensors.safe_open(path, "numpy") as file:
            for name in names:
                yield name, file.get_tensor(name)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(
            f"{path.name} is not a whole safetensors file: {error}", "fetch or write the file again"
        ) from error


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Return the entries of a file's tensors, by name, without reading these.

    Raises `ArtefactError` as `read_safetensors` would.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES // 2**30} GiB")
            if not 2 <= length <= min(MAX_HEADER, size - 8):
                raise ValueError(f"its header claims {length} of {size} bytes; at most {MAX_HEADER} are read")
            header = file.read(length)
        entries = _parsed(header)
        _check_header(entries, size - 8 - length)
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(
            f"{path.name} is not a whole safetensors file: {error}", "fetch or write the file again"
        ) from error
    return {name: TensorEntry(entry["dtype"], tuple(entry["shape"])) for name, entry in entries.items()}


def _parsed(header: bytes) -> dict[str, Any]:
    """Return the header's entries of tensors. Raises `ValueError` if it is no JSON object or has a duplicate name."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise ValueError("its header has a duplicate name")
        return entries

    parsed = json.loads(header, object_pairs_hook=unique)
    if not isinstance(parsed, dict):
        raise ValueError("its header is not a JSON object")
    metadata = parsed.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not texts by name")
    return parsed


def _check_header(header: dict[str, Any], available: int) -> None:
    """Raise `ValueError` unless the entries cover every byte after the header exactly once."""
    if len(header) > MAX_TENSORS:
        raise ValueError(f"it holds {len(header)} tensors; at most {MAX_TENSORS} are read")
    spans = sorted(_span(name, entry) for name, entry in header.items())
    end = 0
    for start, stop, name in spans:
        if start != end:
            raise ValueError(f"the tensor {clipped(name)} does not start at the end of the one before")
        end = stop
    if end != available:
        raise ValueError(f"its tensors need {end} bytes, but it has {available}")


def _span(name: str, entry: Any) -> tuple[int, int, str]:
    """Return (start, end, name) of a tensor's bytes. Raises `ValueError` if its entry contradicts itself."""
    if len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"{clipped(name)} is not a valid name of a tensor")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry of {clipped(name)} must have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise ValueError(f"{clipped(name)} has the type {clipped(dtype)}; allowed are {', '.join(ITEM_BYTES)}")
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{clipped(name)} has the shape {clipped(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{clipped(name)} has the offsets {clipped(offsets)}")
    if offsets[1] - offsets[0] != math.prod(shape) * ITEM_BYTES[dtype]:
        raise ValueError(f"{clipped(name)} has offsets {offsets} that do not fit {dtype}{shape}")
    return offsets[0], offsets[1], name


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= MAX_BYTES for value in values)
