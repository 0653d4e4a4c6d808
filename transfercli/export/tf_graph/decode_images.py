"""Image decoding in a TensorFlow graph, with the same pixels as `data/decoding/decode.py`.

Preprocessing that is missing or slightly different is the most frequent cause of exported models that predict
differently. JPEGs are turned upright by their EXIF orientation (`exif.py`); that of PNG and WebP files is ignored.
Embedded colour profiles are ignored, too: TensorFlow has no reader for them. With `data.levels: stretch`, PNG files of
16 bits a sample are refused, because a stretched picture would be another one.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from transfercli.data.decoding.opening import REDUCED_SIDE
from transfercli.data.decoding.without_extras import PNG_SIGNATURE
from transfercli.data.image import NO_BACKGROUND, STRETCH
from transfercli.export.spec import ExportSpec
from transfercli.export.tf_graph.background import decode_on_background
from transfercli.export.tf_graph.exif import upright
from transfercli.export.tf_graph.resample import resample

_REDUCTIONS = (1, 2, 4, 8)  # scale divisors that a JPEG decoder supports in its inverse DCT
_PNG_DEPTH = 24  # position of the bits of a sample in a PNG
_REFUSED = (
    "the model stretches 16-bit samples (data.levels), which serve_bytes cannot: send a file of 8 bits, or pixels"
)


def decode_batch(encoded: Any, spec: ExportSpec) -> Any:
    """Decode encoded images, string [N], into uint8 [N, H, W, 3].

    JPEG, PNG, GIF (first frame), BMP or WebP of any size.
    """
    height, width = spec.image_size

    def decode(content: Any) -> Any:
        image = tf.cond(
            tf.io.is_jpeg(content),
            lambda: upright(_decode_jpeg(content, 2 * max(height, width)), content),
            lambda: _decode_others(_not_deep(content) if spec.levels == STRETCH else content, spec.background),
        )
        image.set_shape((None, None, 3))
        return tf.ensure_shape(_RESIZE[spec.resize](image, height, width), (height, width, 3))

    return tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec((height, width, 3), tf.uint8))


def _decode_others(content: Any, background: str) -> Any:
    if background == NO_BACKGROUND:
        return tf.io.decode_image(content, channels=3, expand_animations=False)
    return decode_on_background(content, background)


def _not_deep(content: Any) -> Any:
    """Return an encoded image; running it raises `InvalidArgumentError` for a PNG of 16 bits a sample."""
    start = tf.strings.substr(tf.strings.join([content, bytes(_PNG_DEPTH + 1)]), 0, _PNG_DEPTH + 1)
    is_png = tf.equal(tf.strings.substr(start, 0, len(PNG_SIGNATURE)), PNG_SIGNATURE)
    is_deep = is_png & tf.equal(tf.strings.substr(start, _PNG_DEPTH, 1), b"\x10")
    with tf.control_dependencies([tf.debugging.Assert(~is_deep, [_REFUSED])]):
        return tf.identity(content)


def _decode_jpeg(content: Any, needed: int) -> Any:
    """Decode at the largest reduction with a shorter side of at least `REDUCED_SIDE` pixels.

    If the result of a reduction has fewer than `needed` pixels, the largest one with at least `needed` is used instead.
    """
    side = tf.reduce_min(tf.io.extract_jpeg_shape(content)[:2])
    index = _reduction(side, REDUCED_SIDE)
    reduced = -(-side // tf.gather(_REDUCTIONS, index))
    index = tf.where((index > 0) & (reduced < needed), _reduction(side, needed), index)
    # Pillow uses the accurate inverse DCT; TensorFlow's default is the fast one.
    branches = [
        lambda ratio=ratio: tf.io.decode_jpeg(content, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")
        for ratio in _REDUCTIONS
    ]
    return tf.switch_case(index, branches)


def _reduction(side: Any, least: int) -> Any:
    """Return the index of the largest reduction of `side` to at least `least` pixels."""
    return tf.reduce_sum(tf.cast(side // least >= tf.constant(_REDUCTIONS[1:]), tf.int32))


def _stretch(image: Any, height: int, width: int) -> Any:
    """Resize to the given size; the aspect ratio may change."""
    return resample(image, height, width)


def _crop(image: Any, height: int, width: int) -> Any:
    """Fill the size and crop the overhang equally at both ends (Pillow's `ImageOps.fit`)."""
    tall, wide = _sides(image)
    ratio = tf.constant(width / height, tf.float64)
    crop_width = tf.where(wide / tall >= ratio, ratio * tall, wide)
    crop_height = tf.where(wide / tall >= ratio, tall, wide / ratio)
    top, left = (tall - crop_height) * 0.5, (wide - crop_width) * 0.5
    spans = ((top, top + crop_height), (left, left + crop_width))
    rows, columns = (tuple(tf.cast(edge, tf.float32) for edge in span) for span in spans)
    return resample(image, height, width, (rows, columns))


def _pad(image: Any, height: int, width: int) -> Any:
    """Resize to fit into the size, at least one pixel on each side, and pad with black."""
    tall, wide = _sides(image)
    scale = tf.minimum(width / wide, height / tall)
    # tf.round rounds halves to even, as Python does.
    fitted = [tf.maximum(tf.cast(tf.round(side * scale), tf.int32), 1) for side in (tall, wide)]
    missing = tf.stack([height, width, 3]) - tf.stack([*fitted, 3])
    return tf.pad(resample(image, *fitted), tf.stack([missing // 2, missing - missing // 2], axis=1))


def _sides(image: Any) -> tuple[Any, Any]:
    shape = tf.cast(tf.shape(image), tf.float64)
    return shape[0], shape[1]


_RESIZE = {"stretch": _stretch, "crop": _crop, "pad": _pad}
