"""Workflow of `runs list`: the runs of one or all experiments, sorted and filtered; no model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transfercli.config.differing_keys import all_keys, differing_keys, naming_order, short_names
from transfercli.config.types import CLASSIFY
from transfercli.errors import ArtefactError
from transfercli.evaluation.metric_tables import ALL_METRICS
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.listing import all_runs
from transfercli.text import nearest
from transfercli.workflows.answers import main_metric
from transfercli.workflows.runs.rows import RunRow, links_of, row_of
from transfercli.workflows.runs.run_fields import Field, ListedRun, check_condition, find_field
from transfercli.workflows.runs.run_filter import parse_condition


@dataclass(frozen=True)
class ListRequest:
    """Options of `runs list`.

    sort: fact, metric or config key, the best or newest first; None: the oldest first. reverse: turn the order around.
    filters: conditions that all listed runs meet. csv: print the list as CSV.
    """

    runs: Path
    experiment: str | None = None
    sort: str | None = None
    reverse: bool = False
    filters: tuple[str, ...] = ()
    csv: bool = False


@dataclass(frozen=True)
class RunList:
    """Result of `runs list`.

    Attributes:
        runs: the rows, in their order.
        decisions: last decision about the champion of each experiment that has one.
        experiment: the one that is listed; None for all.
        keys: short name of each config key that differs between the runs; empty for a list of all experiments.
        configs: values of `keys` of each run; None for a run without a valid config.
        metrics: values of the metrics that the request named, of each run, by name.
        best: place in `runs` of the run that is best by the metric of `--sort`, or by val_accuracy, val_map if all runs
            have several labels per image; None if no run has a value, or only one.
        best_by: name of that metric.
        hidden: number of runs that the filters leave out.
        csv: print the list as CSV.
    """

    runs: tuple[RunRow, ...]
    decisions: dict[str, Decision]
    experiment: str | None = None
    keys: dict[str, str] = field(default_factory=dict)
    configs: tuple[dict[str, Any] | None, ...] = ()
    metrics: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    best: int | None = None
    best_by: str = "val_accuracy"
    hidden: int = 0
    csv: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "runs": [self._row(number) for number in range(len(self.runs))],
            "decisions": {experiment: asdict(decision) for experiment, decision in self.decisions.items()},
            "keys": [{"key": key, "name": name} for key, name in self.keys.items()],
            "hidden": self.hidden,
        }

    def _row(self, number: int) -> dict[str, Any]:
        row = self.runs[number].as_json()
        asked = {name: values[number] for name, values in self.metrics.items()}
        config = self.configs[number] if self.configs else {}
        return row | {"metrics": (row["metrics"] or {}) | asked or None, "config": config}


def list_runs(request: ListRequest, listed: Sequence[ListedRun] | None = None) -> RunList:
    """List the runs that meet the request.

    listed: the runs to choose from, which are read if it is None. Raises `ArtefactError` if the experiment has no
    runs, and `UsageError` for a key or condition that means nothing.
    """
    conditions = [parse_condition(text) for text in request.filters]
    listed = _listed(request) if listed is None else listed
    tests = [(find_field(each.key, listed, "--filter"), each) for each in conditions]
    for field_, condition in tests:
        check_condition(condition, field_, listed)
    order = find_field(request.sort, listed, "--sort") if request.sort is not None else None
    kept = [run for run in listed if all(condition.holds(field_.of(run)) for field_, condition in tests)]
    if order is not None:
        kept = _sorted(kept, order, request.reverse)
    elif request.reverse:
        kept.reverse()
    experiments = {run.row.experiment: run.folder.path.parent for run in kept}
    logs = {experiment: decisions.read(folder) for experiment, folder in experiments.items()}
    asked = dict.fromkeys([*([order] if order else []), *(field_ for field_, _ in tests)])
    best_by = order if order is not None and order.kind == "metric" else _headline(kept)
    keys, configs = _differences(kept) if request.experiment else ({}, ())
    return RunList(
        runs=tuple(run.row for run in kept),
        decisions={experiment: log[-1] for experiment, log in logs.items() if log},
        experiment=request.experiment,
        keys=keys,
        configs=configs,
        metrics={each.name: tuple(run.metric(each.name) for run in kept) for each in asked if each.kind == "metric"},
        best=_best(kept, best_by),
        best_by=best_by.name,
        hidden=len(listed) - len(kept),
        csv=request.csv,
    )


def _headline(runs: Sequence[ListedRun]) -> Field:
    """Return the metric that the best run is named by if the request names none."""
    scored = [run.row for run in runs if run.row.metrics]
    names = {row.headline for row in scored}
    name = names.pop() if len(names) == 1 else main_metric(CLASSIFY)
    return Field(f"val_{name}", "metric", ALL_METRICS[name].higher_is_better)


def _listed(request: ListRequest) -> list[ListedRun]:
    found = all_runs(request.runs)
    folders = [run for run in found if request.experiment in (None, run.experiment)]
    if request.experiment and not folders:
        existing = list(dict.fromkeys(run.experiment for run in found))
        near = nearest(request.experiment, existing)
        hint = (f"did you mean {near!r}? " if near else "") + f"experiments there: {', '.join(existing) or 'none'}"
        raise ArtefactError(f"no experiment {request.experiment!r} with runs under {request.runs}", hint)
    links = {folder: links_of(folder) for folder in {run.path.parent for run in folders}}
    return [ListedRun(run, row_of(run, links[run.path.parent])) for run in folders]


def _sorted(runs: Sequence[ListedRun], order: Field, reverse: bool) -> list[ListedRun]:
    """Return the runs by a value; those without one come last, in either direction."""
    values = [(_sort_key(order.of(run)), run) for run in runs]
    known = [(key, run) for key, run in values if key is not None]
    known.sort(key=lambda entry: entry[0], reverse=order.descending != reverse)
    return [run for _, run in known] + [run for key, run in values if key is None]


def _sort_key(value: Any) -> tuple[int, Any] | None:
    """Return a key that compares with all others: numbers come before texts, and lists are texts."""
    if value is None:
        return None
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def _best(runs: Sequence[ListedRun], metric: Field) -> int | None:
    values = {number: value for number, run in enumerate(runs) if (value := metric.of(run)) is not None}
    if len(values) < 2:
        return None
    sign = 1 if metric.descending else -1
    # Of equal runs, that which EXPERIMENT means: the winner of a sweep is the latest run.
    return max(values, key=lambda number: (sign * values[number], bool(runs[number].row.links)))


def _differences(runs: Sequence[ListedRun]) -> tuple[dict[str, str], tuple[dict[str, Any] | None, ...]]:
    """Return the short names of the keys that differ, those with an effect on the model first, and their values."""
    configs = [run.config for run in runs if run.config is not None]
    differing = differing_keys(configs)
    keys = sorted(differing, key=naming_order)
    values = iter(range(len(configs)))
    by_run = tuple(
        None if run.config is None else {key: differing[key][number] for number in [next(values)] for key in keys}
        for run in runs
    )
    return short_names(keys, all_keys(configs)), by_run
