"""Writer of safetensors files, which streams the tensors and hashes them on the way.

The library's own writer holds a second copy of all tensors and reports a full disk as text, not as an `OSError`. The
hash would have to be computed from the written file, and would then confirm any error of the disk.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from transfercli.io.atomic import write_all

ALIGNMENT = 8  # the header's size is a multiple of it, in bytes
DTYPE_NAMES = {
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
    """Write tensors without metadata, in name order, so equal tensors give equal bytes; return the SHA-256.

    The hash is of the bytes to be written, not of what the disk stored. Raises `OSError` of the disk.
    """
    digest = hashlib.sha256()
    with path.open("wb", buffering=0) as file:
        for part in _parts(tensors):
            digest.update(part)
            write_all(file, part)
    return digest.hexdigest()


def tensors_sha256(tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of the file that `write_tensors` would write."""
    digest = hashlib.sha256()
    for part in _parts(tensors):
        digest.update(part)
    return digest.hexdigest()


def _parts(tensors: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """Yield the header, then each tensor's bytes, little-endian and in row-major order."""
    yield header_of({name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()})
    for name in sorted(tensors):
        flat = np.ascontiguousarray(tensors[name]).reshape(-1)
        yield flat.view(np.uint8).data


def header_of(
    tensors: Mapping[str, tuple[np.dtype, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return the header of a file: its length as 8 bytes, then JSON, padded with spaces.

    The tensors' bytes follow it in the order of their names.

    tensors: type and shape of each, by name.
    """
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (dtype, shape) in sorted(tensors.items()):
        start, end = end, end + dtype.itemsize * math.prod(shape)
        entries[name] = {"dtype": DTYPE_NAMES[dtype.name], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
