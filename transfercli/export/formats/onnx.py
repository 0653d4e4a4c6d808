"""ONNX: written by `onnx_graph`, or by Keras's export for operations that it lacks; read by onnxruntime."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.errors import ArtefactError, UsageError
from transfercli.export.formats.embedded_spec import labels_text, thresholds_text
from transfercli.export.formats.outputs import with_score
from transfercli.export.spec import CARD, NeedsTensorFlow, WriteJob, card_text, parse_card
from transfercli.export.tf_graph.traced import IMAGES, THRESHOLDS, output_names

CONVERTED_OPSET = 18  # the newest that tf2onnx writes
HALVED = 1024  # smallest number of values in a tensor that is stored in float16
QUANTISED = ("Conv", "MatMul", "Gemm", "Add", "MaxPool", "GlobalAveragePool", "AveragePool")
LABELS = "labels"


def import_onnxruntime() -> Any:
    """Import onnxruntime without its telemetry, which keeps events for an uploader in the user's home folder.

    ORT_DISABLE_TELEMETRY is onnxruntime's switch; it has telemetry on Linux since version 1.29.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def write_onnx(job: WriteJob) -> None:
    """Write one file, with card and labels in the model's metadata; the labels are text, one per line.

    With several labels an image, the thresholds are a further output, float32 [L], and a JSON list in the metadata.
    """
    import onnx

    model = _QUANTISERS[job.quantize](_graph_of(job.predictor), job)
    properties = {LABELS: labels_text(job.spec.labels), CARD: card_text(job.spec)}
    if job.spec.thresholds is not None:
        _add_constant_output(model, THRESHOLDS, np.array(job.spec.thresholds, np.float32))
        properties[THRESHOLDS] = thresholds_text(job.spec.thresholds)
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, os.fspath(job.path))


def read_onnx(path: Path) -> Any:
    """Load the file with onnxruntime on the CPU."""
    from transfercli.export.formats.readers import Artefact

    session = import_onnxruntime().InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    spec = parse_card(metadata[CARD]) if CARD in metadata else None
    outputs = {output.name for output in session.get_outputs()}
    thresholds = None
    if THRESHOLDS in outputs:
        (values,) = session.run([THRESHOLDS], {IMAGES: np.zeros((1, *session.get_inputs()[0].shape[1:]), np.uint8)})
        thresholds = tuple(values.tolist())
    asked = sorted(outputs - {THRESHOLDS})

    def from_tensors(images: np.ndarray) -> np.ndarray:
        return with_score(session.run(asked, {IMAGES: images}))

    return Artefact(from_tensors, None, spec.labels if spec else None, spec, thresholds)


def _add_constant_output(model: Any, name: str, values: np.ndarray) -> None:
    """Add an output that is the same for all images."""
    from onnx import helper, numpy_helper

    graph, stored = model.graph, f"{name}/values"
    graph.initializer.append(numpy_helper.from_array(values, stored))
    graph.node.append(helper.make_node("Identity", [stored], [name], name=name))
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    graph.output.append(helper.make_tensor_value_info(name, kind, values.shape))


def _graph_of(predictor: Any) -> Any:
    """Return the predictor as an ONNX model: of this program's writer or, if it lacks a rule, of Keras's own export."""
    import keras

    from transfercli.export.onnx_graph.graph import UnsupportedError

    try:
        return written_by_rules(predictor)
    except UnsupportedError as error:
        lacking = str(error)
    if find_spec("tf2onnx") is None:
        raise UsageError(f"--format onnx: {lacking} needs tf2onnx, which is not installed", "pip install tf2onnx")
    if keras.backend.backend() != "tensorflow":
        raise NeedsTensorFlow(lacking)
    return converted_by_keras(predictor)


def written_by_rules(predictor: Any) -> Any:
    """Return the model of this program's writer. Raises `UnsupportedError` if it lacks a rule."""
    from transfercli.export.onnx_graph.writer import write_graph

    return write_graph(predictor, IMAGES, output_names(predictor))


def converted_by_keras(predictor: Any) -> Any:
    """Return the model that Keras's export makes by way of TensorFlow and tf2onnx, with this program's names."""
    import keras
    import onnx

    pixels = keras.InputSpec(shape=(None, *predictor.input.shape[1:]), dtype=predictor.input.dtype, name=IMAGES)
    with tempfile.TemporaryDirectory(prefix="transfercli-onnx-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of NumPy, about an attribute that Keras' patch checks
        path = os.fspath(Path(scratch, "model.onnx"))
        predictor.export(path, format="onnx", opset_version=CONVERTED_OPSET, input_signature=[pixels], verbose=False)
        model = onnx.load(path)
    graph, outputs = model.graph, output_names(predictor)
    given = {value.name: name for value, name in zip(graph.output, outputs, strict=False)}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [given.get(name, name) for name in names]
    for value in (*graph.input, *graph.output):
        value.name = given.get(value.name, value.name)
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    graph.doc_string = ""  # this and the names of nodes are numbered over the whole process
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}/{number}"
    return _shorten_names(model)


def _float32(model: Any, job: WriteJob) -> Any:
    return model


def _float16(model: Any, job: WriteJob) -> Any:
    """Store weights in float16 with a cast to float32, which runs on loading: half the size, the same speed."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALVED:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}/half"))
        casts.append(helper.make_node("Cast", [f"{tensor.name}/half"], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _int8(model: Any, job: WriteJob) -> Any:
    """Quantise statically: signed weights per channel, unsigned activations, ranges from `job.samples`.

    The last layer stays in float32, because its logits are small differences of large sums.
    """
    import onnx

    import_onnxruntime()
    from onnxruntime import quantization

    if job.samples is None:
        raise ArtefactError("int8 needs training images")
    with tempfile.TemporaryDirectory(prefix="transfercli-onnx-") as scratch, _advice_hidden():
        plain, small = Path(scratch, "plain.onnx"), Path(scratch, "small.onnx")
        onnx.save_model(model, os.fspath(plain))
        quantization.quantize_static(
            plain,
            small,
            _calibration_reader(job.samples),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_last_layer(model),
        )
        return _shorten_names(onnx.load(os.fspath(small)))


def _shorten_names(model: Any) -> Any:
    """Rename inner tensors to numbers: the long names that quantisation gives make up most of a small network's file.

    Nodes of the network keep their names, which identify its layers; nodes of the quantisation get none.
    """
    graph = model.graph
    inner = [tensor.name for tensor in graph.initializer]
    inner += [name for node in graph.node for name in node.output if name not in {x.name for x in graph.output}]
    short = {name: format(number, "x") for number, name in enumerate(inner)}
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [short.get(name, name) for name in names]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.name = ""
    del graph.value_info[:]  # shapes by the old names, which a runtime infers again
    return model


@contextmanager
def _advice_hidden() -> Iterator[None]:
    """Disable the root logger: onnxruntime uses it to recommend a preprocessing that is not needed here."""
    logger = logging.getLogger()
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def _last_layer(model: Any) -> list[str]:
    return [node.name for node in model.graph.node if node.op_type in ("MatMul", "Gemm")][-1:]


def _calibration_reader(samples: np.ndarray) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """Reader of one image at a time for the calibration of value ranges."""

        def __init__(self) -> None:
            self._images: Iterator[np.ndarray] = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._images, None)
            return None if image is None else {IMAGES: image[None]}

    return Reader()


_QUANTISERS = {"none": _float32, "float16": _float16, "int8": _int8}
