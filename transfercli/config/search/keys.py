"""Keys that a sweep may search over: their place in the schema, and the reason why some are refused."""

from __future__ import annotations

import functools
import typing
from typing import Any

from pydantic import TypeAdapter, ValidationError

from transfercli.config import descriptions
from transfercli.config.differing_keys import IMAGE_KEYS, is_below
from transfercli.config.error_messages import key_named, unknown_key
from transfercli.config.schema import ExperimentConfig
from transfercli.text import nearest

OTHER_IMAGES = "trials that learn from or are judged by different images cannot be compared; run a sweep for each"
REFUSED = {
    "name": "all trials are runs of one experiment",
    "sweep": "a trial is one set of values, without a sweep of its own",
    "training.seeds": "a trial is one training; seed may be in the space",
    "model.members": "merge makes an average of several networks from trained runs",
    **dict.fromkeys((*IMAGE_KEYS, "data.expect", "data.max_megapixels", "data.max_bad_fraction"), OTHER_IMAGES),
}


class UnknownKeyError(Exception):
    """Raised for a key that the schema does not have; the text says what is allowed."""


def refusal(key: str) -> str | None:
    """Return why a key, or a key above or below it, cannot be in a space; None if it can."""
    for refused, reason in REFUSED.items():
        if is_below(key, [refused]):
            return f"cannot be in the space: {reason}"
        if is_below(refused, [key]):
            return f"cannot be in the space as it holds {refused}: {reason}"
    return None


def hint_of(key: str) -> Any:
    """Return the annotation of a key such as `model.head.hidden`. Raises `UnknownKeyError`."""
    hint: Any = ExperimentConfig
    parts = key.split(".")
    for depth, part in enumerate(parts):
        below = _below(hint, part)
        if below is None:
            raise UnknownKeyError(_unknown(key, hint, parts[:depth], part))
        hint = below
    return hint


def _below(hint: Any, part: str) -> Any | None:
    """Return the annotation of a key below another, or None."""
    for member in descriptions.branches(hint):
        inner = descriptions.unannotated(member)
        if descriptions.is_section(inner) and part in inner.model_fields:
            return descriptions.hints(inner)[part]
        if typing.get_origin(inner) is dict:
            return typing.get_args(inner)[1]
    return None


def _unknown(key: str, hint: Any, above: list[str], part: str) -> str:
    members = [descriptions.unannotated(member) for member in descriptions.branches(hint)]
    if any(typing.get_origin(member) is list for member in members):
        name = ".".join(above)
        return f"is not a known key: {name} is a list; give {name} with whole lists as choices"
    named = _meant(key, part)
    if named:
        return f"is not a known key; did you mean {named}?"
    section = next((member for member in members if descriptions.is_section(member)), None)
    if section is None:
        return f"is not a known key: {'.'.join(above)} has no keys below it"
    return unknown_key(part, section)


def _meant(key: str, part: str) -> str | None:
    """Return the key that is meant: the end of one key, the name of a key elsewhere, or the nearest spelling."""
    known = all_keys()
    ends = [name for name in known if name.endswith(f".{key}")]
    if len(ends) == 1:
        return ends[0]
    last = key.rpartition(".")[2]
    elsewhere = key_named(last) or key_named(part)
    if elsewhere and refusal(elsewhere) is None:
        return elsewhere
    return nearest(key, known)


@functools.cache
def all_keys() -> tuple[str, ...]:
    """Return every key that may be in a space, with the keys above it, in the order of the schema."""
    return tuple(key for key in _keys_below(ExperimentConfig, "") if refusal(key) is None)


def _keys_below(section: Any, above: str) -> typing.Iterator[str]:
    for name, hint in descriptions.hints(section).items():
        yield f"{above}{name}"
        for member in descriptions.branches(hint):
            if descriptions.is_section(descriptions.unannotated(member)):
                yield from _keys_below(descriptions.unannotated(member), f"{above}{name}.")


def takes_whole_numbers_only(hint: Any, low: float, high: float) -> bool:
    """Return True if no fraction between two numbers is allowed, as of a number of epochs."""
    between = low + (high - low) * 0.381966
    if between == int(between):
        between = low + (high - low) * 0.29289
    return validated(hint, float(between)) is None


def validated(hint: Any, value: Any) -> tuple[Any] | None:
    """Return the value as the schema holds it, in a tuple; None if it is not allowed."""
    try:
        return (_adapter(hint).validate_python(value),)
    except ValidationError:
        return None


def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)
