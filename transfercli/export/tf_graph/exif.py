"""JPEGs turned upright inside a TensorFlow graph: EXIF orientation, which TensorFlow's decoders do not look at."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

HEAD = 2 * 65536  # bytes of a file that are searched: a segment of EXIF data has 64 KiB at most, and is among the first
_ORIENTATION = 0x0112
_LONG = 4  # the type of a number of four bytes; one of two stands in the first half of a value
_ENTRY = 12  # bytes: tag, type, count, value
# After "Exif" comes a TIFF header; its mark tells whether the small or the big end of a number stands first.
_SMALL_FIRST = {b"II*\0": True, b"MM\0*": False}
# How each orientation (1 to 8) is undone: rows and columns change places first, then these axes are reversed.
_UNDONE: tuple[tuple[bool, tuple[int, ...]], ...] = (
    *((False, axes) for axes in ((), (1,), (0, 1), (0,))),
    *((True, axes) for axes in ((), (1,), (0, 1), (0,))),
)


def upright(image: Any, content: Any) -> Any:
    """uint8 [h, w, 3] of the JPEG `content` (string []) -> the same as a viewer shows it; sides may change places."""
    branches = [lambda undo=undo: _turned(image, *undo) for undo in _UNDONE]
    return tf.switch_case(orientation(content) - 1, branches)


def orientation(content: Any) -> Any:
    """int32 []: 1 to 8, as the EXIF data of a JPEG (string []) tells; 1 where it tells nothing that can be read."""
    head = tf.io.decode_raw(tf.strings.substr(content, 0, HEAD), tf.uint8)
    told = []
    for mark, small_first in _SMALL_FIRST.items():
        place = _first(head, b"Exif\0\0" + mark)
        told.append(tf.cond(place >= 0, lambda p=place, s=small_first: _read(head[p + 6 :], s), lambda: 1))
    return tf.reduce_max(told)


def _read(tiff: Any, small_first: bool) -> Any:
    """The orientation in the first directory of a TIFF header and what follows it (uint8 [n])."""
    tiff = tf.cast(tf.pad(tiff, [[0, _ENTRY]]), tf.int32)
    # A damaged offset points behind the end, where nothing is found.
    directory = tf.clip_by_value(_number(tf.ensure_shape(tiff[4:8], [4]), small_first), 0, tf.size(tiff) - 2)
    count = _number(tf.ensure_shape(tiff[directory : directory + 2], [2]), small_first)
    entries = tiff[directory + 2 :][: count * _ENTRY]
    entries = tf.reshape(entries[: tf.size(entries) // _ENTRY * _ENTRY], (-1, _ENTRY))
    tags, kinds, short, long = (_number(entries[:, a:b], small_first) for a, b in ((0, 2), (2, 4), (8, 10), (8, 12)))
    values = tf.where(kinds == _LONG, long, short)  # the type should be SHORT; Pillow takes either
    value = tf.reduce_max(tf.concat([tf.where(tags == _ORIENTATION, values, 0), [0]], axis=0))
    return tf.where((value >= 1) & (value <= len(_UNDONE)), value, 1)


def _number(data: Any, small_first: bool) -> Any:
    """int32 [...] of bytes, int32 [..., n]."""
    powers = [256**place for place in range(data.shape[-1])]
    return tf.reduce_sum(data * tf.constant(powers if small_first else powers[::-1]), axis=-1)


def _first(data: Any, mark: bytes) -> Any:
    """int32 []: where `mark` starts in uint8 [n] for the first time; -1 where it does not."""
    places = tf.size(data) - len(mark) + 1
    here = tf.ones([tf.maximum(places, 0)], tf.bool)
    for offset, byte in enumerate(mark):
        here &= data[offset : offset + tf.size(here)] == byte
    there = tf.concat([tf.where(here)[:, 0], [-1]], axis=0)
    return tf.cast(there[0], tf.int32)


def _turned(image: Any, swap: bool, axes: tuple[int, ...]) -> Any:
    turned = tf.transpose(image, (1, 0, 2)) if swap else image
    return tf.reverse(turned, axes) if axes else turned
