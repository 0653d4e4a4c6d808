"""Allowed values of the schema's keys, in words and as lists of choices, derived from the annotations.

Error messages and `docs/reference/config.md` both use these functions, so that neither contradicts the schema.
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
from transfercli.config.types import Allowed, RowName
from transfercli.text import first_of

MAX_LISTED = 12  # names of a table in one text
SCHEMA_COMMAND = "transfercli config schema"
BOUNDS = (
    (annotated_types.Gt, "gt", "above {}"),
    (annotated_types.Ge, "ge", "of at least {}"),
    (annotated_types.Lt, "lt", "below {}"),
    (annotated_types.Le, "le", "at most {}"),
)
TYPE_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
}


@functools.cache
def hints(model: type[BaseModel]) -> dict[str, Any]:
    """Return the annotation of each key of a section, with its metadata."""
    return {
        name: hint
        for name, hint in typing.get_type_hints(model, include_extras=True).items()
        if name in model.model_fields
    }


def metadata(hint: Any) -> list[Any]:
    """Return the metadata of an `Annotated` hint; a pydantic `Field` is replaced by the bounds that it holds."""
    entries: list[Any] = []
    if typing.get_origin(hint) is Annotated:
        for entry in hint.__metadata__:
            entries.extend(entry.metadata if isinstance(entry, FieldInfo) else [entry])
    return entries


def unannotated(hint: Any) -> Any:
    """Return the type inside `Annotated`, or the hint itself."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def branches(hint: Any) -> list[Any]:
    """Return the members of a union without null; the hint itself if it is not a union."""
    inner = unannotated(hint)
    if typing.get_origin(inner) not in (Union, types.UnionType):
        return [hint]
    members = [member for member in typing.get_args(inner) if member is not type(None)]
    return branches(members[0]) if len(members) == 1 else members


def is_section(hint: Any) -> bool:
    """Return True if the hint is a section of the schema."""
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def row_of(hint: Any) -> RowName | None:
    """Return the annotation of a key that names a row of a table, or None."""
    return next((entry for entry in metadata(hint) if isinstance(entry, RowName)), None)


def tables_of(hint: Any) -> tuple[str, ...]:
    """Return the tables whose rows `hint` allows, in any branch of a union."""
    row = row_of(hint)
    if row:
        return (row.table,)
    members = branches(hint)
    return tuple(table for member in members for table in tables_of(member)) if members != [hint] else ()


def choices_of(hint: Any) -> tuple[str, ...]:
    """Return the texts that `hint` allows, for suggestions; empty if any text is allowed."""
    row = row_of(hint)
    if row:
        return registries.names(row.table)
    inner = unannotated(hint)
    if typing.get_origin(inner) is Literal:
        return tuple(str(value) for value in typing.get_args(inner))
    members = branches(hint)
    return tuple(word for member in members for word in choices_of(member)) if members != [hint] else ()


def allowed(hint: Any) -> str:
    """Return the allowed values in words.

    Examples: `a whole number of at least 1`; `sgd, rmsprop, adam, adamw`; `none or a mapping with the keys run, until`.
    """
    text = next((entry.text for entry in metadata(hint) if isinstance(entry, Allowed)), None)
    if text:
        return text
    row = row_of(hint)
    if row:
        return _listed(registries.names(row.table), listed_by(row.table))
    inner = unannotated(hint)
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
    return TYPE_NAMES.get(inner, "text") + _bounds(hint)


def listed_by(table: str) -> str:
    """Return the command that lists the rows of a table."""
    return registries.LISTED_BY.get(table, SCHEMA_COMMAND)


def _bounds(hint: Any) -> str:
    bounds = [
        text.format(_plain(getattr(entry, name)))
        for kind, name, text in BOUNDS
        for entry in metadata(hint)
        if isinstance(entry, kind)
    ]
    if any(isinstance(entry, annotated_types.MinLen) for entry in metadata(hint)):
        bounds.append("that is not empty")
    return f" {' and '.join(bounds)}" if bounds else ""


def _plain(number: float) -> str:
    return "2147483648" if number == 2**31 else f"{number:g}"


def _listed(names: tuple[str, ...], command: str = SCHEMA_COMMAND) -> str:
    if len(names) <= MAX_LISTED:
        return ", ".join(names)
    return f"{first_of(names, MAX_LISTED - 4)} ({command} lists them)"
