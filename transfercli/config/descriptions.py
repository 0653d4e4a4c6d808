"""What a value of the schema may be, in words and as a list of choices; read off the annotations.

Error messages and `docs/reference/config.md` both speak through here, so neither can promise what the schema refuses.
"""

from __future__ import annotations

import functools
import types
import typing
from typing import Annotated, Any, Literal, Union

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from transfercli.config import registries
from transfercli.config.types import Allowed, Row
from transfercli.text import first_of

SHOWN = 12
BOUNDS = (
    (annotated_types.Gt, "gt", "above {}"),
    (annotated_types.Ge, "ge", "of at least {}"),
    (annotated_types.Lt, "lt", "below {}"),
    (annotated_types.Le, "le", "at most {}"),
)
PLAIN = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}


@functools.cache
def hints(model: type[BaseModel]) -> dict[str, Any]:
    """The annotations of a section's keys, with their metadata."""
    return {
        name: hint
        for name, hint in typing.get_type_hints(model, include_extras=True).items()
        if name in model.model_fields
    }


def metadata(hint: Any) -> list[Any]:
    """What `Annotated` says about `hint`, with the bounds that pydantic's `Field` carries laid open."""
    found: list[Any] = []
    if typing.get_origin(hint) is Annotated:
        for entry in hint.__metadata__:
            found.extend(entry.metadata if isinstance(entry, FieldInfo) else [entry])
    return found


def bare(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def branches(hint: Any) -> list[Any]:
    """The members of a union without null; one member where it is no union."""
    inner = bare(hint)
    if typing.get_origin(inner) not in (Union, types.UnionType):
        return [hint]
    members = [member for member in typing.get_args(inner) if member is not type(None)]
    return branches(members[0]) if len(members) == 1 else members


def is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def row_of(hint: Any) -> Row | None:
    return next((entry for entry in metadata(hint) if isinstance(entry, Row)), None)


def choices_of(hint: Any) -> tuple[str, ...]:
    """The words that `hint` allows, for guessing what a user meant; empty where any text is allowed."""
    row = row_of(hint)
    if row:
        return registries.names(row.table)
    inner = bare(hint)
    if typing.get_origin(inner) is Literal:
        return tuple(str(value) for value in typing.get_args(inner))
    members = branches(hint)
    return tuple(word for member in members for word in choices_of(member)) if members != [hint] else ()


def allowed(hint: Any) -> str:
    """`a whole number of at least 1`, `sgd, rmsprop, adam, adamw`, `none or a mapping with the keys run, until`, …"""
    said = next((entry.text for entry in metadata(hint) if isinstance(entry, Allowed)), None)
    if said:
        return said
    row = row_of(hint)
    if row:
        return _listed(registries.names(row.table))
    inner = bare(hint)
    origin = typing.get_origin(inner)
    if origin in (Union, types.UnionType):
        return " or ".join(allowed(member) for member in typing.get_args(inner))
    if origin is Literal:
        return _listed(tuple(str(value) for value in typing.get_args(inner)))
    if origin is list:
        return f"a list, each item {allowed(typing.get_args(inner)[0])}"
    if origin is dict:
        return f"a mapping from text to {allowed(typing.get_args(inner)[1])}"
    if is_section(inner):
        return f"a mapping with the keys {', '.join(inner.model_fields)}"
    return PLAIN.get(inner, "text") + _bounds(hint)


def _bounds(hint: Any) -> str:
    said = [
        words.format(_plain(getattr(entry, name)))
        for kind, name, words in BOUNDS
        for entry in metadata(hint)
        if isinstance(entry, kind)
    ]
    if any(isinstance(entry, annotated_types.MinLen) for entry in metadata(hint)):
        said.append("that is not empty")
    return f" {' and '.join(said)}" if said else ""


def _plain(number: float) -> str:
    return "2147483648" if number == 2**31 else f"{number:g}"


def _listed(names: tuple[str, ...]) -> str:
    if len(names) <= SHOWN:
        return ", ".join(names)
    return f"{first_of(names, SHOWN - 4)} (transfercli config schema lists them)"
