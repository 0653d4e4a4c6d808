"""EXIF orientation of JPEGs in a TensorFlow graph; TensorFlow's decoders ignore it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

HEAD = 2 * 65536  # bytes of a file to search: an EXIF segment has at most 64 KiB, and is one of the first segments
_ORIENTATION = 0x0112
_LONG = 4  # the type of a four-byte number; a two-byte number is in the first half of the value
_ENTRY = 12  # bytes: tag, type, count, value
# After "Exif" comes a TIFF header; its first bytes give the byte order.
_LITTLE_ENDIAN = {b"II*\0": True, b"MM\0*": False}
# The operations that undo each orientation (1 to 8): whether to swap rows and columns, then the axes to reverse.
_UNDONE: tuple[tuple[bool, tuple[int, ...]], ...] = (
    *((False, axes) for axes in ((), (1,), (0, 1), (0,))),
    *((True, axes) for axes in ((), (1,), (0, 1), (0,))),
)


def upright(image: Any, content: Any) -> Any:
    """Return the image uint8 [h, w, 3] of the JPEG `content` (string []) turned upright; h and w may be swapped."""
    branches = [lambda undo=undo: _turned(image, *undo) for undo in _UNDONE]
    return tf.switch_case(orientation(content) - 1, branches)


def orientation(content: Any) -> Any:
    """Return the EXIF orientation of a JPEG (string []), int32 [] from 1 to 8; 1 if it has none that can be read."""
    head = tf.io.decode_raw(tf.strings.substr(content, 0, HEAD), tf.uint8)
    values = []
    for mark, little_endian in _LITTLE_ENDIAN.items():
        offset = find_bytes(head, b"Exif\0\0" + mark)
        values.append(tf.cond(offset >= 0, lambda o=offset, e=little_endian: _read(head[o + 6 :], e), lambda: 1))
    return tf.reduce_max(values)


def _read(tiff: Any, little_endian: bool) -> Any:
    """Return the orientation in the first directory of a TIFF file that starts with its header (uint8 [n])."""
    tiff = tf.cast(tf.pad(tiff, [[0, _ENTRY]]), tf.int32)
    # A damaged offset is clipped to the end, where there is no entry.
    directory = tf.clip_by_value(_number(tf.ensure_shape(tiff[4:8], [4]), little_endian), 0, tf.size(tiff) - 2)
    count = _number(tf.ensure_shape(tiff[directory : directory + 2], [2]), little_endian)
    entries = tiff[directory + 2 :][: count * _ENTRY]
    entries = tf.reshape(entries[: tf.size(entries) // _ENTRY * _ENTRY], (-1, _ENTRY))
    tags, types, short, long = (_number(entries[:, a:b], little_endian) for a, b in ((0, 2), (2, 4), (8, 10), (8, 12)))
    values = tf.where(types == _LONG, long, short)  # the type should be SHORT; Pillow accepts both
    value = tf.reduce_max(tf.concat([tf.where(tags == _ORIENTATION, values, 0), [0]], axis=0))
    return tf.where((value >= 1) & (value <= len(_UNDONE)), value, 1)


def _number(data: Any, little_endian: bool) -> Any:
    """Return numbers int32 [...] for bytes int32 [..., n]."""
    powers = [256**exponent for exponent in range(data.shape[-1])]
    return tf.reduce_sum(data * tf.constant(powers if little_endian else powers[::-1]), axis=-1)


def find_bytes(data: Any, mark: bytes) -> Any:
    """Return the index of the first occurrence of `mark` in uint8 [n], int32 []; -1 if there is none."""
    starts = tf.size(data) - len(mark) + 1
    matches = tf.ones([tf.maximum(starts, 0)], tf.bool)
    for offset, byte in enumerate(mark):
        matches &= data[offset : offset + tf.size(matches)] == byte
    indices = tf.concat([tf.where(matches)[:, 0], [-1]], axis=0)
    return tf.cast(indices[0], tf.int32)


def _turned(image: Any, swap: bool, axes: tuple[int, ...]) -> Any:
    turned = tf.transpose(image, (1, 0, 2)) if swap else image
    return tf.reverse(turned, axes) if axes else turned
