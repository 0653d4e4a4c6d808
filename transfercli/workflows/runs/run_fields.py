"""Values of a run by the names that `runs list` sorts and filters by: facts, metrics and config keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from transfercli.config.differing_keys import all_keys, keys_meant, value_at
from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.metric_tables import ALL_METRICS
from transfercli.evaluation.regression.predictions import ValuePredictions
from transfercli.evaluation.regression.result import value_metrics_of
from transfercli.evaluation.scoring import Predicted, scoring_of
from transfercli.runs.folder import RunFolder
from transfercli.runs.untrusted import is_number
from transfercli.text import did_you_mean, first_of
from transfercli.workflows.answers import held_out_predictions
from transfercli.workflows.runs.recorded_configs import recorded_config
from transfercli.workflows.runs.rows import RunRow, evaluation_metrics, is_evaluation
from transfercli.workflows.runs.run_filter import Condition
from transfercli.workflows.stored_run import StoredRun

SPLITS = ("val_", "test_", "train_")  # prefixes of metrics; one without a prefix is of the validation images
LOSS = "loss"
STATES = ("completed", "failed", "interrupted", "running", "pruned", "damaged")
NUMBERS = ("time", "trial")  # facts


@dataclass(frozen=True)
class Fact:
    """A value of the record. doc: for the documentation; descending: the order that `--sort` gives it."""

    doc: str
    of: Callable[[RunRow], Any]
    descending: bool = False


def _mark(mark: str, key: str) -> Callable[[RunRow], Any]:
    return lambda row: row.marks.get(mark, {}).get(key)


FACTS: dict[str, Fact] = {
    "run": Fact("id of the run", lambda row: row.run_id),
    "experiment": Fact("name of the experiment", lambda row: row.experiment),
    "status": Fact(f"{', '.join(STATES[:-1])} or {STATES[-1]}", lambda row: row.status),
    "failure": Fact("name of the error that ended the run", lambda row: row.failure),
    "workflow": Fact("finetune, pretrain or merge", lambda row: row.workflow),
    "created": Fact("time of creation", lambda row: row.created, descending=True),
    "time": Fact("seconds that the command took", lambda row: row.total_seconds),
    "links": Fact("latest, champion", lambda row: ",".join(row.links) or None),
    "parent": Fact("run that the weights came from", lambda row: row.parent),
    "sweep": Fact("id of the sweep", _mark("sweep", "id")),
    "trial": Fact("number of the trial in its sweep", _mark("sweep", "trial")),
    "folds": Fact("id of the cross-validation", _mark("folds", "id")),
    "seeds": Fact("id of the series of seeds", _mark("seeds", "id")),
}


class ListedRun:
    """A run of a list: its row, and its config and metrics, which are read when they are first used."""

    def __init__(self, folder: RunFolder, row: RunRow) -> None:
        self.folder, self.row = folder, row

    @cached_property
    def config(self) -> dict[str, Any] | None:
        return recorded_config(self.folder)

    def metric(self, name: str) -> float | None:
        """Return a metric, as named by `metric_name`; None if the run has none, or if it is not defined."""
        if name.startswith("train_"):
            return self.row.metrics.get(name.removeprefix("train_"))
        if name.startswith("test_"):
            return self._test.get(name.removeprefix("test_"))
        recorded = self.row.metrics.get(name)
        return self._scored(name.removeprefix("val_")) if recorded is None else recorded

    @cached_property
    def _test(self) -> Mapping[str, float | None]:
        folder = self.folder.evaluation("test")
        with suppress(ArtefactError):
            return evaluation_metrics(folder) if is_evaluation(folder) else {}
        return {}

    def _scored(self, metric: str) -> float | None:
        """Return a metric of the stored answers that score the run."""
        answers = self._answers
        if isinstance(answers, ValuePredictions):
            return value_metrics_of(answers).get(metric)
        if answers is None or (row := scoring_of(answers).metrics.get(metric)) is None:
            return None
        sample = scoring_of(answers).sample([answers], np.ones((len(answers), 1)), len(answers))
        value = float(row.rule(sample)[0])
        return value if np.isfinite(value) else None

    @cached_property
    def _answers(self) -> Predicted | None:
        """Calibrated predictions of the images that score the run; None if they are not stored."""
        run = StoredRun(self.folder)
        with suppress(ArtefactError):
            if self.row.status == "completed" and run.held_out is not None:
                return held_out_predictions(run, run.held_out)
        return None


@dataclass(frozen=True)
class Field:
    """A value that runs are sorted or filtered by.

    Attributes:
        name: of a fact, a metric (`val_macro_f1`) or a config key (with all of its sections).
        kind: fact, metric or key.
        descending: True if the largest values come first: they are better, or newer.
    """

    name: str
    kind: str
    descending: bool = False

    def of(self, run: ListedRun) -> Any:
        """Return the value of a run; None if it has none."""
        if self.kind == "fact":
            return FACTS[self.name].of(run.row)
        if self.kind == "metric":
            return run.metric(self.name)
        return None if run.config is None else value_at(run.config, self.name)


def find_field(text: str, runs: Sequence[ListedRun], option: str) -> Field:
    """Return the fact, metric or config key that a text names; a key may be named by its end, if no other has it.

    Raises `UsageError`, which names the option, if there is none or several.
    """
    if text in FACTS:
        return Field(text, "fact", FACTS[text].descending)
    if (metric := metric_name(text)) is not None:
        bare = metric.split("_", 1)[1]
        return Field(metric, "metric", bare != LOSS and ALL_METRICS[bare].higher_is_better)
    keys = all_keys([run.config for run in runs if run.config is not None])
    meant = keys_meant(text, keys)
    if len(meant) == 1:
        return Field(meant[0], "key")
    if meant:
        raise UsageError(f"{option} {text!r} may mean {first_of(meant, 5)}", "write more of the key")
    known = (*FACTS, *ALL_METRICS, LOSS, *(f"{split}{name}" for split in SPLITS for name in (*ALL_METRICS, LOSS)))
    known = (*known, *keys, *(key.rpartition(".")[2] for key in keys))
    raise UsageError(
        f"{option} {text!r} is no fact, metric or config key of these runs",
        did_you_mean(text, known) or f"use {', '.join(FACTS)}, a metric such as test_macro_f1, or a config key",
    )


def check_condition(condition: Condition, field: Field, runs: Sequence[ListedRun]) -> None:
    """Raise `UsageError` for a condition that no run could meet: a word for a number, or an unknown status."""
    given = f"--filter '{condition.key}{condition.operator}{condition.text}'"
    if field.name == "status" and not condition.is_order and not any(map(condition.matches, STATES)):
        raise UsageError(f"{given}: {condition.text} is no status", f"use {', '.join(STATES)}")
    if is_number(condition.value) or (condition.value is None and not condition.is_order):
        return
    values = [value for run in runs if (value := field.of(run)) is not None] if field.kind == "key" else []
    numeric = field.kind == "metric" or field.name in NUMBERS
    if numeric or (condition.is_order and values and all(map(is_number, values))):
        raise UsageError(
            f"{given}: {field.name} is a number, received {condition.text}",
            f"give a number, such as '{condition.key}{condition.operator}0.9'",
        )


def metric_name(text: str) -> str | None:
    """Return the metric that a text names, with the prefix of its images; None if it names none."""
    split = next((split for split in SPLITS if text.startswith(split)), "")
    bare = text.removeprefix(split)
    return f"{split or SPLITS[0]}{bare}" if bare == LOSS or bare in ALL_METRICS else None
