"""Messages for pydantic's errors: one a key, with the value received and the values allowed."""

from __future__ import annotations

import functools
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from transfercli.config import descriptions, key_aliases, registries, strict_yaml
from transfercli.config.locations import KeyPath, Mark, Place, Problem
from transfercli.config.schema import ExperimentConfig
from transfercli.text import nearest

RANGE = re.compile(r"(greater|less)_than|too_(short|long)")
YAML_1_1_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True)
class SchemaLocation:
    """Location of an error in the schema.

    Attributes:
        hint: the annotation of the key.
        is_key: True if the key itself is invalid, not its value.
        is_union: True if the value fits no branch of a union.
    """

    path: KeyPath
    hint: Any
    is_key: bool = False
    is_union: bool = False


def explain(error: ValidationError, data: Any, places: Mapping[KeyPath, Place]) -> list[Problem]:
    """Return one problem a key, also if several branches of a union failed for it."""
    problems: dict[KeyPath, Problem] = {}
    for details in error.errors(include_url=False):
        location = locate(details["loc"], data)
        if location is None or (location.path in problems and location.is_union):
            continue
        for path, message in _messages(location, details, data):
            problems.setdefault(path, Problem(mark_of(path, places, details["type"]), message, path))
    return list(problems.values())


def mark_of(path: KeyPath, places: Mapping[KeyPath, Place], kind: str = "") -> Mark:
    """Return the position of a key, or of the nearest mapping around it if the key is missing."""
    while path not in places and path:
        path, kind = path[:-1], "missing"
    place = places[path]
    return place.key if path or kind != "missing" else place.value


