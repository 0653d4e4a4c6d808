"""Gates: bounds on a metric of the whole split or of one class; a pipeline stops when one is not met."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from transfercli.config.types import CLASSIFY, MULTILABEL, Task
from transfercli.data.sources.labels import find_label, shown
from transfercli.errors import ConfigError, TransferError, UsageError
from transfercli.evaluation.metric_tables import METRIC_TABLES
from transfercli.evaluation.statistics.intervals import Interval
from transfercli.text import did_you_mean, first_of

# The value that a gate checks: the metric itself, or the end of its interval that is nearer to failing.
GATE_ON = ("point", "lower")
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# The class name is greedy: it may hold brackets and equal signs itself.
METRIC = re.compile(r"\s*(?P<name>[^\[\]<>=]+?)\s*(?:\[(?P<label>.*)\])?\s*", re.DOTALL)
COMMAND = re.compile(rf"(?P<metric>.*?(?:\[.*\])?)\s*(?P<op>>=|<=|=)\s*(?P<bound>{NUMBER})\s*", re.DOTALL)
BOUND = re.compile(rf"\s*(?P<op>>=|<=)?\s*(?P<bound>{NUMBER})\s*")
ALLOWED = "METRIC=VALUE, METRIC>=VALUE or METRIC<=VALUE, such as accuracy=0.9, ece<=0.05 or recall[cat]=0.8"


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on a metric.

    metric: a metric of the task, or one of a class or label, such as `recall[LABEL]`; op: ">=" or "<="
    """

    metric: str
    op: str
    bound: float


def parse(text: str, labels: Sequence[str] | None = None, task: Task = CLASSIFY) -> Gate:
    """Parse a gate of the command line. Without `labels` the class name is not checked. Raises UsageError."""
    match = COMMAND.fullmatch(text)
    if not match:
        raise UsageError(f"a gate must be {ALLOWED}; received {text!r}")
    return _gate(match["metric"], match["op"], match["bound"], _Allowed(task, labels, UsageError))


def from_config(
    gates: Mapping[str, float | str], labels: Sequence[str] | None = None, task: Task = CLASSIFY
) -> list[Gate]:
    """Parse the gates of `evaluation.gates`. Raises ConfigError.

    A bare number is a lower bound if higher values of the metric are better, and an upper bound otherwise.
    """
    result = []
    for metric, value in gates.items():
        match = BOUND.fullmatch(str(value))
        if not match:
            raise ConfigError(
                f'evaluation.gates.{metric}: must be a number, ">=NUMBER" or "<=NUMBER"; received {value!r}'
            )
        try:
            allowed = _Allowed(task, labels, ConfigError)
            result.append(_gate(metric, match["op"] or "=", match["bound"], allowed))
        except ConfigError as error:
            raise ConfigError(f"evaluation.gates.{metric}: {error.message}", error.hint) from error
    return result


def resolve(
    config: Mapping[str, float | str],
    command: Sequence[str],
    labels: Sequence[str] | None = None,
    task: Task = CLASSIFY,
) -> list[Gate]:
    """Return the gates of the config, then those of the command line, which replace the config's on the same metric."""
    from_command = [parse(text, labels, task) for text in command]
    replaced = {gate.metric for gate in from_command}
    return [gate for gate in from_config(config, labels, task) if gate.metric not in replaced] + from_command


def check(
    gates: Sequence[Gate], values: Mapping[str, float | None], intervals: Mapping[str, Interval], on: str = "point"
) -> list[dict[str, Any]]:
    """Check every gate: {"metric", "op", "bound", "value", "passed"} for each. A metric without a value fails its gate.

    values: by metric, also `recall[LABEL]`; on: "point" checks these values, "lower" the end of their 95% interval
    that is nearer to failing: the lower one for >=, the upper one for <=.
    """
    checked_value = {"point": _point, "lower": _lower}[on]
    return [_checked(gate, checked_value(gate, values, intervals)) for gate in gates]


def _point(gate: Gate, values: Mapping[str, float | None], intervals: Mapping[str, Interval]) -> float | None:
    return values[gate.metric]


def _lower(gate: Gate, values: Mapping[str, float | None], intervals: Mapping[str, Interval]) -> float | None:
    interval = intervals.get(gate.metric)
    return interval and interval[gate.op == "<="]


def _checked(gate: Gate, value: float | None) -> dict[str, Any]:
    passed = value is not None and (value >= gate.bound if gate.op == ">=" else value <= gate.bound)
    return {"metric": gate.metric, "op": gate.op, "bound": gate.bound, "value": value, "passed": passed}


@dataclass(frozen=True, slots=True)
class _Allowed:
    """Names that a gate may have: the metrics of a task, and labels if they are known; error: raised for others."""

    task: Task
    labels: Sequence[str] | None
    error: type[TransferError]


def _gate(metric: str, op: str, bound: str, allowed: _Allowed) -> Gate:
    match = METRIC.fullmatch(metric)
    if not match:
        raise allowed.error(f"a gate must be {ALLOWED}; received {metric!r}")
    name, label = match["name"], match["label"]
    row = METRIC_TABLES[allowed.task].row(name, label)
    if row is None:
        raise allowed.error(unknown_metric(name, allowed.task, of_class=label is not None))
    if label is not None and allowed.labels is not None:
        label = _class(label, allowed.labels, allowed)
    value = float(bound)
    if not math.isfinite(value):
        raise allowed.error(f"the bound of a gate must be a finite number; {metric.strip()} received {bound}")
    if value not in row.bounds:
        raise allowed.error(f"the bound of a gate on {metric.strip()} must be a number {row.bounds}; received {bound}")
    better = ">=" if row.higher_is_better else "<="
    return Gate(name if label is None else f"{name}[{label}]", better if op == "=" else op, value)


def _class(name: str, labels: Sequence[str], allowed: _Allowed) -> str:
    label = find_label(name, labels)
    if label is None:
        written = partial(shown, others=[name])
        noun = "label" if allowed.task == MULTILABEL else "class"
        known, guess = first_of(labels, 20, written=written), did_you_mean(name, labels, written=written)
        raise allowed.error(f"{shown(name, labels)} is not a known {noun}: allowed are {known}{guess and f'; {guess}'}")
    return label


def unknown_metric(name: str, task: Task, *, of_class: bool = False) -> str:
    """Return a sentence about a name that is no metric of a task, and the names that are."""
    table = METRIC_TABLES[task]
    rows, kind = (table.per_class, "metric of one class") if of_class else (table.metrics, "metric")
    allowed = tuple(rows)
    guess = did_you_mean(name, allowed)
    elsewhere = [other for other, its in METRIC_TABLES.items() if its.row(name, name if of_class else None)]
    known = f"{name!r} is not a known {kind}"
    if elsewhere:
        known = f"{name!r} is a {kind} of task: {elsewhere[0]}, and this task is {task}, {table.answers}"
    classes = "" if of_class else f"; metrics of one class are {', '.join(f'{row}[LABEL]' for row in table.per_class)}"
    return f"{known}: allowed are {first_of(allowed, 20)}{guess and f'; {guess}'}{classes}"
