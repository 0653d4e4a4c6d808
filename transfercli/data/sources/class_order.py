"""Order of classes that are steps of a scale, such as grades, from the lowest to the highest."""

from __future__ import annotations

from collections.abc import Sequence

from transfercli.data.sources.labels import find_label, shown
from transfercli.errors import ConfigError


def in_order(labels: Sequence[str], order: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes in their order: `order`, or that of their numbers.

    Raises `ConfigError` if `order` is not of these classes, or if it is missing and a name is not a number.
    """
    if order is None:
        try:
            return tuple(sorted(labels, key=float))
        except ValueError:
            raise ConfigError(
                f"task: ordinal needs the order of the classes, and their names are not all numbers: {_names(labels)}",
                "set data.order to these names, from the lowest to the highest: data.order: [LOWEST, …, HIGHEST]",
            ) from None
    named = [find_label(name, labels) or name for name in order]
    unknown, missing = [name for name in named if name not in labels], [name for name in labels if name not in named]
    if unknown or missing or len(set(named)) != len(named):
        problems = [
            f"{text} {_names(names)}" for text, names in (("no class is named", unknown), ("without", missing)) if names
        ]
        raise ConfigError(
            f"data.order: {' and '.join(problems) or 'a class is named twice'}; the classes are {_names(labels)}",
            "name every class once, from the lowest to the highest",
        )
    return tuple(named)


def _names(labels: Sequence[str]) -> str:
    return ", ".join(shown(label, labels) for label in labels)
