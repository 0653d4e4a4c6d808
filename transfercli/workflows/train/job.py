"""What a call of `pretrain` or `finetune` comes to: its resolved config and its run folder, new or gone on with."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from transfercli.config.cross_checks import missing_weights_reason
from transfercli.config.loader import LoadedConfig, dump, load, resolve
from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ArtefactError, ConfigError, UsageError
from transfercli.runs.folder import RunFolder, check_run_id, new_run_id
from transfercli.runs.lookup import find_run_to_resume
from transfercli.runs.untrusted import check_run_folder
from transfercli.workflows.command_lines import runs_option, spelled, told
from transfercli.workflows.new_model import with_structure
from transfercli.workflows.stored_run import StoredRun

Command = Literal["pretrain", "finetune"]


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for. config may be None where `resume` names a run."""

    command: Command
    config: Path | None
    runs: Path
    overrides: tuple[str, ...] = ()
    run_id: str | None = None
    resume: str | None = None
    wait: float = 0.0
    dry_run: bool = False


@dataclass(frozen=True)
class Job:
    """One training, decided: its resolved config and its run folder.

    loaded: the resolved config and where its keys stand, in the file of this call or in the run's own copy.
    overruled: a warning about a key that is idle, or "".
    """

    command: Command
    loaded: LoadedConfig
    run: RunFolder
    runs: Path
    spelled: str
    overruled: str = ""

    @property
    def config(self) -> ExperimentConfig:
        return self.loaded.config

    @property
    def resume_line(self) -> str:
        return spelled(self.command, "--runs", str(self.runs), "--resume", self.run.label)


def decide(request: TrainRequest) -> Job:
    """The config and the run folder of this call; a config that differs from the run's own is a `ConfigError`."""
    if request.resume:
        return _job_of_run(request, find_run_to_resume(request.resume, request.runs))
    if request.config is None:
        raise UsageError("CONFIG is missing", "name a config file, or a run with --resume RUN")
    given = load(request.config, request.overrides)
    loaded = _resolved(given, request.command, request.runs)
    _check_published(loaded)
    run = RunFolder(request.runs / loaded.config.name / check_run_id(request.run_id or new_run_id()))
    job = Job(request.command, loaded, run, request.runs, _spelled(request), given.overruled)
    if run.record.exists():
        check_run_folder(run.path)
        _check_same(job)
    return job


def _check_published(loaded: LoadedConfig) -> None:
    """What only the command decides: `finetune` starts from imagenet where nothing is said, `pretrain` from scratch."""
    model = loaded.config.model
    if model.weights == "imagenet" and (reason := missing_weights_reason(model.base)):
        with loaded.placing():
            raise ConfigError(f"model.weights: {reason}", "say where the weights come from, or use pretrain")


def load_resolved(path: Path, overrides: tuple[str, ...], command: Command, runs: Path) -> LoadedConfig:
    """The resolved config, with the places of its keys."""
    return _resolved(load(path, overrides), command, runs)


def _resolved(loaded: LoadedConfig, command: Command, runs: Path) -> LoadedConfig:
    return replace(loaded, config=resolve(with_structure(loaded.config, runs), command))


def _job_of_run(request: TrainRequest, run: RunFolder) -> Job:
    """`--resume RUN`: everything comes from the run; a CONFIG given as well must say the same."""
    if request.run_id or (request.overrides and request.config is None):
        raise UsageError("--resume takes everything from the run", "leave --run-id out, and --set without a CONFIG")
    if run.path.is_symlink() or not run.path.name:  # `latest`, or `.` inside the run
        run = RunFolder(Path(os.path.realpath(run.path)))
    stored = StoredRun(run)
    workflow = stored.record.workflow or request.command
    if workflow not in get_args(Command):
        raise ArtefactError(f"{run.record} is damaged: it says {workflow[:80]!r} for workflow", "restore the run")
    command = cast(Command, workflow)
    job = Job(command, stored.loaded, run, run.path.parent.parent, _spelled(request))
    if request.config is not None:
        _check_same(replace(job, loaded=load_resolved(request.config, request.overrides, command, request.runs)))
    return job


def _check_same(job: Job) -> None:
    ours, theirs = dump(job.config), _text_of(job.run)
    if ours != theirs:
        old, new = set(theirs.splitlines()), set(ours.splitlines())
        changed = "; ".join(line.strip() for line in ours.splitlines() if line not in old) or "; ".join(old - new)
        raise ConfigError(
            f"run {job.run.label} was started with another config; this one says: {changed}",
            "use the config the run was started with, or start a new run with another --run-id; to train its weights"
            f" further, give the new run model.weights: {{run: {job.run.label}}} and model.head.init: keep",
        )


def _text_of(run: RunFolder) -> str:
    try:
        return run.config.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ArtefactError(f"the config of {run.label} cannot be read: {error}", "restore the run") from error


def _spelled(request: TrainRequest) -> str:
    """The command as typed, but for absolute paths, for run.json and the report."""
    words = [told(request.config)] if request.config else []
    words += [word for text in request.overrides for word in ("--set", text)]
    words += ["--run-id", request.run_id] if request.run_id else []
    return spelled(request.command, *words, *runs_option(request.runs))
