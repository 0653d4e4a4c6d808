"""Open Inference Protocol v2, as clients of KServe and Triton speak it, with tensors as JSON or as bytes.

https://github.com/kserve/open-inference-protocol, with the extensions `binary_tensor_data` and `classification`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import transfercli
from transfercli.web.messages import Answer, Refusal, Request, json_answer, json_bytes
from transfercli.web.routes import Route
from transfercli.workflows.serve.bodies import too_many_images
from transfercli.workflows.serve.hosting import READY, Answers, ServedModel
from transfercli.workflows.serve.protocols.columns import (
    ABSTAINED,
    ANSWERED,
    LABELS,
    PROBABILITIES,
    STRANGE,
    UNSURE,
    VALUE,
    Column,
    columns_of,
    refuse_unread,
)
from transfercli.workflows.serve.protocols.protocol import WireProtocol, short_error
from transfercli.workflows.serve.protocols.tensors import BOOL, BYTES, FP32, UINT8, OutputTensor, images_of_tensor
from transfercli.workflows.serve.service import Images, Service, json_value

HEADER_LENGTH = b"inference-header-content-length"
OCTETS = "application/octet-stream"
DATATYPES = {"label": BYTES, LABELS: BYTES} | dict.fromkeys((ABSTAINED, STRANGE, ANSWERED, UNSURE), BOOL)
MOST_OUTPUTS = 50
MOST_ID = 200  # characters


@dataclass(frozen=True, slots=True)
class _Output:
    """Output that is asked for. binary: as bytes. classes: number of the most probable ones; 0 for the values."""

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """Request as it was parsed. outputs: None for all but the names of the labels."""

    images: Images
    id: str | None
    outputs: tuple[_Output, ...] | None
    binary: bool


class OpenInference:
    """Handlers of the protocol."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def server(self, request: Request) -> Answer:
        """Answer with the name, the version and the extensions of this server."""
        extensions = ["binary_tensor_data", "classification"]
        return json_answer({"name": "transfercli", "version": transfercli.__version__, "extensions": extensions})

    async def live(self, request: Request) -> Answer:
        """Answer that the server lives."""
        return json_answer({"live": True})

    async def ready(self, request: Request) -> Answer:
        """Answer if all models are ready."""
        is_ready = all(model.state == READY for model in self._service.models.values())
        return json_answer({"ready": is_ready}, 200 if is_ready else 503)

    async def model_ready(self, request: Request) -> Answer:
        """Answer if a model is ready."""
        model = self._service.model(request)
        is_ready = model.state == READY
        return json_answer({"name": model.name, "ready": is_ready}, 200 if is_ready else 503)

    async def metadata(self, request: Request) -> Answer:
        """Answer with the tensors of a model. One of the two inputs is sent, not both."""
        model = self._service.model(request)
        height, width = model.geometry.height, model.geometry.width
        inputs = [("images", UINT8, [-1, height, width, 3]), ("encoded", BYTES, [-1])]
        return json_answer(
            {
                "name": model.name,
                "versions": [model.version],
                "platform": "transfercli",
                "inputs": [_described(*one) for one in inputs],
                "outputs": [_described(*one) for one in _outputs_of(model)],
            }
        )

    async def infer(self, request: Request) -> Answer:
        """Answer the images of one tensor."""
        service, model = self._service, self._service.model(request)
        body = await service.body(request)
        length, most = request.header(HEADER_LENGTH), service.settings.most_images
        asked: _Asked = await service.parsed(lambda body: _parsed(body, length, most), body)
        answers = await service.predict(request, model, asked.images)
        refuse_unread(answers, "inputs[0].data")
        tensors = _tensors(answers)
        wanted = asked.outputs
        if wanted is None:
            wanted = tuple(_Output(name, asked.binary) for name in tensors if name != LABELS)
        chosen = [(_chosen(one, tensors, answers.labels), one.binary) for one in wanted]
        return _answer(model.name, answers.version, asked.id, chosen)


def _parsed(body: bytes, header_length: str, most: int) -> _Asked:
    """Return the request in a body. header_length: of the JSON in front of the bytes of tensors, or "" without any."""
    length = len(body)
    if header_length:
        if not (header_length.isascii() and header_length.isdecimal()) or len(header_length) > 12:
            raise Refusal(400, "header", "Inference-Header-Content-Length must be a whole number")
        length = int(header_length)
        if length > len(body):
            raise Refusal(
                400, "header", f"Inference-Header-Content-Length is {length}, but the body has {len(body)} bytes"
            )
    content = json_value(body[:length])
    if not isinstance(content, dict):
        raise Refusal(400, "json", "the request must be a JSON object")
    name = content.get("id")
    if name is not None and not (isinstance(name, str) and len(name) <= MOST_ID):
        raise Refusal(400, "json", f"id must be a string of at most {MOST_ID} characters")
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refusal(400, "tensor", "the request must have 'inputs', a list of one tensor: images or encoded")
    shape = inputs[0].get("shape")
    if isinstance(shape, list) and shape and isinstance(shape[0], int) and shape[0] > most:
        raise too_many_images(most)
    binary = bool(_parameters(content).get("binary_data_output", False))
    images = images_of_tensor(inputs[0], _binary_part(inputs[0], body[length:]))
    return _Asked(images, name, _outputs(content.get("outputs"), binary), binary)


