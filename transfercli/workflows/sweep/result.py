"""Request and result of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from transfercli.config.types import VAL_LOSS
from transfercli.redaction import HIDDEN
from transfercli.runs.folder import DEFAULT_RUNS
from transfercli.workflows.command_lines import command_line, shown_path
from transfercli.workflows.sweep.search.storage import without_password

State = Literal["waiting", "running", "completed", "pruned", "failed", "interrupted"]


@dataclass(frozen=True)
class SweepRequest:
    """Options of `sweep`.

    sweep_id: of the folder and the trials; None: from the config, so that the same command goes on with the same sweep.
    storage: address of the storage that several hosts share; None: a journal in the sweep's folder.
    """

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    sweep_id: str | None = None
    jobs: int = 1
    storage: str | None = None
    report: Path | None = None
    wait: float = 0.0

    def command(self, *more: str, shown: bool = False) -> str:
        """Return the command line that goes on with the sweep, without a password.

        more: further words at its end. shown: without absolute paths and hosts, too, for files.
        """
        path: Callable[[Path], str] = shown_path if shown else str
        words = [path(self.config), *(word for override in self.overrides for word in ("--set", override))]
        words += ["--run-id", self.sweep_id] if self.sweep_id else []
        words += ["--jobs", str(self.jobs)] if self.jobs != 1 else []
        words += ["--storage", (_shown_address if shown else without_password)(self.storage)] if self.storage else []
        words += [] if self.runs == DEFAULT_RUNS else ["--runs", path(self.runs)]
        return command_line("sweep", *words, *more)


@dataclass(frozen=True)
class TrialRow:
    """Trial of a sweep.

    Attributes:
        number: of the trial, from 0, as in the storage.
        values: value of each key of the space.
        run: the run folder; None before it begins.
        runs: with folds the run of each fold, else the one run.
        value: metric of its best epoch; None unless it is completed.
        steps: (epoch, metric) of the epochs that were reported.
        seconds: duration of the training.
        reason: why it failed or was pruned, or None.
        code: exit code that the training alone would have ended with; None unless it failed.
    """

    number: int
    values: dict[str, Any]
    state: State
    run: Path | None = None
    runs: tuple[Path, ...] = ()
    value: float | None = None
    steps: tuple[tuple[int, float], ...] = ()
    seconds: float | None = None
    reason: str | None = None
    code: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "state": self.state,
            "values": self.values,
            "value": self.value,
            "run": None if self.run is None else str(self.run),
            "runs": [str(run) for run in self.runs],
            "steps": [list(step) for step in self.steps],
            "seconds": self.seconds,
            "reason": self.reason,
        }


def best_first(rows: Iterable[TrialRow], metric: str) -> list[TrialRow]:
    """Return trials with a value of the metric, the best one first, of equal ones that which came first."""
    sign = 1.0 if metric == VAL_LOSS else -1.0
    return sorted(rows, key=lambda row: sign * (row.value or 0.0))


@dataclass(frozen=True)
class SweepResult:
    """Result of a sweep.

    Attributes:
        sweep: id of the sweep.
        folder: the sweep's folder.
        metric: of the search, such as val_accuracy.
        trials: by number.
        total: number of trials that the sweep ends with.
        winner: the best trial with its scores (`winner.py`); None if no trial is completed.
        sentences: about the winner, for a person.
        cache: hits and misses of the feature cache over all trials.
        seconds: time of this command.
        report: the page, or None.
    """

    sweep: str
    experiment: str
    folder: Path
    metric: str
    trials: tuple[TrialRow, ...]
    total: int
    winner: dict[str, Any] | None = None
    sentences: tuple[str, ...] = ()
    cache: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    report: Path | None = None

    def with_trials(self, trials: tuple[TrialRow, ...]) -> SweepResult:
        return replace(self, trials=trials)

    def ranked(self) -> list[TrialRow]:
        """Return the completed trials: the winner, then the others, the best first, of equal ones the lower number.

        A trial may have a better value than the winner if ancestors learnt from images that score it.
        """
        winner = self.winner and self.winner["trial"]
        completed = best_first((row for row in self.trials if row.value is not None), self.metric)
        return sorted(completed, key=lambda row: row.number != winner)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the space that a trial has a value of."""
        return tuple(dict.fromkeys(key for trial in self.trials for key in trial.values))

    def counts(self) -> dict[str, int]:
        """Return the number of trials in each state."""
        return dict(Counter(trial.state for trial in self.trials))

    def as_json(self) -> dict[str, Any]:
        return {
            "sweep": self.sweep,
            "experiment": self.experiment,
            "folder": str(self.folder),
            "metric": self.metric,
            "total": self.total,
            "counts": self.counts(),
            "trials": [trial.as_json() for trial in self.trials],
            "winner": self.winner,
            "cache": self.cache,
            "seconds": self.seconds,
            "report": None if self.report is None else str(self.report),
        }


def _shown_address(address: str) -> str:
    """Return the address of a storage; of one with a host or an absolute path, only its scheme and last part."""
    scheme, _, place = address.partition(":")
    path = place.removeprefix("///" if place.startswith("///") else "//").partition("?")[0]
    is_file = scheme in ("sqlite", "journal")
    return address if is_file and not path.startswith("/") else f"{scheme}:{HIDDEN}{path.rpartition('/')[2]}"
