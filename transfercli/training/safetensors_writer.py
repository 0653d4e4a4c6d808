"""Tensors in a file: safetensors, written as a stream that is hashed on its way.

The library's own writer holds a second copy of everything, tells of a full disk in words instead of an `OSError`, and
leaves the hash to a second reading, which would then vouch for whatever the disk had made of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from transfercli.io.atomic import write_all

ALIGNMENT = 8  # bytes of the header are a multiple of it
NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> str:
    """Write tensors without metadata, in name order: equal tensors give equal bytes. Gives the file's SHA-256.

    The hash is that of what was to be written. Raises OSError as the disk gives it.
    """
    digest = hashlib.sha256()
    with path.open("wb", buffering=0) as file:
        for part in _parts(tensors):
            digest.update(part)
            write_all(file, part)
    return digest.hexdigest()


def tensors_sha256(tensors: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of the file that `write_tensors` would write."""
    digest = hashlib.sha256()
    for part in _parts(tensors):
        digest.update(part)
    return digest.hexdigest()


def _parts(tensors: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The header, then each tensor's bytes, little-endian and row after row."""
    yield _header(tensors)
    for name in sorted(tensors):
        flat = np.ascontiguousarray(tensors[name]).reshape(-1)
        yield flat.view(np.uint8).data


def _header(tensors: Mapping[str, np.ndarray]) -> bytes:
    entries, end = {}, 0
    for name in sorted(tensors):
        tensor, start = tensors[name], end
        end += tensor.nbytes
        entries[name] = {
            "dtype": NAMES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
