"""Turns what pydantic found into messages for people: one a key, with what was received and what is allowed."""

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

from transfercli.config import descriptions, strict_yaml
from transfercli.config.locations import KeyPath, Mark, Place, Problem
from transfercli.config.schema import ExperimentConfig
from transfercli.text import nearest

RANGE = re.compile(r"(greater|less)_than|too_(short|long)")
MEANT = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@dataclass(frozen=True)
class Spot:
    """Where in the schema an error lies: the key, its annotation, whether it failed all branches of a union."""

    path: KeyPath
    hint: Any
    is_key: bool = False
    is_union: bool = False


def explain(error: ValidationError, data: Any, places: Mapping[KeyPath, Place]) -> list[Problem]:
    """One problem a key, however many branches of a union failed for it."""
    problems: dict[KeyPath, Problem] = {}
    for details in error.errors(include_url=False):
        spot = locate(details["loc"], data)
        if spot is None or (spot.path in problems and spot.is_union):
            continue
        for path, message in _messages(spot, details, data):
            problems.setdefault(path, Problem(mark_of(path, places, details["type"]), message, path))
    return list(problems.values())


def mark_of(path: KeyPath, places: Mapping[KeyPath, Place], kind: str = "") -> Mark:
    """The place of a key, or of the nearest mapping around it where it is not there."""
    while path not in places and path:
        path, kind = path[:-1], "missing"
    place = places[path]
    return place.key if path or kind != "missing" else place.value


def at(path: KeyPath, data: Any) -> Any:
    """The value at a key path, or None where there is none."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def locate(loc: tuple[int | str, ...], data: Any) -> Spot | None:
    """Follow pydantic's location through the schema, whose names of union branches are no keys of the user's.

    None where the error belongs to a branch of a union that the user did not mean.
    """
    path: KeyPath = ()
    hint: Any = ExperimentConfig
    for position, part in enumerate(loc):
        members = descriptions.branches(hint)
        if len(members) > 1:
            value = at(path, data)
            meant = meant_branch(members, value)
            if meant is None:
                return Spot(path, hint, is_union=True)
            if part != getattr(meant, "__name__", None) and not str(part).startswith("dict["):
                return None
            hint = meant
            continue
        inner = descriptions.bare(members[0])
        arguments = typing.get_args(inner)
        if descriptions.is_section(inner):
            if part not in inner.model_fields:
                return Spot((*path, part), inner)
            hint = descriptions.hints(inner)[str(part)]
        elif typing.get_origin(inner) is dict and loc[position + 1 : position + 2] == ("[key]",):
            return Spot((*path, part), arguments[0], is_key=True)
        elif arguments:
            hint = arguments[-1]
        path = (*path, part)
    return Spot(path, hint, is_union=len(descriptions.branches(hint)) > 1)


def meant_branch(members: list[Any], value: Any) -> Any:
    """Which branch of a union a mapping was meant for: the section whose keys are nearest to the keys given."""
    if not isinstance(value, dict):
        return None
    sections = [member for member in members if descriptions.is_section(member)]
    if not sections:
        return next((member for member in members if typing.get_origin(member) is dict), None)

    def fit(section: Any) -> int:
        fields = tuple(section.model_fields)
        return sum(2 * (key in fields) + (nearest(key, fields) is not None) for key in value)

    return max(sections, key=fit)


def _messages(spot: Spot, details: Any, data: Any) -> list[tuple[KeyPath, str]]:
    kind = details["type"]
    if kind == "missing":
        return _missing(spot)
    if kind == "extra_forbidden":
        return [(spot.path, unknown_key(str(spot.path[-1]), spot.hint))]
    value = spot.path[-1] if spot.is_key else at(spot.path, data)
    if descriptions.is_section(descriptions.bare(spot.hint)) and kind == "value_error":
        return [(spot.path, str(details["ctx"]["error"]))]
    return [(spot.path, wrong(_what(spot, details, value), value, spot.hint))]


def _missing(spot: Spot) -> list[tuple[KeyPath, str]]:
    """A missing section is told as the keys that it must hold."""
    section = descriptions.bare(spot.hint)
    if not descriptions.is_section(section):
        return [(spot.path, f"is missing; allowed: {descriptions.allowed(spot.hint)}")]
    hints = descriptions.hints(section)
    fields: dict[str, FieldInfo] = section.model_fields
    return [
        message
        for name, field in fields.items()
        if field.is_required()
        for message in _missing(Spot((*spot.path, name), hints[name]))
    ]


def _what(spot: Spot, details: Any, value: Any) -> str:
    kind = details["type"]
    if kind == "value_error" and not spot.is_union:
        return str(details["ctx"]["error"])
    if value is None:
        return "cannot be null"
    if value == "" or (value in ([], {}) and "too_short" in kind):
        return "is empty"
    if kind == "literal_error" or (spot.is_union and descriptions.choices_of(spot.hint)):
        return "is not one of the choices"
    if RANGE.search(kind):
        return "is out of range"
    return "is not allowed here" if spot.is_union else "is the wrong kind of value"


def wrong(what: str, value: Any, hint: Any) -> str:
    """`is out of range, received 0; allowed: a whole number of at least 1`."""
    return f"{what}, received {shown(value)}; allowed: {descriptions.allowed(hint)}{_guess(value, hint)}"


def _guess(value: Any, hint: Any) -> str:
    if isinstance(value, str):
        near = nearest(value, descriptions.choices_of(hint)) or _other_kind(value, hint)
        return f"; did you mean {near}?" if near else ""
    if isinstance(value, (int, float)) and descriptions.allowed(hint).startswith("text"):
        return f'; did you mean "{shown(value)}", in quotes?'
    return ""


def _other_kind(value: str, hint: Any) -> str | None:
    """A number in quotes, or one of the words that older YAML takes for true or false."""
    inner = descriptions.bare(descriptions.branches(hint)[0])
    if inner is bool:
        return MEANT.get(value.lower())
    try:
        is_number = isinstance(strict_yaml.scalar(value), (int, float)) and inner in (int, float)
    except ValueError:
        return None
    return f"{value}, without quotes" if is_number else None


def unknown_key(key: str, section: Any) -> str:
    """Says which key of `section` is nearest, or where in the config this key does stand."""
    fields = tuple(section.model_fields)
    near = nearest(key, fields) or _elsewhere(key)
    guess = f"; did you mean {near}?" if near else ""
    return f"is not a known key; allowed: {', '.join(fields)}{guess}"


@functools.cache
def _elsewhere(key: str, section: Any = ExperimentConfig, above: str = "") -> str | None:
    for name, hint in descriptions.hints(section).items():
        inner = descriptions.branches(hint)
        if name == key:
            return f"{above}{name}"
        found = (
            _elsewhere(key, inner[0], f"{above}{name}.")
            if len(inner) == 1 and descriptions.is_section(inner[0])
            else None
        )
        if found:
            return found
    return None


def shown(value: Any) -> str:
    """A value as short text: what the user wrote, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
