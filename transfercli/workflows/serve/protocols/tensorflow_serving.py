"""REST API of TensorFlow Serving: rows in `instances`, or columns in `inputs`.

https://www.tensorflow.org/tfx/serving/api_rest. A version there is a whole number; here it is the name of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from transfercli.web.messages import Answer, Refusal, Request, json_answer
from transfercli.web.routes import Route
from transfercli.workflows.serve.bodies import too_many_images
from transfercli.workflows.serve.hosting import LOADING, READY, Answers, ServedModel
from transfercli.workflows.serve.protocols.columns import (
    LABELS,
    PROBABILITIES,
    VALUE,
    columns_of,
    plain,
    refuse_unread,
)
from transfercli.workflows.serve.protocols.pixels import file_of_base64, image_of_lists
from transfercli.workflows.serve.protocols.protocol import WireProtocol, short_error
from transfercli.workflows.serve.service import Images, Service

DEFAULT = "serving_default"
BYTES = "_bytes"  # at the end of the name of a signature that takes files
ALONE = (PROBABILITIES, PROBABILITIES + BYTES, VALUE, VALUE + BYTES)  # without labels, as in an exported SavedModel
SIGNATURES = (DEFAULT, "serve", f"serve{BYTES}", *ALONE)
INPUTS = ("images", "encoded", "image", "image_bytes", "bytes")
B64 = "b64"
STATES = {READY: ("AVAILABLE", "OK"), LOADING: ("LOADING", "OK")}
GONE = ("END", "UNKNOWN")  # could not be loaded


@dataclass(frozen=True, slots=True)
class _Asked:
    """Request as it was parsed. rows: True for the row format."""

    images: Images
    rows: bool
    signature: str


def _parsed(content: Any, most: int) -> _Asked:
    """Return the request in a JSON value. most: images that are taken."""
    content = _object(content)
    signature = content.get("signature_name", DEFAULT) or DEFAULT
    if signature not in SIGNATURES:
        raise Refusal(400, "signature", f"signature_name must be one of {', '.join(SIGNATURES)}")
    if ("instances" in content) == ("inputs" in content):
        raise Refusal(400, "json", "the request must have either 'instances' (rows) or 'inputs' (columns)")
    rows = "instances" in content
    place = "instances" if rows else "inputs"
    values = content[place]
    if not rows and isinstance(values, dict):
        values = _only(values, place)
    if not isinstance(values, list):
        raise Refusal(400, "json", f"'{place}' must be a list of images")
    if len(values) > most:
        raise too_many_images(most)
    return _Asked([_image(value, f"{place}[{number}]") for number, value in enumerate(values)], rows, signature)


def _image(value: Any, place: str) -> Any:
    """Return an image: base64, lists, or one of them under the name of an input."""
    if isinstance(value, dict) and set(value) != {B64}:
        value = _only(value, place)
    if isinstance(value, dict):
        return file_of_base64(value.get(B64), place)
    if isinstance(value, str):
        raise Refusal(400, "base64", f'{place} is a string; the bytes of an image are {{"b64": "…"}}')
    return image_of_lists(value, place)


def _only(values: dict[str, Any], place: str) -> Any:
    """Return the value of the one input that is named."""
    if len(values) != 1 or next(iter(values)) not in INPUTS:
        raise Refusal(400, "input", f"{place} must name one input, as one of {', '.join(INPUTS)}")
    return next(iter(values.values()))


def _object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise Refusal(400, "json", "the body must be a JSON object")
    return content


def _examples(content: Any, most: int) -> Images:
    """Return the images of a request to classify or regress."""
    examples = _object(content).get("examples")
    if not isinstance(examples, list):
        raise Refusal(400, "json", "the request must have 'examples', a list of objects")
    if len(examples) > most:
        raise too_many_images(most)
    places = [f"examples[{number}]" for number in range(len(examples))]
    return [_image(_only(_object(one), place), place) for one, place in zip(examples, places, strict=True)]


class TensorFlowServing:
    """Handlers of the REST API."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def predict(self, request: Request) -> Answer:
        """Answer images in the format that they came in."""
        model = self._service.model(request)
        asked: _Asked = await self._json(request, _parsed)
        answers = await self._predict(request, model, asked.images, "instances" if asked.rows else "inputs")
        columns = {name: plain(column) for name, column in columns_of(answers).items()}
        if asked.signature in ALONE:
            name = _answer_of(answers)
            columns = {name: columns[name]}
        if asked.rows:
            return json_answer({"predictions": _rows(columns, len(answers))})
        if len(columns) == 1:
            return json_answer({"outputs": next(iter(columns.values()))})
        return json_answer({"outputs": {**columns, LABELS: list(answers.labels)}})

    async def classify(self, request: Request) -> Answer:
        """Answer each image with the pairs of all labels and their probabilities."""
        model = self._service.model(request)
        answers = await self._predict(request, model, await self._json(request, _examples), "examples")
        if answers.has_numbers:
            raise Refusal(400, "signature", f"{model.name} gives numbers, not classes; :regress answers them")
        rows = plain(columns_of(answers)[PROBABILITIES])
        return json_answer({"result": [[list(pair) for pair in zip(answers.labels, row, strict=True)] for row in rows]})

    async def regress(self, request: Request) -> Answer:
        """Answer each image with its number."""
        model = self._service.model(request)
        answers = await self._predict(request, model, await self._json(request, _examples), "examples")
        if not answers.has_numbers:
            raise Refusal(400, "signature", f"{model.name} gives classes, not numbers; :classify answers them")
        return json_answer({"result": [prediction.value for prediction in answers]})

    async def status(self, request: Request) -> Answer:
        """Answer with the state of a model."""
        model = self._service.model(request)
        state, code = STATES.get(model.state, GONE)
        status = {"error_code": code, "error_message": "" if code == "OK" else "it could not be loaded"}
        version = {"version": model.version, "state": state, "status": status}
        return json_answer({"model_version_status": [version]})

    async def metadata(self, request: Request) -> Answer:
        """Answer with the signatures of a model."""
        model = self._service.model(request)
        spec = {"name": model.name, "signature_name": "", "version": model.version}
        answer = _answer_of(model)
        signatures = {
            name: _signature(model, name) for name in SIGNATURES if name not in ALONE or name.startswith(answer)
        }
        return json_answer(
            {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}},
        )

    async def _json(self, request: Request, work: Callable[[Any, int], Any]) -> Any:
        """Return `work` of the JSON value in the body."""
        most = self._service.settings.most_images
        return await self._service.json(request, lambda content: work(content, most))

    async def _predict(self, request: Request, model: ServedModel, images: Images, place: str) -> Answers:
        answers = await self._service.predict(request, model, images)
        refuse_unread(answers, place)
        return answers


