"""Tables whose row names are the choices of a config key.

The tables are defined beside the code of their rows (`models/bases.py`, `training/optim/optimizers.py`, …), which
imports Keras only when a row is used. Importing a table when a config is checked lets `config` depend on no other
package, and keeps each list of choices in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from transfercli.text import did_you_mean

# Command that lists the rows of a table; used if there are too many for a message.
LISTED_BY = {"base": "transfercli bases list"}
TABLES = {
    "base": ("transfercli.models.bases", "BASES"),
    "strategy": ("transfercli.transfer.strategies", "STRATEGIES"),
    "optimizer": ("transfercli.training.optim.optimizers", "OPTIMIZERS"),
    "loss": ("transfercli.training.optim.losses", "LOSSES"),
    "schedule": ("transfercli.training.optim.schedules", "SCHEDULES"),
    "augmentation": ("transfercli.data.batching.augment", "PRESETS"),
    "augmentation layer": ("transfercli.data.batching.augment", "LAYERS"),
    "metric": ("transfercli.evaluation.metric_tables", "ALL_METRICS"),
    "task": ("transfercli.evaluation.metric_tables", "METRIC_TABLES"),
    "format": ("transfercli.export.formats.registry", "FORMATS"),
}
# Tables whose rows have names in other libraries as well: the function that returns the rows that a text may name.
OTHER_NAMES = {"base": ("transfercli.models.base_names", "bases_named")}


def rows(table: str) -> Any:
    """Return a table: a mapping from names to rows, or a sequence of names."""
    module, attribute = TABLES[table]
    return getattr(import_module(module), attribute)


def names(table: str) -> tuple[str, ...]:
    """Return the row names of a table, in its order."""
    return tuple(rows(table))


def row_name(table: str, text: str) -> str | None:
    """Return the row that a text names, or None if it names none or several."""
    meant = rows_meant(table, text)
    return meant[0] if len(meant) == 1 else None


def rows_meant(table: str, text: str) -> tuple[str, ...]:
    """Return the rows that a text may name: none, one, or several if it is ambiguous.

    Other programs write the same names with capitals, dashes or underscores, such as `EfficientNetB0`,
    `efficientnet_b0` and `resnet-50`: only letters and digits count, unless the text is a name as it stands. Some
    tables also know the names of other libraries.
    """
    if table in OTHER_NAMES:
        module, function = OTHER_NAMES[table]
        meant: tuple[str, ...] = getattr(import_module(module), function)(text)
        return meant
    allowed = names(table)
    return (text,) if text in allowed else tuple(name for name in allowed if letters(name) == letters(text))


def hint(table: str, text: str, *, written: Callable[[str], str] = str) -> str:
    """Return `did you mean resnet50?` for a text that names no row, the rows for an ambiguous one, or ""."""
    meant = rows_meant(table, text)
    if meant:
        return f"it may be {', '.join(map(written, meant))}: name one of them"
    return did_you_mean(text, names(table), written=written)


def base_families() -> tuple[str, ...]:
    """Return the families of the bases, by name."""
    return tuple(sorted({row.family for row in rows("base").values()}, key=str.casefold))


def base_family(text: str) -> str | None:
    """Return the family that a text names, whatever its capitals and punctuation, or None."""
    return next((family for family in base_families() if letters(family) == letters(text)), None)


def letters(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return "".join(character for character in name.casefold() if character.isalnum())
