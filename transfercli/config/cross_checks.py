"""Rules that join several keys. They read the plain values, so they are reported together with all other errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from transfercli.config import registries
from transfercli.config.error_messages import at, mark_of, shown
from transfercli.config.locations import Document, KeyPath, Problem
from transfercli.config.schema import DataConfig
from transfercli.config.types import bound_of, is_gate
from transfercli.text import did_you_mean

Found = Iterator[tuple[KeyPath, str]]

# What comes with later versions: (the key, its values that wait; None is every text, what is allowed until then).
NOT_YET: tuple[tuple[KeyPath, tuple[str, ...] | None, str], ...] = (
    (("compute", "distribution"), ("data_parallel",), "none"),
)
FOLDS = {"folds": "how many folds there are", "fold": "which fold validates, from 1"}
LINEAR_HEADS = ("linear_probe", "auto")
PER_CLASS = re.compile(r"(recall|precision|f1)\[.+\]")


def check(document: Document) -> list[Problem]:
    """Every rule over the whole config."""
    return [
        Problem(mark_of(path, document.places), message, path)
        for rule in RULES
        for path, message in rule(document.value)
    ]


def _not_yet(data: Any) -> Found:
    for path, later, works in NOT_YET:
        value = at(path, data)
        if isinstance(value, str) and (later is None or value in later):
            yield path, f"{shown(value)} is not available in this version; allowed: {works}"


def _phases_alone(data: Any) -> Found:
    if at(("transfer", "phases"), data) is None:
        return
    for key in ("strategy", "unfreeze"):
        if at(("transfer", key), data) is not None:
            yield ("transfer", key), "cannot stand beside phases, which say it all; remove one of the two"


def _folds(data: Any) -> Found:
    folds, fold = (at(("data", key), data) for key in ("folds", "fold"))
    if (folds is None) != (fold is None):
        key, other = ("folds", "fold") if fold is None else ("fold", "folds")
        yield ("data", key), f"needs data.{other}: {FOLDS[other]}"
    elif type(folds) is int and type(fold) is int and fold > folds >= 2:
        yield ("data", "fold"), f"is out of range, received {shown(fold)}; allowed: 1 to {folds} (data.folds)"
    validation = at(("data", "validation"), data)
    usual = DataConfig.model_fields["validation"].default  # a run's own config.yaml writes it out
    if folds is not None and validation not in (None, usual):
        yield ("data", "validation"), "cannot stand beside folds, of which one validates; remove one of the two"


def _linear_head(data: Any) -> Found:
    strategy = at(("transfer", "strategy"), data)
    hidden = at(("model", "head", "hidden"), data)
    if strategy in LINEAR_HEADS and isinstance(hidden, list) and hidden:
        message = f"the strategy {strategy} puts a linear head on the base, received {shown(hidden)}; allowed: []"
        yield ("model", "head", "hidden"), message


def _head_from_run(data: Any) -> Found:
    init = at(("model", "head", "init"), data)
    if init in ("keep", "extend") and at(("model", "weights", "run"), data) is None:
        yield (
            ("model", "head", "init"),
            f"{shown(init)} needs the head of an earlier run: set model.weights to {{run: RUN}}",
        )


def unpublished(base: Any) -> str | None:
    """Why this base cannot have the weights imagenet; None where it can, or where it is no base."""
    row = registries.rows("base").get(base) if isinstance(base, str) else None
    if row is None or row.has_imagenet:
        return None
    return (
        f"there are no published weights for {base}; allowed: none (with transfer.strategy: scratch), {{run: RUN}} or"
        " {path: FILE}"
    )


def _published_weights(data: Any) -> Found:
    """What can never work, whatever the command; `pretrain` alone trains from scratch where nothing is said."""
    weights, strategy = at(("model", "weights"), data), at(("transfer", "strategy"), data)
    from_weights = [name for name in registries.names("strategy") if name != "scratch"]
    fixed = strategy in from_weights or at(("transfer", "phases"), data) is not None
    reason = unpublished(at(("model", "base"), data))
    if reason and (weights == "imagenet" or (weights is None and fixed)):
        yield ("model", "weights"), reason


def _unfreeze_partial(data: Any) -> Found:
    if at(("transfer", "unfreeze"), data) is None or at(("transfer", "phases"), data) is not None:
        return
    strategy = at(("transfer", "strategy"), data)
    if strategy != "partial":
        said = shown(strategy) if strategy else "no strategy"
        yield (
            ("transfer", "unfreeze"),
            f"belongs to the strategy partial, received {said}; set transfer.strategy: partial",
        )


def _gates(data: Any) -> Found:
    gates = at(("evaluation", "gates"), data)
    if not isinstance(gates, dict) or not gates:
        return
    metrics, names = registries.rows("metric"), registries.names("metric")
    for name, gate in gates.items():
        of_one_class = PER_CLASS.fullmatch(name)
        row = metrics.get(f"macro_{of_one_class[1]}" if of_one_class else name)
        if row is None:
            guess = did_you_mean(name, names, written=str)
            listed = f"{', '.join(names)}, recall[LABEL], precision[LABEL], f1[LABEL]"
            yield ("evaluation", "gates", name), f"is not a known metric; allowed: {listed}{guess and f'; {guess}'}"
        elif is_gate(gate) and bound_of(gate) not in row.bounds:
            yield (
                ("evaluation", "gates", name),
                f"is out of range, received {shown(gate)}; allowed: a bound {row.bounds}",
            )


def _large_enough(data: Any) -> Found:
    name = at(("model", "base"), data)
    size = at(("data", "image_size"), data)
    base = registries.rows("base").get(name) if isinstance(name, str) else None
    sides = [side for side in (size if isinstance(size, list) else [size]) if type(side) is int and side >= 8]
    if base and sides and min(sides) < base.minimum:
        message = f"is too small for {name}, received {shown(size)}; allowed: at least {base.minimum} pixels a side"
        yield ("data", "image_size"), message


RULES: tuple[Callable[[Any], Found], ...] = (
    _not_yet,
    _phases_alone,
    _folds,
    _linear_head,
    _head_from_run,
    _published_weights,
    _unfreeze_partial,
    _gates,
    _large_enough,
)
