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
MOST_KEYS = 1000  # of an object that is parsed in pieces
SPACE = re.compile(r"[ \t\r\n]*")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text. Raises `ValueError` with the reason if it is none."""
    try:
        text = body.decode("utf-8")
        if len(text) <= SMALL:
            return _DECODER.decode(text)
        value, end = _value(text, _skip(text, 0), 0)
        if _skip(text, end) != len(text):
            raise ValueError(f"more text after the value, at character {end}")
        return value
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    assert match is not None
    return match.end()


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """Return the value at a position that is no space, and the position after it."""
    if depth > MOST_DEPTH:
        raise ValueError("it is nested too deeply")
    first = text[at : at + 1]
    if first == "{":
        return _object(text, at + 1, depth)
    if first == "[":
        return _list(text, at + 1, depth)
    return _DECODER.raw_decode(text, at) if first == '"' else _scalar(text, at)


def _scalar(text: str, at: int) -> tuple[Any, int]:
    value, end = _DECODER.raw_decode(text[at : at + PIECE])
    return value, at + end


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _skip(text, at)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise ValueError(f"a key is expected at character {at}")
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise ValueError(f"':' is expected at character {at}")
        found[key], at = _value(text, _skip(text, at + 1), depth + 1)
        if len(found) > MOST_KEYS:
            raise ValueError(f"an object has more than {MOST_KEYS} keys")
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        at = _after_comma(text, at, "}")


def _list(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at, size = _skip(text, at), PIECE
    if text[at : at + 1] == "]":
        return found, at + 1
    while True:
        first = text[at : at + 1]
        if first in ("[", "{"):
            value, end, size = _element(text, at, depth, size)
            found.append(value)
        elif first == '"':
            value, end = _DECODER.raw_decode(text, at)
            found.append(value)
        else:
            values, end = _scalars(text, at)
            found += values
        at = _skip(text, end)
        if text[at : at + 1] == "]":
            return found, at + 1
        at = _after_comma(text, at, "]")


def _element(text: str, at: int, depth: int, size: int) -> tuple[Any, int, int]:
    """Return a list or object, the position after it, and the number of characters to try for the next one."""
    try:
        value, end = _DECODER.raw_decode(text[at : at + size])
    except ValueError:
        value, end = _value(text, at, depth + 1)  # it is longer, or it is damaged: the parts say so
        return value, end, size
    return value, at + end, min(PIECE, max(256, 2 * end))


def _scalars(text: str, at: int) -> tuple[list[Any], int]:
    """Return the numbers, `true`, `false` and `null` up to the end of their list or of a piece, and the position."""
    end = min(at + PIECE, len(text))
    for stop in '[]{}"':
        found = text.find(stop, at, end)
        end = found if found >= 0 else end
    if end == at + PIECE:
        end = text.rfind(",", at, end)
    piece = text[at : max(end, at)].rstrip(" \t\r\n")
    if piece.endswith(","):
        piece = piece[:-1]
    if not piece:
        raise ValueError(f"a value is expected at character {at}")
    return _DECODER.decode(f"[{piece}]"), at + len(piece)


def _after_comma(text: str, at: int, closing: str) -> int:
    if text[at : at + 1] != ",":
        raise ValueError(f"',' or {closing!r} is expected at character {at}")
    return _skip(text, at + 1)
