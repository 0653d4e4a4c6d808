"""Tables whose row names are the choices of a config key.

The tables are defined beside the code of their rows (`models/bases.py`, `training/optim/optimizers.py`, …), which
imports Keras only when a row is used. Importing a table when a config is checked lets `config` depend on no other
package, and keeps each list of choices in one place.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

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
    "metric": ("transfercli.evaluation.metrics.registry", "METRICS"),
    "format": ("transfercli.export.formats.registry", "FORMATS"),
}


def rows(table: str) -> Any:
    """Return a table: a mapping from names to rows, or a sequence of names."""
    module, attribute = TABLES[table]
    return getattr(import_module(module), attribute)


def names(table: str) -> tuple[str, ...]:
    """Return the row names of a table, in its order."""
    return tuple(rows(table))


def row_name(table: str, text: str) -> str | None:
    """Return the row that a text names, or None.

    Other programs write the same names with capitals, dashes or underscores, such as `EfficientNetB0`,
    `efficientnet_b0` and `resnet-50`: only letters and digits count, unless the text is a name as it stands.
    """
    allowed = names(table)
    if text in allowed:
        return text
    same = [name for name in allowed if _letters(name) == _letters(text)]
    return same[0] if len(same) == 1 else None


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
