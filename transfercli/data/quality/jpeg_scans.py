"""JPEGs whose image data are damaged, although the file has an end mark and decodes without an error.

A download that was cut and closed, or a page of zeros on a memory card, gives a picture that is grey from some row on,
or coloured noise. libjpeg reports that as a warning, which Pillow does not pass on. The markers and segments are those
of ITU-T T.81.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

ZEROS = 64  # bytes; a longer run of zeros in image data is damage, if zeros do not encode an even area
# In bytes of image data, 0xFF is followed by 0, or by the number of a restart.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SOI, _EOI, _SOS, _DHT, _SOF = 0xD8, 0xD9, 0xDA, 0xC4, (0xC0, 0xC1, 0xC2)
_PROGRESSIVE = 0xC2
_FILLER = bytes(range(1, 255)) * 32


@dataclass(frozen=True, slots=True)
class Scan:
    """Scan of a JPEG.

    Attributes:
        start, end: position of its image data in the file.
        components: numbers of its colour components.
        band: first and last coefficient.
        low: bit of the coefficients that this scan goes down to; 0 for all bits.
        zeros_are_even: True if zero bits may encode an even area.
    """

    start: int
    end: int
    components: tuple[int, ...]
    band: tuple[int, int]
    low: int
    zeros_are_even: bool


@dataclass
class Scans:
    """Scans of a JPEG, as far as its segments can be read; components: numbers of all colour components."""

    progressive: bool = False
    components: tuple[int, ...] = ()
    scans: list[Scan] = field(default_factory=list)


def damage(content: bytes) -> str:
    """Return the damage of a JPEG's image data that its segments show, or ""."""
    found = read_scans(content)
    for scan in found.scans:
        zeros = _run_of_zeros(content, scan)
        if zeros and not scan.zeros_are_even:
            return f"damaged: {zeros:,} bytes of its image data are zeros"
    if found.progressive and (missing := _missing_scans(found)):
        return f"damaged: {missing}"
    return ""


def missing_rows(content: bytes) -> float:
    """Return the fraction of a JPEG's rows for which its image data are missing; 0.0 if they are complete.

    More data before the end mark change the decoded picture only if the image data end early.
    """
    scans = read_scans(content).scans
    if not scans:
        return 0.0
    end = scans[-1].end
    original, filled = _decoded(content), _decoded(content[:end] + _FILLER + content[end:])
    if original is None or filled is None or original.shape != filled.shape:
        return 0.0
    rows = np.flatnonzero((original != filled).reshape(len(original), -1).any(axis=1))
    return 1 - rows[0] / len(original) if len(rows) else 0.0


def read_scans(content: bytes) -> Scans:
    """Return the scans of a JPEG up to its end mark. A damaged segment ends the list."""
    found, tables = Scans(), dict[int, int]()
    for marker, start, end in _segments(content):
        segment = content[start:end]
        if marker in _SOF and len(segment) >= 6:
            found.progressive = marker == _PROGRESSIVE
            found.components = tuple(segment[6 : 6 + 3 * segment[5] : 3])
        elif marker == _DHT:
            tables |= dict(_zero_codes(segment))
        elif marker == _SOS and len(segment) >= 4 + 2 * segment[0]:
            found.scans.append(_scan(segment, tables, end, _next_marker(content, end)))
    return found


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment's data, without the image data between segments."""
    position = 2 if content[:2] == bytes((0xFF, _SOI)) else len(content)
    while match := _MARKER.search(content, position):
        marker, start = content[match.start() + 1], match.end()
        length = int.from_bytes(content[start : start + 2], "big")
        position = start + length
        if marker == _EOI or length < 3 or position > len(content):
            return
        yield marker, start + 2, position


def _next_marker(content: bytes, start: int) -> int:
    match = _MARKER.search(content, start)
    return match.start() if match else len(content)


def _zero_codes(segment: bytes) -> Iterator[tuple[int, int]]:
    """Yield class and number of each Huffman table (one byte), and the symbol of its code of zeros only."""
    while len(segment) > 17:
        count = sum(segment[1:17])
        yield segment[0], segment[17]
        segment = segment[17 + count :]


def _scan(segment: bytes, tables: dict[int, int], start: int, end: int) -> Scan:
    count = segment[0]
    components = tuple(segment[1 : 1 + 2 * count : 2])
    first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
    # The low half of a symbol is the size of a difference (DC) or coefficient (AC); 0 changes nothing, or ends a block.
    selectors = segment[2 : 2 + 2 * count : 2]
    symbols = [tables.get(selector >> 4, 0) for selector in selectors] if first == 0 else []
    symbols += [tables.get(0x10 | selector & 15, 0) for selector in selectors] if last > 0 else []
    zeros_are_even = bits >> 4 != 0 or not any(symbol & 15 for symbol in symbols)
    return Scan(start, end, components, (first, last), bits & 15, zeros_are_even)


def _run_of_zeros(content: bytes, scan: Scan) -> int:
    """Return the length of the first long run of zeros in the image data of a scan; 0 if there is none."""
    start = content.find(bytes(ZEROS), scan.start, scan.end)
    if start < 0:
        return 0
    data = content[start : scan.end]
    return len(data) - len(data.lstrip(b"\0"))


def _missing_scans(found: Scans) -> str:
    """Return the share of coefficients that no scan of a progressive JPEG has in full, in words; "" for none."""
    missing = np.ones((256, 64), bool)  # by component and coefficient
    for scan in found.scans:
        missing[list(scan.components), scan.band[0] : scan.band[1] + 1] = scan.low > 0
    share = missing[list(found.components)].mean() if found.components else 0.0
    return f"the scans for {max(share, 0.01):.0%} of its coefficients are missing" if share else ""


def _decoded(content: bytes) -> npt.NDArray[np.uint8] | None:
    """Return the pixels at the smallest size that the decoder offers; None if it fails."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG",))
        image.draft(None, (1, 1))
        return np.asarray(image)
    except Exception:  # the file was decoded before, by another call
        return None