def _binary_part(tensor: dict[str, Any], rest: bytes) -> bytes | None:
    """Return the bytes of a tensor behind the JSON; None if it is in the JSON."""
    size = _parameters(tensor).get("binary_data_size")
    if size is None:
        if rest:
            raise Refusal(400, "tensor", "there are bytes behind the JSON, but inputs[0] has no binary_data_size")
        return None
    if type(size) is not int or size != len(rest):
        raise Refusal(400, "tensor", f"binary_data_size must be {len(rest)}, the number of bytes behind the JSON")
    return rest


def _outputs(wanted: Any, binary: bool) -> tuple[_Output, ...] | None:
    """Return the outputs that are asked for. binary: the way of those that do not say it."""
    if not wanted:
        return None
    if not isinstance(wanted, list) or len(wanted) > MOST_OUTPUTS or not all(isinstance(one, dict) for one in wanted):
        raise Refusal(400, "output", "'outputs' must be a list of objects with a name")
    found = []
    for one in wanted:
        parameters = _parameters(one)
        classes = parameters.get("classification", 0)
        if type(classes) is not int or classes < 0:
            raise Refusal(400, "output", "classification must be a whole number from 0")
        found.append(_Output(str(one.get("name")), bool(parameters.get("binary_data", binary)), classes))
    return tuple(found)


def _parameters(holder: dict[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise Refusal(400, "json", "'parameters' must be an object")
    return parameters


def _tensors(answers: Answers) -> dict[str, OutputTensor]:
    tensors = {name: _tensor(name, column) for name, column in columns_of(answers).items()}
    if not answers.has_numbers:
        tensors[LABELS] = _tensor(LABELS, list(answers.labels))
    return tensors


def _tensor(name: str, column: Column) -> OutputTensor:
    shape = column.shape if isinstance(column, np.ndarray) else np.shape(column)
    return OutputTensor(name, DATATYPES.get(name, FP32), tuple(shape), column)


def _outputs_of(model: ServedModel) -> list[tuple[str, str, list[int]]]:
    """Return name, datatype and shape of the outputs that a model always gives."""
    if model.has_numbers:
        return [(VALUE, FP32, [-1, 1])]
    classes = len(model.labels)
    found = [(PROBABILITIES, FP32, [-1, classes]), ("label", BYTES, [-1]), ("probability", FP32, [-1])]
    found.append((ABSTAINED, BOOL, [-1]))
    if model.several:
        found.append((ANSWERED, BOOL, [-1, classes]))
    return [*found, (LABELS, BYTES, [classes])]


def _described(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _chosen(wanted: _Output, tensors: dict[str, OutputTensor], labels: Sequence[str]) -> OutputTensor:
    tensor = tensors.get(wanted.name)
    if tensor is None:
        raise Refusal(400, "output", f"there is no such output; the outputs are {', '.join(tensors)}")
    if not wanted.classes:
        return tensor
    if wanted.name != PROBABILITIES:
        raise Refusal(400, "output", f"classification is of {PROBABILITIES} alone")
    count = min(wanted.classes, len(labels))
    rows = [_classes(row, labels, count) for row in tensor.values]
    return OutputTensor(wanted.name, BYTES, (len(rows), count), rows)


def _classes(row: np.ndarray, labels: Sequence[str], count: int) -> list[str]:
    """Return the most probable classes of an image as Triton writes them: `probability:index:label`."""
    order = np.argsort(-row, kind="stable")[:count].tolist()
    return [f"{row[index]:f}:{index}:{labels[index]}" for index in order]


def _answer(name: str, version: str, asked: str | None, outputs: Sequence[tuple[OutputTensor, bool]]) -> Answer:
    """Return tensors as JSON, and those that are wanted as bytes behind it. asked: the id of the request."""
    described: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for tensor, binary in outputs:
        one = _described(tensor.name, tensor.datatype, list(tensor.shape))
        if binary:
            behind.append(tensor.as_bytes())
            one["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            one["data"] = tensor.flat()
        described.append(one)
    content: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": described}
    if asked is not None:
        content["id"] = asked
    if not behind:
        return json_answer(content)
    head = json_bytes(content)
    return Answer(200, b"".join([head, *behind]), OCTETS, ((HEADER_LENGTH, b"%d" % len(head)),))


def _routes(service: Service) -> Iterable[Route]:
    handlers = OpenInference(service)
    yield Route("GET", "/v2", handlers.server)
    yield Route("GET", "/v2/", handlers.server)
    yield Route("GET", "/v2/health/live", handlers.live)
    yield Route("GET", "/v2/health/ready", handlers.ready)
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        yield Route("GET", base, handlers.metadata)
        yield Route("GET", f"{base}/ready", handlers.model_ready)
        yield Route("POST", f"{base}/infer", handlers.infer)


OPEN_INFERENCE = WireProtocol("open_inference", "/v2", _routes, short_error)
