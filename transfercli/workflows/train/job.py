"""Jobs of `pretrain` and `finetune`: a request resolved to a config and a run folder, new or resumed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from transfercli.config.cross_checks import check_task, missing_weights_reason
from transfercli.config.loader import LoadedConfig, load, resolve, with_defaults_of_task
from transfercli.config.locations import Document
from transfercli.config.schema import ExperimentConfig
from transfercli.data.sources.task import with_task
from transfercli.errors import ArtefactError, ConfigError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, check_run_id, new_run_id, series_folder
from transfercli.runs.listing import resume_command
from transfercli.runs.lookup import find_run_to_resume
from transfercli.runs.untrusted import check_run_folder
from transfercli.workflows.command_lines import command_line, runs_option, shown_path
from transfercli.workflows.confidence import without_default_target
from transfercli.workflows.new_model import (
    parent_named,
    with_base_of_weights,
    with_kept_layers,
    with_parent_reading,
    with_parent_structure,
)
from transfercli.workflows.regression import check_regression
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.recorded_config import as_recorded

if TYPE_CHECKING:
    from transfercli.models.classifier import Classifier
    from transfercli.training.phases import Phase

Command = Literal["pretrain", "finetune"]


@dataclass(frozen=True)
class TrainRequest:
    """Options of `pretrain` and `finetune`.

    config: a file, or None if `resume` names a run. document: its content when the work began that the training is part
    of, whatever is written to the file meanwhile; None: it is read now.
    """

    command: Command
    config: Path | None
    runs: Path
    overrides: tuple[str, ...] = ()
    run_id: str | None = None
    resume: str | None = None
    wait: float = 0.0
    dry_run: bool = False
    document: Document | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Job:
    """A training to do: its resolved config and its run folder.

    loaded: the resolved config and the line of each key, in the requested file or in the run's copy.
    command_line: the command as typed, without absolute paths, for run.json and the report.
    warnings: about keys without effect, and images that are read in another way than the parent's.
    marks: more keys of a new run's record, such as the sweep that it is a trial of.
    phases: of a new run that goes on with another one; empty if they follow from the config.
    going_on: command that goes on with the work that the run is part of, if it is stopped; "" if it stands alone.
    becomes_latest: once it is completed, the run is the latest of its experiment.
    """

    command: Command
    loaded: LoadedConfig
    run: RunFolder
    runs: Path
    command_line: str
    warnings: tuple[str, ...] = ()
    marks: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    going_on: str = ""
    becomes_latest: bool = True

    @property
    def config(self) -> ExperimentConfig:
        return self.loaded.config

    @property
    def resume_command(self) -> str:
        return self.going_on or resume_command(self.run, self.runs, self.command)


def resolve_job(request: TrainRequest, reporter: Reporter | None = None) -> Job:
    """Resolve a pretrain or finetune request to a config and a run folder, new or resumed.

    Raises `ConfigError` if the config has errors or differs from that of the existing run, `UsageError` if the request
    has neither a config nor a run.
    """
    if request.resume:
        return _job_of_run(request, find_run_to_resume(request.resume, request.runs), reporter)
    if request.config is None:
        raise UsageError("CONFIG is missing", "name a config file, or a run with --resume RUN")
    unresolved = load(request.config, request.overrides, request.document)
    loaded = _resolved(unresolved, request.command, request.runs, reporter)
    _check_single_run(loaded)
    _check_published_weights(loaded)
    run = RunFolder(request.runs / loaded.config.name / check_run_id(request.run_id or new_run_id()))
    _check_no_series(run)
    parent = parent_named(unresolved.config)
    warnings: tuple[str, ...] = (unresolved.overruled,) if unresolved.overruled else ()
    if run.record.exists():
        check_run_folder(run.path)
        config = as_recorded(loaded.config, parent, StoredRun(run))
    else:
        config, differences = with_parent_reading(with_kept_layers(loaded.config, request.runs), parent, request.runs)
        warnings += differences
    loaded = replace(loaded, config=config)
    return Job(request.command, loaded, run, request.runs, _command_line(request), warnings)


def with_head_of(job: Job, classifier: Classifier) -> Job:
    """Return the job with the layers that its classifier's head reads, and their normalisation, in its config."""
    head = job.config.model.head.model_copy(
        update={"taps": list(classifier.taps), "normalisation": classifier.normalisation}
    )
    model = job.config.model.model_copy(update={"head": head})
    return replace(job, loaded=replace(job.loaded, config=job.config.model_copy(update={"model": model})))


