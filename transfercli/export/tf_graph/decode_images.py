"""Encoded images -> uint8 tensors inside a TensorFlow graph, pixel for pixel as `data/decoding/decode.py` reads them.

Exported models disagree with trained ones mostly because their preprocessing was left behind or differs by a grey
level. JPEGs are turned upright as their EXIF data tells (`upright.py`); PNG and WebP files are taken as they stand.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from transfercli.data.decoding.decode import REDUCED_SIDE
from transfercli.export.spec import ExportSpec
from transfercli.export.tf_graph.exif import upright
from transfercli.export.tf_graph.resample import resample

_REDUCTIONS = (1, 2, 4, 8)  # what a JPEG decoder can do while it inverts the DCT


def decode_batch(encoded: Any, spec: ExportSpec) -> Any:
    """string [N] -> uint8 [N, H, W, 3]; JPEG, PNG, GIF (first frame), BMP or WebP of any size."""
    height, width = spec.image_size

    def one(content: Any) -> Any:
        image = tf.cond(
            tf.io.is_jpeg(content),
            lambda: upright(_decode_jpeg(content, 2 * max(height, width)), content),
            lambda: tf.io.decode_image(content, channels=3, expand_animations=False),
        )
        image.set_shape((None, None, 3))
        return tf.ensure_shape(_RESIZE[spec.resize](image, height, width), (height, width, 3))

    return tf.map_fn(one, encoded, fn_output_signature=tf.TensorSpec((height, width, 3), tf.uint8))


def _decode_jpeg(content: Any, needed: int) -> Any:
    """The reduction that leaves `REDUCED_SIDE` of the shorter side, or, if that is less than `needed`, `needed`."""
    side = tf.reduce_min(tf.io.extract_jpeg_shape(content)[:2])
    index = _reduction(side, REDUCED_SIDE)
    left = -(-side // tf.gather(_REDUCTIONS, index))
    index = tf.where((index > 0) & (left < needed), _reduction(side, needed), index)
    # The accurate inverse DCT is what Pillow uses; TensorFlow's default is the fast one.
    branches = [
        lambda ratio=ratio: tf.io.decode_jpeg(content, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")
        for ratio in _REDUCTIONS
    ]
    return tf.switch_case(index, branches)


def _reduction(side: Any, leave: int) -> Any:
    """Index of the largest reduction that leaves at least `leave` pixels of `side`."""
    return tf.reduce_sum(tf.cast(side // leave >= tf.constant(_REDUCTIONS[1:]), tf.int32))


def _stretch(image: Any, height: int, width: int) -> Any:
    """Both sides to size; the shape may change."""
    return resample(image, height, width)


def _crop(image: Any, height: int, width: int) -> Any:
    """Fill the size and cut what stands out on both sides alike (Pillow's `ImageOps.fit`)."""
    tall, wide = _sides(image)
    ratio = tf.constant(width / height, tf.float64)
    keep_wide = tf.where(wide / tall >= ratio, ratio * tall, wide)
    keep_tall = tf.where(wide / tall >= ratio, tall, wide / ratio)
    top, left = (tall - keep_tall) * 0.5, (wide - keep_wide) * 0.5
    spans = ((top, top + keep_tall), (left, left + keep_wide))
    rows, columns = (tuple(tf.cast(edge, tf.float32) for edge in span) for span in spans)
    return resample(image, height, width, (rows, columns))


def _pad(image: Any, height: int, width: int) -> Any:
    """Fit into the size, at least one pixel thick, and black around it."""
    tall, wide = _sides(image)
    scale = tf.minimum(width / wide, height / tall)
    # tf.round sends halves to the even neighbour, as Python does.
    fitted = [tf.maximum(tf.cast(tf.round(side * scale), tf.int32), 1) for side in (tall, wide)]
    missing = tf.stack([height, width, 3]) - tf.stack([*fitted, 3])
    return tf.pad(resample(image, *fitted), tf.stack([missing // 2, missing - missing // 2], axis=1))


def _sides(image: Any) -> tuple[Any, Any]:
    shape = tf.cast(tf.shape(image), tf.float64)
    return shape[0], shape[1]


_RESIZE = {"stretch": _stretch, "crop": _crop, "pad": _pad}