def _rows(columns: dict[str, list[Any]], count: int) -> list[Any]:
    """Return a row for each image: the value of a lone column, or an object."""
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [{name: values[number] for name, values in columns.items()} for number in range(count)]


def _answer_of(model: ServedModel | Answers) -> str:
    return VALUE if model.has_numbers else PROBABILITIES


def _signature(model: ServedModel, name: str) -> dict[str, Any]:
    height, width = model.geometry.height, model.geometry.width
    encoded = _tensor("encoded", "DT_STRING", [-1])
    inputs = (
        {"encoded": encoded}
        if name.endswith(BYTES)
        else {"images": _tensor("images", "DT_UINT8", [-1, height, width, 3])}
    )
    classes = len(model.labels)
    if model.has_numbers:
        outputs = {VALUE: _tensor(VALUE, "DT_FLOAT", [-1, 1])}
    else:
        outputs = {PROBABILITIES: _tensor(PROBABILITIES, "DT_FLOAT", [-1, classes])}
        if name not in ALONE:
            outputs |= {
                LABELS: _tensor(LABELS, "DT_STRING", [classes]),
                "label": _tensor("label", "DT_STRING", [-1]),
                "probability": _tensor("probability", "DT_FLOAT", [-1]),
                "abstained": _tensor("abstained", "DT_BOOL", [-1]),
            }
    return {"inputs": inputs, "outputs": outputs, "method_name": "tensorflow/serving/predict"}


def _tensor(name: str, dtype: str, shape: Sequence[int]) -> dict[str, Any]:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": name}


def _routes(service: Service) -> Iterable[Route]:
    handlers = TensorFlowServing(service)
    for base in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        yield Route("GET", base, handlers.status)
        yield Route("GET", f"{base}/metadata", handlers.metadata)
        yield Route("POST", f"{base}:predict", handlers.predict)
        yield Route("POST", f"{base}:classify", handlers.classify)
        yield Route("POST", f"{base}:regress", handlers.regress)


TENSORFLOW_SERVING = WireProtocol("tensorflow_serving", "/v1/", _routes, short_error)
