"""Members of a series: the run of each fold or seed, as the training that a command of its own would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from transfercli.config.loader import load
from transfercli.errors import ConfigError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import DEFAULT_RUNS, RunFolder, check_run_id, new_run_id
from transfercli.runs.listing import GOING_ON
from transfercli.workflows.command_lines import command_line, shown_path
from transfercli.workflows.train.job import Job, TrainRequest, resolve_job

Kind = Literal["folds", "seeds"]


@dataclass(frozen=True)
class Member:
    """One run of a series.

    Attributes:
        name: for messages, such as `fold 2 of 5`.
        suffix: end of its run id, such as `fold2`.
        facts: {"fold", "of"} or {"seed"}, for the record of the run and for JSON.
        overrides: keys of the config in which it differs from the others.
    """

    name: str
    suffix: str
    facts: dict[str, int]
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """Runs of one config that differ in the fold that validates, or in the seed.

    Attributes:
        request: the command; its run id is the id of the series, with which the ids of the runs begin.
        seed: of the splits, which all runs share.
        marks: further keys of each run's record, such as the sweep that the series is a trial of.
        going_on: command that goes on with a series that was stopped.
        command: the same without absolute paths, for files.
    """

    kind: Kind
    request: TrainRequest
    seed: int
    members: tuple[Member, ...]
    going_on: str
    command: str
    marks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def series_id(self) -> str:
        return str(self.request.run_id)

    def run_id(self, member: Member) -> str:
        return f"{self.series_id}-{member.suffix}"

    def job(self, member: Member, reporter: Reporter) -> Job:
        """Return the training of a member, new or resumed. Raises errors as `resolve_job` does."""
        overrides = (*self.request.overrides, *member.overrides)
        job = resolve_job(replace(self.request, overrides=overrides, run_id=self.run_id(member)), reporter)
        marks = {self.kind: {"id": self.series_id, **member.facts}, GOING_ON: self.command, **self.marks}
        return replace(job, marks=marks, going_on=self.going_on)


def folds_of(request: TrainRequest, count: int, marks: Mapping[str, Any] | None = None, going_on: str = "") -> Series:
    """Return the series of all folds of a cross-validation.

    count: number of folds. going_on: if "", the command `finetune --folds`.

    Raises `ConfigError` if the config cannot be cross-validated, `UsageError` as `_named` does.
    """
    request = _named(request, "--folds")
    assert request.config is not None
    folds = f"data.folds={count}"
    config = load(request.config, (*request.overrides, folds, "data.fold=1"), request.document).config
    if config.training.seeds is not None:
        raise ConfigError(
            "training.seeds cannot be combined with --folds: a cross-validation trains one run a fold, with one seed",
            "add --set training.seeds=null, or leave out --folds",
        )
    # A model that learnt from all folds in the end could not be judged by any of them.
    apart = ("training.refit=null",) if config.training.refit else ()
    members = tuple(
        Member(
            f"fold {fold} of {count}",
            f"fold{fold}",
            {"fold": fold, "of": count},
            (folds, f"data.fold={fold}", *apart),
        )
        for fold in range(1, count + 1)
    )
    live, shown = (_command_of(request, path, "--folds", str(count)) for path in (str, shown_path))
    return _checked(Series("folds", request, config.seed, members, going_on or live, shown, marks or {}), config.name)


def seeds_of(request: TrainRequest, seeds: Sequence[int], seed: int, experiment: str) -> Series:
    """Return the series of one run a seed. seed: of the config, with which all of them split the images."""
    request = _named(request, "training.seeds")
    members = tuple(
        Member(f"seed {number}", f"seed{number}", {"seed": number}, (f"seed={number}", "training.seeds=null"))
        for number in seeds
    )
    live, shown = (_command_of(request, path) for path in (str, shown_path))
    return _checked(Series("seeds", request, seed, members, live, shown), experiment)


def _named(request: TrainRequest, option: str) -> TrainRequest:
    """Return the request with an id for the series. Raises `UsageError` if it names a run, or no config."""
    if request.resume or request.config is None:
        raise UsageError(
            f"{option} needs CONFIG, and no --resume",
            "start the command again with the --run-id of the series: complete runs are not trained again; --resume RUN"
            " alone goes on with one run of it",
        )
    return replace(request, run_id=check_run_id(request.run_id or new_run_id()))


def _checked(series: Series, experiment: str) -> Series:
    run = RunFolder(series.request.runs / experiment / series.series_id)
    if run.record.exists():
        raise UsageError(f"--run-id {series.series_id} is a run, {run.label}", "give the series another --run-id")
    check_run_id(series.run_id(series.members[-1]))
    return series


def _command_of(request: TrainRequest, path: Callable[[Path], str], *options: str) -> str:
    """Return the command line that goes on with a series. path: writes a path."""
    assert request.config is not None
    settings = [part for override in request.overrides for part in ("--set", override)]
    runs = [] if request.runs == DEFAULT_RUNS else ["--runs", path(request.runs)]
    return command_line(
        request.command, path(request.config), *options, "--run-id", str(request.run_id), *settings, *runs
    )
