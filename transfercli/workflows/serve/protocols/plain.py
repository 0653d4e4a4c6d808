"""Plain requests: the bytes of an image, or a form with files, answered in the JSON of `predict`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transfercli.io.versioned import versioned
from transfercli.web.answers import error_content
from transfercli.web.messages import Answer, Refusal, Request, json_answer
from transfercli.web.routes import Route
from transfercli.workflows.predict.predictions import DEFAULT_TOP, Prediction
from transfercli.workflows.serve.bodies import files_of_form, shown_name
from transfercli.workflows.serve.hosting import ServedModel
from transfercli.workflows.serve.protocols.protocol import WireProtocol, headers_of
from transfercli.workflows.serve.service import Service

FORM = "multipart/form-data"
# Types that images are sent in; curl --data-binary names the last one for anything.
BYTES = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"})
SWITCHES = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Plain:
    """Handlers of plain requests."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def index(self, request: Request) -> Answer:
        """Answer with the models that there are."""
        models = self._service.models.values()
        return json_answer(versioned({"models": [_described(model) for model in models]}))

    async def model(self, request: Request) -> Answer:
        """Answer with what is known of a model."""
        return json_answer(versioned({**_described(self._service.model(request)), **_details(self._service, request)}))

    async def predict(self, request: Request) -> Answer:
        """Answer an image with its prediction, and a form with a list of them."""
        service, model = self._service, self._service.model(request)
        top, abstain, name = _options(request.query())
        content_type = request.header(b"content-type")
        media = content_type.partition(";")[0].strip().lower()
        if media == FORM:
            body = await service.body(request)
            files = await service.parsed(
                lambda body: files_of_form(body, content_type, service.settings.most_images), body
            )
            if not files:
                raise Refusal(400, "form", "the form has no file", "curl -F image=@photo.jpg sends one")
            names, images = [file.name for file in files], [file.content for file in files]
            predictions = await service.predict(request, model, images, top=top, abstain=abstain)
            return _several(names, predictions)
        if media not in BYTES and not media.startswith("image/"):
            raise Refusal(
                415,
                "media",
                f"this path takes the bytes of an image, or a form of {FORM}",
                "curl --data-binary @photo.jpg",
            )
        body = await service.body(request)
        if not body:
            raise Refusal(400, "image", "the body is empty; it must be an image", "curl --data-binary @photo.jpg")
        (prediction,) = await service.predict(request, model, [body], top=top, abstain=abstain)
        if prediction.error:
            raise Refusal(422, "image", f"the image cannot be read: {prediction.error}")
        return json_answer(versioned(_named(name, prediction)))


def _several(names: Sequence[str], predictions: Sequence[Prediction]) -> Answer:
    """Answer with a list; an image that cannot be read has an error in its place, and 422 is for none that could."""
    failed = sum(bool(prediction.error) for prediction in predictions)
    content = {
        "images": len(predictions),
        "failed": failed,
        "predictions": [_named(name, prediction) for name, prediction in zip(names, predictions, strict=True)],
    }
    return json_answer(versioned(content), 422 if failed == len(predictions) else 200)


def _named(name: str, prediction: Prediction) -> dict[str, Any]:
    return {**prediction.as_json(), "path": name}


def _options(query: dict[str, str]) -> tuple[int, bool, str]:
    """Return the number of classes, if the model may abstain, and the name of a lone image."""
    unknown = sorted(set(query) - {"top", "abstain", "name"})
    if unknown:
        raise Refusal(400, "query", "the query has an unknown parameter; known: top, abstain, name")
    top = query.get("top", str(DEFAULT_TOP))
    if not (top.isascii() and top.isdecimal() and 1 <= len(top) <= 6 and int(top) >= 1):
        raise Refusal(400, "query", "top must be a whole number from 1")
    abstain = SWITCHES.get(query.get("abstain", "true").lower())
    if abstain is None:
        raise Refusal(400, "query", "abstain must be true or false")
    return int(top), abstain, shown_name(query.get("name", "image"))


def _described(model: ServedModel) -> dict[str, Any]:
    return {"name": model.name, "version": model.version, "state": model.state}


def _details(service: Service, request: Request) -> dict[str, Any]:
    model = service.model(request)
    kind = "number" if model.has_numbers else "labels" if model.several else "label"
    size = [model.geometry.height, model.geometry.width]
    return {"answers": kind, "labels": list(model.labels), "image_size": size}


def full_error(refusal: Refusal) -> Answer:
    """Return an error in the JSON of the command line; `code` is the HTTP status."""
    content = error_content(refusal.status, refusal.kind, refusal.message, refusal.hint)
    return json_answer(content, refusal.status, headers_of(refusal))


def _routes(service: Service) -> Iterable[Route]:
    plain = Plain(service)
    yield Route("GET", "/", plain.index)
    yield Route("GET", "/predict/{name}", plain.model)
    yield Route("POST", "/predict/{name}", plain.predict)


PLAIN = WireProtocol("plain", "/", _routes, full_error)
