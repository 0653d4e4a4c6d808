"""Names of a table's rows, asked for when a config is checked.

The tables live where their rows work (`models/bases.py`, `training/optim/optimizers.py`, …) and import Keras
only inside a row. Asking late keeps `config` at the bottom of the house, and each list of choices in one place.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

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
    """`table` itself: a mapping, or a sequence of names."""
    module, attribute = TABLES[table]
    return getattr(import_module(module), attribute)


def names(table: str) -> tuple[str, ...]:
    """The row names of `table`, in the table's order."""
    return tuple(rows(table))
