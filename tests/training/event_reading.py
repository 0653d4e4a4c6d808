"""Event files as TensorFlow reads them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def events_of(path: Path) -> list[Any]:
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    return [event_pb2.Event.FromString(bytes(raw.numpy())) for raw in tf.data.TFRecordDataset(str(path))]


def png(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
