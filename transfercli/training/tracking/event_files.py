"""TensorBoard's event files, written without TensorBoard or TensorFlow: records of protocol buffer messages.

A record is its length, the length's checksum, the bytes, and their checksum (TFRecord). The messages are TensorFlow's
`event.proto`, `summary.proto` and `graph.proto`, with only the fields that are needed here. File names contain a number
and, unlike TensorFlow's own, neither the host nor the process.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from transfercli.io import atomic

PREFIX = "events.out.tfevents."  # TensorBoard finds files by this prefix
VERSION = "brain.Event:2"
START = 1  # session status: TensorBoard discards earlier events of this and later steps


@dataclass(frozen=True)
class GraphNode:
    """Operation of a graph. name: slashes nest groups; inputs: names of the operations whose outputs it reads."""

    name: str
    kind: str
    inputs: tuple[str, ...] = ()


def scalar(tag: str, value: float, step: int) -> bytes:
    """Return an event with one number."""
    return _event(step, _text(1, tag) + _key(2, 5) + struct.pack("<f", value))


def image(tag: str, png: bytes, step: int) -> bytes:
    """Return an event with one picture; png: the bytes of a PNG file in RGB."""
    width, height = struct.unpack(">II", png[16:24])
    picture = _number(1, height) + _number(2, width) + _number(3, 3) + _bytes(4, png)
    return _event(step, _text(1, tag) + _bytes(4, picture))


def graph(nodes: Iterable[GraphNode]) -> bytes:
    """Return an event with a graph."""
    messages = [
        _text(1, node.name) + _text(2, node.kind) + b"".join(_text(3, name) for name in node.inputs) for node in nodes
    ]
    return _record(_stamp(0) + _bytes(4, b"".join(_bytes(1, message) for message in messages)))


def file_start(step: int) -> bytes:
    """Return the first records of a file; TensorBoard then discards events of `step` and later in earlier files."""
    return _record(_stamp(0) + _text(3, VERSION)) + _record(_stamp(step) + _bytes(7, _number(1, START)))


def next_file(folder: Path) -> Path:
    """Return the path of a new event file; TensorBoard reads files in the order of their names."""
    numbers = [int(name) for path in folder.glob(PREFIX + "*") if (name := path.name[len(PREFIX) :]).isdigit()]
    return folder / f"{PREFIX}{max(numbers, default=0) + 1:010d}"


def append(path: Path, events: bytes) -> None:
    """Append events to a file, new or existing; TensorBoard ignores a record that a kill left incomplete."""
    atomic.make_folder(path.parent)
    with atomic.write_errors(path), path.open("ab", buffering=0) as file:
        atomic.write_all(file, events)


# -- protocol buffers


def _event(step: int, value: bytes) -> bytes:
    return _record(_stamp(step) + _bytes(5, _bytes(1, value)))


def _stamp(step: int) -> bytes:
    return _key(1, 1) + struct.pack("<d", time.time()) + _number(2, step)


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _number(field: int, value: int) -> bytes:
    return _key(field, 0) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode("utf-8", "replace"))


# -- records


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _masked(length) + content + _masked(content)


def _masked(content: bytes) -> bytes:
    checksum = crc32c(content)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """Return the CRC-32C checksum of RFC 3720, appendix B.4 (Castagnoli's polynomial)."""
    checksum = 0xFFFFFFFF
    for byte in content:
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    return checksum ^ 0xFFFFFFFF


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = tuple(map(_table_entry, range(256)))
