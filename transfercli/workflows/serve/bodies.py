"""Bodies of requests, read within limits: bytes, parts of a form, JSON whose parsing stops no other request."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transfercli.web.messages import Disconnected, Refusal, Request

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_NAME = 200  # characters of a file's name
MOST_PARTS_BESIDE = 20  # parts of a form that are no files
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(slots=True)
class Budget:
    """Bytes of all bodies that are in memory at once. most: beyond it requests are asked to come again."""

    most: int
    used: int = 0

    def take(self, request: Request, count: int) -> None:
        """Count bytes of a request. Raises `Refusal` if there is no room."""
        if self.used + count > self.most:
            raise Refusal(503, "busy", "too many large requests at once", "try again", {"Retry-After": "1"})
        self.used += count
        request.held += count

    def release(self, request: Request) -> None:
        """Give back what a request held."""
        self.used -= request.held
        request.held = 0


async def read_body(request: Request, most: int, budget: Budget) -> bytes:
    """Return the body. Raises `Refusal` if it is larger than `most` or compressed, `Disconnected` if it ends early."""
    encoding = request.header(b"content-encoding").lower()
    if encoding not in ("", "identity"):
        raise Refusal(415, "encoding", "compressed bodies are not read", "send it without Content-Encoding")
    length = request.header(b"content-length")
    if length and int(length) > most:
        raise _too_large(most)
    message = await request.receive()
    parts: list[bytes] = []
    count = 0
    while True:
        if message["type"] != "http.request":
            raise Disconnected
        part: bytes = message.get("body", b"")
        count += len(part)
        if count > most:
            raise _too_large(most)
        budget.take(request, len(part))
        if not message.get("more_body", False):
            break
        parts.append(part)
        message = await request.receive()
    request.facts["received"] = count
    return b"".join([*parts, part]) if parts else part


def _too_large(most: int) -> Refusal:
    return Refusal(
        413, "size", f"the body is larger than {most} bytes, the most that this server reads", "send fewer images"
    )


@dataclass(slots=True)
class FilePart:
    """File of a form. name: its last part only, as a client may send a path."""

    name: str
    content: bytes


def files_of_form(body: bytes, content_type: str, most: int) -> list[FilePart]:
    """Return the files of a body of `multipart/form-data`. Raises `Refusal` if it is damaged or has more than `most`.

    A part is a file if it has a file name or the type of an image.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise Refusal(400, "form", "the form has no boundary", "let the client make the Content-Type of the form")
    parts = _Parts(body, most)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, "form", "the form is damaged") from error
    if not parts.ended:
        raise Refusal(400, "form", "the form ends before its last boundary")
    return parts.files


@dataclass(slots=True)
class _Parts:
    """Parts of a form as its parser finds them; only those that are files are kept."""

    body: bytes
    most: int
    files: list[FilePart] = field(default_factory=list)
    ended: bool = False
    _beside: int = 0
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _content: list[bytes] = field(default_factory=list)

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._headers, self._content = {}, []

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        has_image = self._headers.get(b"content-type", b"").strip().lower().startswith(b"image/")
        if b"filename" not in options and not has_image:
            self._beside += 1
            if self._beside > MOST_PARTS_BESIDE:
                raise Refusal(413, "form", f"the form has more than {MOST_PARTS_BESIDE} parts that are no files")
            return
        if len(self.files) >= self.most:
            raise too_many_images(self.most)
        self.files.append(FilePart(shown_name(options.get(b"filename", b"")), b"".join(self._content)))

    def _finish(self) -> None:
        self.ended = True


def shown_name(name: bytes | str) -> str:
    """Return the last part of a client's path, without characters that change lines; "image" if nothing is left."""
    text = name if isinstance(name, str) else name.decode("utf-8", "replace")
    last = re.split(r"[/\\]", text)[-1]
    return CONTROL.sub("", last)[:MOST_NAME].strip() or "image"


def too_many_images(most: int) -> Refusal:
    """Return the refusal of a request with more than `most` images."""
    return Refusal(413, "images", f"the request has more than {most} images, the most at once", "send several requests")
