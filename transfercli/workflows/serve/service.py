"""Service that all protocols ask: it finds models, has images predicted, and counts what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from transfercli.web.address import Address
from transfercli.web.messages import Refusal, Request
from transfercli.workflows.serve.bodies import Budget, read_body, too_many_images
from transfercli.workflows.serve.defaults import MEBIBYTE, MOST_MEBIBYTES, SECONDS
from transfercli.workflows.serve.hosting import AnswerOptions, Answers, ServedModel
from transfercli.workflows.serve.large_json import SMALL, parse_json
from transfercli.workflows.serve.metrics import Metrics

LONG = MEBIBYTE  # bytes of a body that others do not wait for
MOST_NAMED = 20  # models in a message
Images = Sequence[bytes | np.ndarray]


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a server.

    address: that it listens on; on loopback, other names of hosts are refused. token: that requests must have, or None.
    most_bytes: of a body; most_bytes_held: of all bodies at once. most_images: of a request. seconds: for an answer.
    log: stream of the access log without a buffer, or None. report_bug: gets an error that nobody expected. warn: gets
    what the operator should read.
    """

    address: Address
    token: str | None = None
    most_bytes: int = MOST_MEBIBYTES * MEBIBYTE
    most_bytes_held: int = 512 * MEBIBYTE
    most_images: int = 256
    seconds: float = SECONDS
    log: BinaryIO | None = None
    report_bug: Callable[[BaseException], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None


class Service:
    """Models of a server and what is done for each request, in any protocol."""

    def __init__(self, models: Mapping[str, ServedModel], settings: Settings, metrics: Metrics) -> None:
        self.models, self.settings, self.metrics = models, settings, metrics
        self.budget = Budget(settings.most_bytes_held)
        # One for short and one for long bodies, which may take seconds: more would wait for the interpreter anyway.
        self._parsing, self._parsing_long = ThreadPoolExecutor(1, "parse"), ThreadPoolExecutor(1, "parse-long")

    def model(self, request: Request) -> ServedModel:
        """Return the model that the path of a request names. Raises `Refusal` with those that there are."""
        try:
            model = self.models[request.names["name"]]
        except KeyError:
            names = sorted(self.models)
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            known = f"the models here are {', '.join(names[:MOST_NAMED])}{more}" if names else "there are none"
            raise Refusal(404, "model", f"there is no model of this name: {known}") from None
        request.facts["model"] = model.name
        request.facts["version"] = model.version
        _check_version(request, model, model.version)
        return model

    async def body(self, request: Request) -> bytes:
        """Return the body of a request, within the limits."""
        return await read_body(request, self.settings.most_bytes, self.budget)

    async def parsed(self, work: Callable[[bytes], Any], body: bytes) -> Any:
        """Return `work(body)`, computed in a thread if the body is long."""
        if len(body) <= SMALL:
            return work(body)
        thread = self._parsing_long if len(body) > LONG else self._parsing
        return await asyncio.get_running_loop().run_in_executor(thread, work, body)

    async def json(self, request: Request, work: Callable[[Any], Any]) -> Any:
        """Return `work(value)` of the JSON value in the body of a request."""
        media = request.header(b"content-type").partition(";")[0].strip().lower()
        if media.startswith(("image/", "multipart/")):
            raise Refusal(415, "media", f"this path takes application/json, not {_named(media)}")
        return await self.parsed(lambda body: work(json_value(body)), await self.body(request))

    async def predict(
        self, request: Request, model: ServedModel, images: Images, *, top: int = 1, abstain: bool = True
    ) -> Answers:
        """Return the answers to images, with the `top` most probable classes of each."""
        request.facts["images"] = len(images)
        if len(images) > self.settings.most_images:
            raise too_many_images(self.settings.most_images)
        answers = await model.answer(images, AnswerOptions(top, abstain, self.settings.seconds))
        request.facts["version"] = answers.version  # it may have been exchanged meanwhile
        _check_version(request, model, answers.version)
        unread = sum(bool(prediction.error) for prediction in answers)
        abstained = sum(prediction.abstained for prediction in answers)
        self.metrics.images(model.name, len(answers) - unread, unread, abstained)
        return answers

    def close(self) -> None:
        """End the threads that parse."""
        for thread in (self._parsing, self._parsing_long):
            thread.shutdown(wait=False, cancel_futures=True)


def _check_version(request: Request, model: ServedModel, version: str) -> None:
    """Raise `Refusal` if the path names another version than the one that answers."""
    if request.names.get("version", version) != version:
        raise Refusal(404, "version", f"{model.name} answers in the version {version} alone")


def json_value(body: bytes) -> Any:
    """Return the JSON value of a body. Raises `Refusal` if it is none."""
    if not body:
        raise Refusal(400, "json", "the body is empty; it must be a JSON object")
    try:
        return parse_json(body)
    except ValueError as error:
        raise Refusal(400, "json", f"the body is no JSON: {str(error)[:200]}") from error


def _named(media: str) -> str:
    """Return a media type for a message; that of a client may hold anything."""
    return media if media.replace("/", "").replace("-", "").replace("+", "").replace(".", "").isalnum() else "this type"
