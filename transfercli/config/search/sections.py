"""Sections in the space of a sweep: `training: {epochs: {choice: [5, 10]}}` is the key `training.epochs`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transfercli.config.locations import Document, KeyPath, Place, Problem

SPACE: KeyPath = ("sweep", "space")
SEARCH_FORMS = ("choice", "log", "range", "step")  # keys below a key of the space; no key of a training has these names


def dot_keys(document: Document) -> None:
    """Replace the sections in the space by keys with dots; a key that stands in both forms is a problem."""
    sweep = document.value.get("sweep")
    space = sweep.get("space") if isinstance(sweep, dict) else None
    if not isinstance(space, dict) or not any(map(_is_section, space.values())):
        return
    dotted: dict[str, Any] = {}
    places: dict[KeyPath, Place] = {}
    for path, entry in _entries(space):
        key, old = ".".join(path), (*SPACE, *path)
        if key in dotted:
            first = places[(*SPACE, key)].key
            message = f"is given twice, first at {first}"
            document.problems.append(Problem(document.places[old].key, message, (*SPACE, key)))
            continue
        dotted[key] = entry
        below = {place: mark for place, mark in document.places.items() if place[: len(old)] == old}
        places |= {(*SPACE, key, *place[len(old) :]): mark for place, mark in below.items()}
    for place in [place for place in document.places if place[:2] == SPACE and len(place) > 2]:
        del document.places[place]
    document.places.update(places)
    sweep["space"] = dotted


def _is_section(entry: Any) -> bool:
    """Return True for a mapping of keys, not of the forms of one key's values."""
    if not isinstance(entry, dict) or any(form in entry for form in SEARCH_FORMS):
        return False
    return any(isinstance(inner, dict) for inner in entry.values())


def _entries(section: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (path, values) of each key below a section."""
    for key, entry in section.items():
        if _is_section(entry):
            yield from _entries(entry, (*above, key))
        else:
            yield (*above, key), entry
