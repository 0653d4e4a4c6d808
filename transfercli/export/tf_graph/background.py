"""Transparent pixels laid on a background in a TensorFlow graph, with the pixels of `data/decoding/transparency.py`.

TensorFlow decodes PNG and WebP files, and BMP files with an alpha mask, with their opacity. It draws the transparent
pixels of a GIF black. As the transparent colour of a GIF is an entry of its palette, that entry is replaced by the
background, and the mark that makes it transparent is removed, before the file is decoded.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from transfercli.export.tf_graph.exif import find_bytes

_HEADER = 13  # bytes of a GIF before its palette
_SCREEN_FLAGS, _FRAME_FLAGS = 10, 9  # position of the size of a palette, in the file and in the block of a frame
_FRAME, _EXTENSION, _CONTROL = 0x2C, 0x21, 0xF9  # a frame; an extension; the extension that marks transparency


def decode_on_background(content: Any, background: str) -> Any:
    """Decode a PNG, GIF (first frame), BMP or WebP, string [], into uint8 [h, w, 3]; background: `#rrggbb`."""
    colour = bytes.fromhex(background.lstrip("#"))
    return tf.case(
        [
            (_starts_with(content, b"GIF8"), lambda: _decode(_gif_on(content, colour), 3)),
            (_is_opaque_png(content), lambda: _decode(content, 3)),
            (_starts_with(content, b"\x89PNG"), lambda: lay_on(_decode(content, 4), colour)),
            (
                _is_webp_with_alpha(content) | _is_bmp_with_alpha(content),
                lambda: lay_on(_decode(content, 4), colour),
            ),
        ],
        default=lambda: _decode(content, 3),
    )


def lay_on(image: Any, colour: bytes) -> Any:
    """Return uint8 [h, w, 3] for uint8 [h, w, 4], whose last channel is the opacity.

    colour: red, green and blue of the background. Rounds to the nearest level, as Pillow's `paste` does.
    """
    image = tf.cast(image, tf.int32)
    colours, opacity = image[..., :3], image[..., 3:]
    total = colours * opacity + tf.constant(list(colour)) * (255 - opacity) + 128
    return tf.cast((total + total // 256) // 256, tf.uint8)


def _decode(content: Any, channels: int) -> Any:
    return tf.io.decode_image(content, channels=channels, expand_animations=False)


def _starts_with(content: Any, mark: bytes) -> Any:
    return tf.equal(tf.strings.substr(content, 0, len(mark)), mark)


def _is_opaque_png(content: Any) -> Any:
    """Return True for a PNG of less than 8 bits a sample that has no transparent colours.

    TensorFlow gives its pixels an opacity of 1, 3 or 15 of 255, the largest number of its own bits.
    """
    depth = _number(content, 24)
    return tf.cond(
        _starts_with(content, b"\x89PNG") & (depth < 8),
        lambda: find_bytes(tf.io.decode_raw(content, tf.uint8), b"tRNS") < 0,
        lambda: tf.constant(False),
    )


def _is_bmp_with_alpha(content: Any) -> Any:
    """Return True for a BMP whose header has an alpha mask; the fourth byte of other pixels has no meaning."""
    has_mask = (_number(content, 14) >= 56) & (_number(content, 30) == 3)
    return _starts_with(content, b"BM") & has_mask & (_bytes(content, 66, 4) == b"\0\0\0\xff")


def _is_webp_with_alpha(content: Any) -> Any:
    """Return True for a still WebP with opacity.

    Animations keep three channels, for which TensorFlow refuses them: with four their pixels are wrong, and if it is
    left the choice it corrupts its memory (2.21).
    """
    kind, flags, packed = _bytes(content, 12, 4), _number(content, 20), _number(content, 24)
    extended = (kind == b"VP8X") & (tf.bitwise.bitwise_and(flags, 0b10010) == 0b10000)  # opacity, but no animation
    lossless = (kind == b"VP8L") & (tf.bitwise.bitwise_and(packed, 0b10000) > 0)
    return _starts_with(content, b"RIFF") & (extended | lossless)


def _number(content: Any, position: int) -> Any:
    """Return the byte at a position as uint8 []."""
    return tf.io.decode_raw(_bytes(content, position, 1), tf.uint8)[0]


def _bytes(content: Any, position: int, count: int) -> Any:
    """Return bytes of a string; zeros after its end."""
    return tf.strings.substr(tf.strings.join([content, b"\0" * (position + count)]), position, count)


def _gif_on(content: Any, colour: bytes) -> Any:
    """Return a GIF without transparency in its first frame: the background replaces the transparent colour."""
    data = tf.cast(tf.io.decode_raw(content, tf.uint8), tf.int32)
    frame, control = _first_frame(data)

    def replaced() -> Any:
        own = data[frame + _FRAME_FLAGS] >= 128  # the frame has a palette of its own
        palette = tf.where(own, frame + _FRAME_FLAGS + 1, _HEADER)
        entry = palette + 3 * data[control + 6]
        return _write(_write(content, control + 3, b"\0"), entry, colour)

    marked = (control >= 0) & (frame + _FRAME_FLAGS < tf.size(data))
    return tf.cond(marked & (data[tf.maximum(control, 0) + 3] % 2 == 1), replaced, lambda: content)


def _first_frame(data: Any) -> tuple[Any, Any]:
    """Return the positions of the first frame and of its control extension in a GIF, int32 [n]; -1 for no extension."""
    end, flags = tf.size(data), data[_SCREEN_FLAGS]
    start = _HEADER + tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def is_extension(position: Any, _: Any) -> Any:
        return (position + 2 < end) & (data[tf.minimum(position, end - 1)] == _EXTENSION)

    def skip(position: Any, control: Any) -> tuple[Any, Any]:
        is_control = (data[position + 1] == _CONTROL) & (position + 6 < end)
        return _after_blocks(data, position + 2), tf.where(is_control, position, control)

    return tf.while_loop(is_extension, skip, (start, tf.constant(-1)))


def _after_blocks(data: Any, position: Any) -> Any:
    """Return the position after the data blocks at `position`: each starts with its length, and the last is empty."""
    end = tf.size(data)
    (position,) = tf.while_loop(
        lambda place: (place < end) & (data[tf.minimum(place, end - 1)] > 0),
        lambda place: (place + 1 + data[place],),
        (position,),
    )
    return position + 1


def _write(content: Any, position: Any, new: bytes) -> Any:
    """Return a string with the bytes at `position` replaced."""
    rest = tf.minimum(position + len(new), tf.strings.length(content))
    length = tf.strings.length(content)
    return tf.strings.join([tf.strings.substr(content, 0, position), new, tf.strings.substr(content, rest, length)])
