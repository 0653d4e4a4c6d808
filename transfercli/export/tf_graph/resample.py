"""Pillow's BILINEAR resize as a TensorFlow graph, with exactly the same pixels.

Pillow (`Resample.c`) applies a triangle filter of twice the scale's width to each axis, rounds its weights to 22 bits,
and rounds to integer pixel values after the horizontal and again after the vertical pass.
`tf.image.resize(antialias=True)` applies the same filter in float32 and rounds once: a fifth of its pixels differ by 1.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_BITS = 22

Span = tuple[Any, Any]  # start and end of the part of an axis to resize, float32, in pixels of the input


def resample(image: Any, height: Any, width: Any, box: tuple[Span, Span] | None = None) -> Any:
    """Resize uint8 [h, w, 3] to uint8 [height, width, 3]; sizes may be known only when the graph runs.

    box: the span of rows and the span of columns to resize; None for the whole image.
    """
    shape = tf.shape(image)
    rows, columns = box or ((0.0, tf.cast(shape[0], tf.float32)), (0.0, tf.cast(shape[1], tf.float32)))
    # The horizontal axis first, as in data/decoding/decode.py.
    transposed = _resize_rows(tf.transpose(image, (1, 0, 2)), width, columns)
    return _resize_rows(tf.transpose(transposed, (1, 0, 2)), height, rows)


def _resize_rows(image: Any, size: Any, span: Span) -> Any:
    """Resize uint8 [n, m, 3] to uint8 [size, m, 3] by weighted sums of rows, added one by one to limit memory."""
    first, weights = _weights(tf.shape(image)[0], size, span)
    last = tf.shape(image)[0] - 1
    pixels = tf.cast(image, tf.int32)

    def add(tap: Any, total: Any) -> tuple[Any, Any]:
        # After the last neighbour the weight is 0, so the index only has to be valid.
        neighbour = tf.gather(pixels, tf.minimum(first + tap, last))
        return tap + 1, total + neighbour * weights[:, tap, None, None]

    half = tf.fill((size, tf.shape(image)[1], 3), 1 << (_BITS - 1))
    _, total = tf.while_loop(lambda tap, _: tap < tf.shape(weights)[1], add, (0, half))
    return tf.cast(tf.clip_by_value(tf.bitwise.right_shift(total, _BITS), 0, 255), tf.uint8)


def _weights(length: Any, size: Any, span: Span) -> tuple[Any, Any]:
    """Return the first neighbour (int32 [size]) and the 22-bit weights (int32 [size, taps]) of each output row."""
    scale = tf.cast(span[1] - span[0], tf.float64) / tf.cast(size, tf.float64)
    support = tf.maximum(scale, 1.0)
    centre = tf.cast(span[0], tf.float64) + (tf.range(size, dtype=tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centre - support + 0.5, tf.int32), 0)
    end = tf.minimum(tf.cast(centre + support + 0.5, tf.int32), length)
    neighbour = first[:, None] + tf.range(tf.reduce_max(end - first))[None, :]
    distance = (tf.cast(neighbour, tf.float64) - centre[:, None] + 0.5) / support
    weights = tf.where(neighbour < end[:, None], tf.maximum(1.0 - tf.abs(distance), 0.0), 0.0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    return first, tf.cast(weights * (1 << _BITS) + 0.5, tf.int32)
