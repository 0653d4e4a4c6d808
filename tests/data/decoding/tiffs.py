"""TIFF files of one uncompressed strip, built by hand, with samples and tags that Pillow does not write."""

from __future__ import annotations

import struct

import numpy as np

BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
MIN_SAMPLE_VALUE, MAX_SAMPLE_VALUE, S_MIN_SAMPLE_VALUE, S_MAX_SAMPLE_VALUE = 280, 281, 340, 341
SHORT, LONG, SIGNED_SHORT, FLOAT = 3, 4, 8, 11
_CODES = {SHORT: "H", LONG: "I", SIGNED_SHORT: "h", FLOAT: "f"}

Tags = dict[int, tuple[int, float]]  # tag -> (type, value)


def tiff(samples: np.ndarray, bits: int, photometric: int = 1, tags: Tags | None = None, order: str = "<") -> bytes:
    """Samples [h, w] of any type; 12 bits are packed, three bytes for two samples."""
    height, width = samples.shape
    data = _packed(samples) if bits == 12 else samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    entries: Tags = {
        256: (LONG, width),
        257: (LONG, height),
        BITS_PER_SAMPLE: (SHORT, bits),
        259: (SHORT, 1),
        PHOTOMETRIC: (SHORT, photometric),
        273: (LONG, 0),
        277: (SHORT, 1),
        278: (LONG, height),
        279: (LONG, len(data)),
    } | (tags or {})
    entries[273] = (LONG, 8 + 2 + 12 * len(entries) + 4)
    content = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    for tag, (kind, value) in sorted(entries.items()):
        number = value if kind == FLOAT else int(value)
        content += struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(order + _CODES[kind], number).ljust(4, b"\0")
    return content + struct.pack(f"{order}I", 0) + data


def _packed(samples: np.ndarray) -> bytes:
    first, second = samples.reshape(-1, 2).astype(int).T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()