def _check_single_run(loaded: LoadedConfig) -> None:
    """Raise `ConfigError` if the config asks for several runs."""
    if loaded.config.training.seeds is not None:
        with loaded.placing():
            raise ConfigError(
                f"training.seeds: {loaded.config.training.seeds} trains one run a seed with finetune and pretrain; here"
                " one run is trained",
                "set training.seeds to null, and seed to one of them",
            )


def _check_no_series(run: RunFolder) -> None:
    """Raise `UsageError` if the id of a new run is that of a series, which EXPERIMENT/ID would name as well."""
    for kind in ("folds", "seeds"):
        if not run.record.exists() and series_folder(run.path.parent, kind, run.path.name).is_dir():
            raise UsageError(
                f"--run-id {run.path.name} is of {kind} of {run.path.parent.name}, not of one run",
                "give the run another id; to go on with the series, start its command again",
            )


def _check_published_weights(loaded: LoadedConfig) -> None:
    """Check for published weights once the command has set the default: imagenet for `finetune`, none for `pretrain`.

    Raises `ConfigError` if the base has no published weights.
    """
    model = loaded.config.model
    if model.weights == "imagenet" and (reason := missing_weights_reason(model.base)):
        with loaded.placing():
            raise ConfigError(f"model.weights: {reason}", "set model.weights to a file or a run, or use pretrain")


def load_resolved(
    path: Path, overrides: tuple[str, ...], command: Command, runs: Path, reporter: Reporter | None = None
) -> LoadedConfig:
    """Return the resolved config and the line of each of its keys."""
    return _resolved(load(path, overrides), command, runs, reporter)


def load_for_new_run(
    path: Path, overrides: tuple[str, ...], command: Command, runs: Path, reporter: Reporter | None = None
) -> LoadedConfig:
    """Return the resolved config of a new run, which reads images as its parent does, and the line of each key."""
    unresolved = load(path, overrides)
    loaded = _resolved(unresolved, command, runs, reporter)
    return replace(loaded, config=with_parent_reading(loaded.config, parent_named(unresolved.config), runs)[0])


def _resolved(loaded: LoadedConfig, command: Command, runs: Path, reporter: Reporter | None = None) -> LoadedConfig:
    with loaded.placing():
        _check_one_network(loaded.config)
        task, notes = with_task(loaded.config)
        for note in notes:
            (reporter or Reporter()).info(note)
        check_task(with_defaults_of_task(task))
        config = with_base_of_weights(with_parent_structure(task, runs), runs, reporter or Reporter())
    config = config.model_copy(update={"sweep": None})  # a training is one set of values
    resolved = resolve(config, command)
    with loaded.placing():
        check_regression(resolved)
    return replace(loaded, config=resolved)


def _check_one_network(config: ExperimentConfig) -> None:
    """Raise `ConfigError` if a config to train with is that of an average."""
    if config.model.members:
        raise ConfigError(
            f"model.members: {len(config.model.members)} further networks, which `merge` wrote into the config of a"
            " run; an average of several networks is not trained",
            "leave the key out, train the runs one by one, and merge them",
        )


def _job_of_run(request: TrainRequest, run: RunFolder, reporter: Reporter | None) -> Job:
    """Return the job of `--resume RUN`: all settings come from the run, and a CONFIG must be the same as the run's."""
    if request.run_id or (request.overrides and request.config is None):
        raise UsageError(
            "--resume takes all settings from the run", "leave out --run-id, and --set unless CONFIG is given"
        )
    if run.path.is_symlink() or not run.path.name:  # `latest`, or `.` inside the run
        run = RunFolder(Path(os.path.realpath(run.path)))
    stored = StoredRun(run)
    workflow = stored.record.workflow or request.command
    if workflow == "merge":
        raise UsageError(f"{stored.label} was merged from other runs, so there is nothing to resume", None)
    if workflow not in get_args(Command):
        raise ArtefactError(f"{run.record} is damaged: its workflow is {workflow[:80]!r}", "restore the run")
    command = cast(Command, workflow)
    evaluation = without_default_target(stored.config.evaluation)
    loaded = replace(stored.loaded, config=stored.config.model_copy(update={"evaluation": evaluation}))
    job = Job(command, loaded, run, run.path.parent.parent, _command_line(request))
    if request.config is not None:
        unresolved = load(request.config, request.overrides)
        config = _resolved(unresolved, command, request.runs, reporter).config
        as_recorded(config, parent_named(unresolved.config), stored)
    return job


def _command_line(request: TrainRequest) -> str:
    """Return the command as typed, without absolute paths."""
    arguments = [shown_path(request.config)] if request.config else []
    arguments += [part for override in request.overrides for part in ("--set", override)]
    arguments += ["--run-id", request.run_id] if request.run_id else []
    return command_line(request.command, *arguments, *runs_option(request.runs))
