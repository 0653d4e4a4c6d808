"""JSON of many megabytes, parsed in pieces: Python's parser holds the interpreter for as long as one call lasts.

A call never sees more than `PIECE` characters of numbers, so that a thread that parses gives way to the event loop
every few milliseconds, whatever a client sends.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

PIECE = 128 * 1024  # characters of a call
SMALL = 32 * 1024  # bytes that are parsed at once, in the event loop
MOST_DEPTH = 12
MOST_CALLS = 300_000  # of the parser, for one text; each row of an image needs one
CALLS_OF_A_FAILURE = 500  # that a piece counts for which ended too early, and is parsed again in parts
SPACE = re.compile(r"[ \t\r\n]*")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises `ValueError` with the reason if it is none."""
    try:
        text = body.decode("utf-8")
        return _DECODER.decode(text) if len(text) <= SMALL else _Pieces(text).value()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class _Pieces:
    """Parser of one text."""

    def __init__(self, text: str) -> None:
        self._text, self._left = text, MOST_CALLS

    def value(self) -> Any:
        """Return the value of the whole text."""
        value, end = self._value(self._skip(0), 0)
        if self._skip(end) != len(self._text):
            raise ValueError(f"more text after the value, at character {end}")
        return value

    def _skip(self, at: int) -> int:
        match = SPACE.match(self._text, at)
        assert match is not None
        return match.end()

    def _spend(self, calls: int) -> None:
        """Count calls of the parser. Raises `ValueError` if there are too many: they take this program's time."""
        self._left -= calls
        if self._left < 0:
            raise ValueError("it has too many short lists, objects or texts; send images as base64 of their files")

    def _decoded(self, at: int, size: int | None = None) -> tuple[Any, int]:
        """Return the value at a position, and the position after it; it must end within `size` characters."""
        self._spend(1)
        if size is None:
            return _DECODER.raw_decode(self._text, at)
        value, end = _DECODER.raw_decode(self._text[at : at + size])
        return value, at + end

    def _value(self, at: int, depth: int) -> tuple[Any, int]:
        """Return the value at a position that is no space, and the position after it."""
        if depth > MOST_DEPTH:
            raise ValueError("it is nested too deeply")
        first = self._text[at : at + 1]
        if first == "{":
            return self._object(at + 1, depth)
        if first == "[":
            return self._list(at + 1, depth)
        return self._decoded(at) if first == '"' else self._scalar(at)

    def _scalar(self, at: int) -> tuple[Any, int]:
        return self._decoded(at, PIECE)

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = self._skip(at)
        if self._text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self._text[at : at + 1] != '"':
                raise ValueError(f"a key is expected at character {at}")
            key, at = self._decoded(at)
            at = self._skip(at)
            if self._text[at : at + 1] != ":":
                raise ValueError(f"':' is expected at character {at}")
            found[key], at = self._value(self._skip(at + 1), depth + 1)
            at = self._skip(at)
            if self._text[at : at + 1] == "}":
                return found, at + 1
            at = self._after_comma(at, "}")

    def _list(self, at: int, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at, size = self._skip(at), PIECE
        if self._text[at : at + 1] == "]":
            return found, at + 1
        while True:
            first = self._text[at : at + 1]
            if first in ("[", "{"):
                value, end, size = self._element(at, depth, size)
                found.append(value)
            elif first == '"':
                value, end = self._decoded(at)
                found.append(value)
            else:
                values, end = self._scalars(at)
                found += values
            at = self._skip(end)
            if self._text[at : at + 1] == "]":
                return found, at + 1
            at = self._after_comma(at, "]")

    def _element(self, at: int, depth: int, size: int) -> tuple[Any, int, int]:
        """Return a list or object, the position after it, and the number of characters to try for the next one."""
        for tried in dict.fromkeys((size, PIECE)):
            try:
                value, end = self._decoded(at, tried)
            except json.JSONDecodeError:
                self._spend(CALLS_OF_A_FAILURE * tried // PIECE)
            else:
                return value, end, min(PIECE, max(256, 2 * (end - at)))
        value, end = self._value(at, depth + 1)  # it is longer, or it is damaged: its parts say so
        return value, end, PIECE

    def _scalars(self, at: int) -> tuple[list[Any], int]:
        """Return the numbers, `true`, `false` and `null` up to the end of their list or piece, and the position."""
        end = min(at + PIECE, len(self._text))
        for stop in '[]{}"':
            found = self._text.find(stop, at, end)
            end = found if found >= 0 else end
        self._spend(1)
        if end == at + PIECE:
            end = self._text.rfind(",", at, end)
        piece = self._text[at : max(end, at)].rstrip(" \t\r\n")
        if piece.endswith(","):
            piece = piece[:-1]
        if not piece:
            raise ValueError(f"a value is expected at character {at}")
        return _DECODER.decode(f"[{piece}]"), at + len(piece)

    def _after_comma(self, at: int, closing: str) -> int:
        if self._text[at : at + 1] != ",":
            raise ValueError(f"',' or {closing!r} is expected at character {at}")
        return self._skip(at + 1)
