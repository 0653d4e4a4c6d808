"""LiteRT (`.tflite`): written by TensorFlow's converter with builtin operators only, read by ai-edge-litert."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.errors import ArtefactError
from transfercli.export.formats.embedded_spec import attach_spec, read_attached_spec
from transfercli.export.formats.litert_int8 import quantised
from transfercli.export.formats.outputs import with_score
from transfercli.export.spec import WriteJob
from transfercli.export.tf_graph.traced import write_bare_saved_model
from transfercli.io.cores import usable_cores
from transfercli.training.backend import startup_messages_hidden


def write_litert(job: WriteJob) -> None:
    """Write one file with a free batch size; labels and card are appended as in LiteRT's metadata standard."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix="transfercli-litert-") as scratch:
        converter = tf.lite.TFLiteConverter.from_saved_model(
            write_bare_saved_model(job.predictor, Path(scratch, "model")), ["serve"]
        )
        converter.exclude_conversion_metadata = True  # it contains the time of the conversion
        with startup_messages_hidden():
            content = _CONVERTERS[job.quantize](converter, job)
    job.path.write_bytes(_probabilities_first(content))
    attach_spec(job.path, job.spec)


def _probabilities_first(content: bytes) -> bytes:
    """Return the model with its outputs in the order of their rank: the converter does not keep their order.

    A program that takes the first output then gets the probabilities; signatures name tensors, not positions.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    buffer = bytearray(content)
    graph = schema.Model.GetRootAs(buffer, 0).Subgraphs(0)
    outputs = graph.OutputsAsNumpy()  # a view of the buffer
    outputs[:] = sorted(outputs, key=lambda index: -graph.Tensors(int(index)).ShapeLength())
    return bytes(buffer)


def read_litert(path: Path) -> Any:
    """Load the file with LiteRT's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    from transfercli.export.formats.readers import Artefact

    interpreter = Interpreter(os.fspath(path), num_threads=usable_cores())
    (entry,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    spec = read_attached_spec(path)

    def from_tensors(images: np.ndarray) -> np.ndarray:
        if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
            interpreter.resize_tensor_input(entry["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(entry["index"], images)
        interpreter.invoke()
        return with_score([interpreter.get_tensor(output["index"]) for output in outputs])

    return Artefact(from_tensors, labels=spec.labels if spec else None, spec=spec)


def _float32(converter: Any, job: WriteJob) -> bytes:
    content: bytes = converter.convert()
    return content


def _float16(converter: Any, job: WriteJob) -> bytes:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _float32(converter, job)


def _int8(converter: Any, job: WriteJob) -> bytes:
    if job.samples is None:
        raise ArtefactError("int8 needs training images")
    return quantised(converter, job.predictor, job.samples)


_CONVERTERS: dict[str, Callable[[Any, WriteJob], bytes]] = {"none": _float32, "float16": _float16, "int8": _int8}
