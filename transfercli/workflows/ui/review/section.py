"""Section of the label review: its pages, the queues and images as JSON, and the decisions that are sent back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from transfercli.errors import TransferError, UsageError
from transfercli.io.bounded import parse_json
from transfercli.io.versioned import versioned
from transfercli.web.answers import answer_for, error_answer
from transfercli.workflows.ui.pictures import LARGE, SMALL
from transfercli.workflows.ui.review.decisions import checked_label
from transfercli.workflows.ui.review.reviews import Review, Reviews
from transfercli.workflows.ui.reviewer import checked_reviewer
from transfercli.workflows.ui.site import Section, Site

if TYPE_CHECKING:
    Handler = Callable[[Request], Awaitable[Response]]

MAX_BODY = 64 * 1024  # bytes of a decision
JSON = "application/json"


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the section."""
    reviews = Reviews(site)
    base = "/review/{experiment}"

    def overview(request: Request) -> Response:
        return site.page(request, "review_overview.html.j2", experiments=reviews.experiments())

    def page(request: Request) -> Response:
        if "again" in request.query_params:
            reviews.again(request.path_params["experiment"])
            return RedirectResponse(request.url.path, 303)
        review = reviews.of(request.path_params["experiment"])
        return site.page(request, "review.html.j2", review=review)

    async def picture(request: Request) -> Response:
        try:
            review = await run_in_threadpool(reviews.of, request.path_params["experiment"])
            record = review.record(request.path_params["row"])
        except TransferError as error:
            return answer_for(error)
        side = SMALL if "small" in request.query_params else LARGE
        return await site.workers.pictures.answer(request, review.files, record, side)

    return [
        Route("/review", overview),
        Route(base, page),
        Route(f"{base}/state", _answering(reviews, _state)),
        Route(f"{base}/queues/{{queue}}", _answering(reviews, _queue)),
        Route(f"{base}/images/{{row:int}}", _answering(reviews, _image)),
        Route(f"{base}/images/{{row:int}}/picture", picture),
        Route(f"{base}/decisions", _changing(reviews, _decide), methods=["POST"]),
        Route(f"{base}/undo", _changing(reviews, _undo), methods=["POST"]),
    ]


def _answering(reviews: Reviews, answer: Callable[[Review, Request], Response]) -> Callable[[Request], Response]:
    """Return a handler whose errors are JSON, as the scripts of the page read them."""

    @wraps(answer)
    def handle(request: Request) -> Response:
        try:
            return answer(reviews.of(request.path_params["experiment"]), request)
        except TransferError as error:
            return answer_for(error)

    return handle


def _changing(reviews: Reviews, change: Callable[[Review, dict[str, Any]], Any]) -> Handler:
    """Return a handler of a request that changes something: it reads a bounded body, and waits until it is stored."""

    @wraps(change)
    async def handle(request: Request) -> Response:
        if not reviews.site.allow_changes:
            return error_answer(403, "changes", "the pages are read-only", "start transfercli ui with --allow-changes")
        try:
            body = _object(await _body(request))
            review = await run_in_threadpool(reviews.of, request.path_params["experiment"])
            return JSONResponse(versioned(await run_in_threadpool(change, review, body)))
        except TransferError as error:
            return answer_for(error)

    return handle


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip() != JSON:
        raise UsageError(f"the body of a decision must be {JSON}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise UsageError(f"the body of a decision has more than {MAX_BODY} bytes")
    return body


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = parse_json(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UsageError("the body of a decision must be a JSON object")
    return content


def _state(review: Review, request: Request) -> Response:
    return JSONResponse(versioned(review.state()))


def _queue(review: Review, request: Request) -> Response:
    return JSONResponse(versioned(review.queue(request.path_params["queue"])))


def _image(review: Review, request: Request) -> Response:
    return JSONResponse(versioned(review.image(request.path_params["row"])))


def _decide(review: Review, body: dict[str, Any]) -> dict[str, Any]:
    rows = review.rows_of(body.get("snapshot"), body.get("row"))
    present = review.decisions.state(review.record(rows[0])).label
    label = checked_label(body.get("label"), review.doubts, present)
    review.decisions.decide([review.record(row) for row in rows], label, review.reviewer(_name(body)))
    return review.image(rows[0]) | {"progress": review.progress()}


def _undo(review: Review, body: dict[str, Any]) -> dict[str, Any]:
    rows = review.rows_of(body.get("snapshot"), body.get("row"))
    decision = body.get("decision")
    if not isinstance(decision, str | None):
        raise UsageError("the name of a decision is a text")
    review.decisions.take_back([review.record(row) for row in rows], review.reviewer(_name(body)), decision)
    return review.image(rows[0]) | {"progress": review.progress()}


def _name(body: dict[str, Any]) -> str:
    name = body.get("who", "")
    if not isinstance(name, str):
        raise UsageError("the name of a reviewer is a text")
    return checked_reviewer(name)


SECTION = Section("Review labels", "/review", routes)
