"""LiteRT (`.tflite`): written by TensorFlow's converter with builtin operators only, read by ai-edge-litert."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.data.ingest import usable_cores
from transfercli.errors import ArtefactError
from transfercli.export.attached import attach, attached
from transfercli.export.spec import Writing
from transfercli.export.traced import need_tensorflow, saved
from transfercli.training.backend import chatter_hidden


def write_litert(job: Writing) -> None:
    """One file, its batch size free; labels and card are attached to it as LiteRT's metadata standard has it."""
    need_tensorflow("litert")
    import tensorflow as tf

    from transfercli.models.deployed import on_float_pixels

    # A quantiser turns float pixels into bytes itself: the graph then starts with the very bytes of the image.
    predictor = on_float_pixels(job.predictor) if job.quantize == "int8" else job.predictor
    with tempfile.TemporaryDirectory(prefix="transfercli-litert-") as scratch:
        converter = tf.lite.TFLiteConverter.from_saved_model(saved(predictor, Path(scratch, "model")), ["serve"])
        converter.exclude_conversion_metadata = True  # it tells the time of day
        _SETTINGS[job.quantize](converter, job)
        with chatter_hidden():
            content = converter.convert()
    job.path.write_bytes(content)
    attach(job.path, job.spec)


def read_litert(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    from transfercli.export.readers import Artefact

    interpreter = Interpreter(os.fspath(path), num_threads=usable_cores())
    (entry,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    spec = attached(path)

    def from_tensors(images: np.ndarray) -> np.ndarray:
        if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
            interpreter.resize_tensor_input(entry["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(entry["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return Artefact(from_tensors, labels=spec.labels if spec else None, spec=spec)


def _float32(converter: Any, job: Writing) -> None:
    """Nothing to be set: builtin operators are the converter's default, and others end it."""


def _float16(converter: Any, job: Writing) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _int8(converter: Any, job: Writing) -> None:
    import tensorflow as tf

    if job.samples is None:
        raise ArtefactError("int8 needs training images")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _representative(job.samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8


def _representative(samples: Any) -> Iterator[list[np.ndarray]]:
    # Black beside white first: pixels then keep all their 256 levels, whatever the samples hold.
    scale = np.zeros((1, *samples.shape[1:]), np.float32)
    scale[:, :, ::2] = 255
    yield [scale]
    for image in samples:
        yield [image[None].astype(np.float32)]


_SETTINGS: dict[str, Callable[[Any, Writing], None]] = {"none": _float32, "float16": _float16, "int8": _int8}