def value_at(path: KeyPath, data: Any) -> Any:
    """Return the value at a key path, or None if it is missing."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def locate(loc: tuple[int | str, ...], data: Any) -> SchemaLocation | None:
    """Return the schema location for pydantic's `loc`, which also names branches of unions.

    None if the error belongs to a branch of a union that the user did not mean.
    """
    path: KeyPath = ()
    hint: Any = ExperimentConfig
    for position, part in enumerate(loc):
        members = descriptions.branches(hint)
        if len(members) > 1:
            value = value_at(path, data)
            branch = intended_branch(members, value)
            if branch is None:
                return SchemaLocation(path, hint, is_union=True)
            name = getattr(branch, "__name__", None)
            # pydantic writes `function-after[check(), Section]` for a section that checks itself
            if part != name and not str(part).startswith("dict[") and not str(part).endswith(f", {name}]"):
                return None
            hint = branch
            continue
        inner = descriptions.unannotated(members[0])
        arguments = typing.get_args(inner)
        if descriptions.is_section(inner):
            if part not in inner.model_fields:
                return SchemaLocation((*path, part), inner)
            hint = descriptions.hints(inner)[str(part)]
        elif typing.get_origin(inner) is dict and loc[position + 1 : position + 2] == ("[key]",):
            return SchemaLocation((*path, part), arguments[0], is_key=True)
        elif arguments:
            hint = arguments[-1]
        path = (*path, part)
    return SchemaLocation(path, hint, is_union=len(descriptions.branches(hint)) > 1)


def intended_branch(members: list[Any], value: Any) -> Any:
    """Return the branch of a union that a mapping is meant for: the section with the keys most like those given."""
    if not isinstance(value, dict):
        return None
    sections = [member for member in members if descriptions.is_section(member)]
    if not sections:
        return next((member for member in members if typing.get_origin(member) is dict), None)

    def fit(section: Any) -> int:
        fields = tuple(section.model_fields)
        return sum(2 * (key in fields) + (nearest(key, fields) is not None) for key in value)

    return max(sections, key=fit)


def _messages(location: SchemaLocation, details: Any, data: Any) -> list[tuple[KeyPath, str]]:
    kind = details["type"]
    if kind == "missing":
        return _missing(location)
    if kind == "extra_forbidden":
        return [(location.path, unknown_key(str(location.path[-1]), location.hint))]
    value = location.path[-1] if location.is_key else value_at(location.path, data)
    if descriptions.is_section(descriptions.unannotated(location.hint)) and kind == "value_error":
        return [(location.path, str(details["ctx"]["error"]))]
    return [(location.path, wrong_value(_reason(location, details, value), value, location.hint))]


def _missing(location: SchemaLocation) -> list[tuple[KeyPath, str]]:
    """Return a message for a missing key; for a missing section, one for each of its required keys."""
    section = descriptions.unannotated(location.hint)
    if not descriptions.is_section(section):
        return [(location.path, f"is missing; allowed: {descriptions.allowed(location.hint)}")]
    hints = descriptions.hints(section)
    fields: dict[str, FieldInfo] = section.model_fields
    return [
        message
        for name, field in fields.items()
        if field.is_required()
        for message in _missing(SchemaLocation((*location.path, name), hints[name]))
    ]


def _reason(location: SchemaLocation, details: Any, value: Any) -> str:
    kind = details["type"]
    if kind == "value_error" and not location.is_union:
        return str(details["ctx"]["error"])
    if value is None:
        return "cannot be null"
    if value == "" or (value in ([], {}) and "too_short" in kind):
        return "is empty"
    if kind == "literal_error" or (location.is_union and descriptions.choices_of(location.hint)):
        return "is not one of the choices"
    if RANGE.search(kind):
        return "is out of range"
    return "is not allowed here" if location.is_union else "is the wrong kind of value"


def wrong_value(reason: str, value: Any, hint: Any) -> str:
    """Return a message such as `is out of range, received 0; allowed: a whole number of at least 1`."""
    return f"{reason}, received {format_value(value)}; allowed: {descriptions.allowed(hint)}{_guess(value, hint)}"


def _guess(value: Any, hint: Any) -> str:
    if isinstance(value, str):
        if any(registries.rows_meant(table, value) for table in descriptions.tables_of(hint)):  # several: one is valid
            return f"; {registries.hint(descriptions.tables_of(hint)[0], value)}"
        near = nearest(value, descriptions.choices_of(hint)) or _other_kind(value, hint)
        return f"; did you mean {near}?" if near else ""
    if isinstance(value, (int, float)) and descriptions.allowed(hint).startswith("text"):
        return f'; did you mean "{format_value(value)}", in quotes?'
    return ""


def _other_kind(value: str, hint: Any) -> str | None:
    """Suggest removing quotes from a number, or true/false for words that YAML 1.1 reads as booleans."""
    inner = descriptions.unannotated(descriptions.branches(hint)[0])
    if inner is bool:
        return YAML_1_1_BOOLEANS.get(value.lower())
    try:
        is_number = isinstance(strict_yaml.scalar(value), (int, float)) and inner in (int, float)
    except ValueError:
        return None
    return f"{value}, without quotes" if is_number else None


def unknown_key(key: str, section: Any) -> str:
    """Return a message with the key that is meant: of this name in another section, of another program, or nearest."""
    fields = tuple(section.model_fields)
    plain = key.lower().replace("-", "_")
    elsewhere = _elsewhere(plain)
    near = elsewhere or nearest(key, fields)
    guess = "" if elsewhere else key_aliases.meaning(plain)
    guess = guess or (f"did you mean {near}?" if near else "")
    return f"is not a known key; allowed: {', '.join(fields)}{guess and '; '}{guess}"


def key_named(name: str) -> str | None:
    """Return the path of the key of this name in any section, or of the key that other programs name so, or None."""
    plain = name.lower().replace("-", "_")
    return _elsewhere(plain) or key_aliases.key_of(plain)


@functools.cache
def _elsewhere(key: str, section: Any = ExperimentConfig, above: str = "") -> str | None:
    """Return the path of a key of this name in any section, or None."""
    for name, hint in descriptions.hints(section).items():
        inner = descriptions.branches(hint)
        if name == key:
            return f"{above}{name}"
        path = (
            _elsewhere(key, inner[0], f"{above}{name}.")
            if len(inner) == 1 and descriptions.is_section(inner[0])
            else None
        )
        if path:
            return path
    return None


def format_value(value: Any) -> str:
    """Return a value as JSON text of at most 58 characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
