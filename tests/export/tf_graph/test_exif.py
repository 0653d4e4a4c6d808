"""EXIF orientation in a TensorFlow graph."""

from __future__ import annotations

import struct

import pytest


@pytest.mark.parametrize(
    "header, value", [(b"II*\0\x08\0\0\0\x01\0\x12\x01", "<HIHH"), (b"MM\0*\0\0\0\x08\0\x01\x01\x12", ">HIHH")]
)
@pytest.mark.parametrize("kind", [3, 4])
def test_an_orientation_may_be_written_in_two_bytes_or_four(header, value, kind):
    import tensorflow as tf

    from transfercli.export.tf_graph.exif import orientation

    halves = (0, 6) if kind == 4 and value[0] == ">" else (6, 0)
    content = b"Exif\0\0" + header + struct.pack(value, kind, 1, *halves)
    assert int(orientation(tf.constant(content))) == 6


@pytest.mark.parametrize(
    "damage",
    [
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0",
    ],
)
def test_damaged_exif_data_turns_nothing(damage):
    import tensorflow as tf

    from transfercli.export.tf_graph.exif import orientation

    assert int(orientation(tf.constant(b"\xff\xd8\xff\xe1\0\x40Exif\0\0" + damage))) == 1
    assert int(orientation(tf.constant(b""))) == 1
