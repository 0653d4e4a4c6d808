"""Gates of `monitor`: lower bounds on metrics that can be expected without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transfercli.config.types import Task
from transfercli.errors import UsageError
from transfercli.text import did_you_mean

if TYPE_CHECKING:
    from transfercli.evaluation.gates import Gate
    from transfercli.evaluation.monitoring.expected_accuracy import ExpectedValue


def expected_gates(texts: Sequence[str], labels: Sequence[str], task: Task, *, several: bool) -> list[Gate]:
    """Return the gates that texts such as `accuracy=0.9` describe.

    labels: of the model; without any, class names are not checked. Raises `UsageError` if one is no gate, or on a
    metric that cannot be expected without labels.
    """
    from transfercli.evaluation import gates
    from transfercli.evaluation.monitoring.expected_metrics import OF_ONE, metric_rules

    parsed = [gates.parse(text, labels or None, task) for text in texts]
    names = tuple(metric_rules(several=several))
    for gate in parsed:
        if gate.metric not in names and not gate.metric.startswith(f"{OF_ONE}["):
            guess = did_you_mean(gate.metric, names)
            raise UsageError(
                f"{gate.metric} cannot be expected without labels, with an interval that holds it; possible are"
                f" {', '.join(names)} and {OF_ONE}[LABEL]{guess and f'; {guess}'}",
                "evaluate measures it on labelled images",
            )
    return parsed


def checked_gates(
    gates: Sequence[Gate], values: Mapping[str, ExpectedValue], labels: Sequence[str], gate_on: str
) -> list[dict[str, Any]]:
    """Return the result of each gate: {"metric", "op", "bound", "value", "passed"}. gate_on: as in `gates.check`."""
    from transfercli.evaluation import gates as rules

    named = dict(by_label(values, labels))
    points = {name: value.value for name, value in named.items()}
    intervals = {name: value.interval for name, value in named.items() if value.interval}
    return rules.check(gates, points, intervals, gate_on)


def by_label(values: Mapping[str, ExpectedValue], labels: Sequence[str]) -> Iterator[tuple[str, ExpectedValue]]:
    """Yield the values of all metrics, those of one class under its name."""
    from transfercli.evaluation.monitoring.expected_metrics import OF_ONE, of_one

    of_classes = {of_one(index): f"{OF_ONE}[{label}]" for index, label in enumerate(labels)}
    for name, value in values.items():
        yield of_classes.get(name, name), value
