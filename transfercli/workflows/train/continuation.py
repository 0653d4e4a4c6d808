"""Jobs of `--continue RUN --epochs N`: a new run that starts as a copy of a completed one and trains further epochs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from transfercli.config.loader import load
from transfercli.config.schema import ExperimentConfig, PhaseConfig, RunWeights
from transfercli.errors import ArtefactError, ConfigError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, check_run_id, new_run_id
from transfercli.runs.listing import resume_command
from transfercli.runs.lookup import find_run
from transfercli.runs.record import RunRecord
from transfercli.runs.untrusted import check_run_folder
from transfercli.text import counted
from transfercli.workflows.command_lines import command_line, run_arguments
from transfercli.workflows.confidence import without_default_target
from transfercli.workflows.new_model import find_parent
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import Command, Job
from transfercli.workflows.train.recorded_config import as_recorded
from transfercli.workflows.train.training_data import fingerprint

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset
    from transfercli.training.continuation import Continuation
    from transfercli.training.phases import Phase
    from transfercli.workflows.train.setup import Setup

# Keys that may change between a run and its further epochs: they say how it trains, and not what.
CHANGEABLE = ("training.optimizer", "training.schedule", "training.early_stopping")
ANOTHER_RUN = "a new run with model.weights: {run: RUN} and model.head.init: keep may change every key"


@dataclass(frozen=True)
class ContinueRequest:
    """Options of `pretrain --continue` and `finetune --continue`. epochs: number of further epochs."""

    command: Command
    run: str
    epochs: int
    runs: Path
    overrides: tuple[str, ...] = ()
    run_id: str | None = None
    wait: float = 0.0
    dry_run: bool = False


def continuing_job(request: ContinueRequest) -> Job:
    """Return the job of a new run that trains further epochs after a completed one, with its data and its model.

    Raises `ArtefactError` if that run is missing or not complete, `ConfigError` if it has no gradient epochs to go on
    with, or an override is of another key than `CHANGEABLE`.
    """
    check_overrides(request.overrides)
    earlier = _earlier_run(request)
    runs = _runs_folder(earlier.folder, request.runs)
    run = RunFolder(runs / earlier.folder.experiment / check_run_id(request.run_id or new_run_id()))
    _check_complete(earlier, request)
    phases = _phases(earlier)
    config = _with_overrides(earlier, request.overrides)
    rate = _peak_rate(phases, earlier.config, config)
    from transfercli.training.checkpoints import Checkpoints
    from transfercli.training.continuation import continued

    last = Checkpoints(earlier.folder.checkpoints).load("last")
    plan = continued(phases, last, earlier.config.training, config.training, rate, request.epochs)
    config = _with_plan(config, plan, earlier.label)
    if run.record.exists():
        check_run_folder(run.path)
        as_recorded(config, None, StoredRun(run))
    further = plan.phases
    if request.dry_run:  # the cost of the further epochs alone
        further = (replace(plan.phases[-1], epochs=request.epochs, schedule_start=0),)
    return Job(
        cast(Command, earlier.record.workflow or request.command),
        replace(earlier.loaded, config=config),
        run,
        runs,
        _command_line(request, earlier),
        marks={"continues": _mark(earlier, plan, last.progress["epoch"], request.epochs)},
        phases=further,
    )


def check_overrides(overrides: tuple[str, ...]) -> None:
    """Raise `ConfigError` if an override is of a key that further epochs must not change."""
    for text in overrides:
        key = text.partition("=")[0].strip()
        if not any(key == section or key.startswith(f"{section}.") for section in CHANGEABLE):
            raise ConfigError(
                f"--set {key}: --continue keeps the data, the model and what trains; allowed: keys of"
                f" {', '.join(CHANGEABLE)}",
                f"leave it out; {ANOTHER_RUN}",
            )


def _earlier_run(request: ContinueRequest) -> StoredRun:
    """Return the run to go on with. A new run that is started again names the run it goes on with in its record."""
    found = find_run(request.run, request.runs)
    if found.run_id != request.run_id:
        return StoredRun(found)
    mark = RunRecord.read(found).continues
    if mark is None:
        raise ConfigError(
            f"--run-id {request.run_id} is the run to continue itself, and --continue makes a new run",
            "give another --run-id, or leave it out",
        )
    return StoredRun(find_run(str(mark["run"]), _runs_folder(found, request.runs)))


def _runs_folder(run: RunFolder, runs: Path) -> Path:
    """Return the folder of all runs that a run is in: `runs` as it was given if it is that one."""
    own = Path(os.path.realpath(run.path)).parent.parent
    return runs if os.path.realpath(runs) == str(own) else own


def _check_complete(earlier: StoredRun, request: ContinueRequest) -> None:
    """Raise `ArtefactError` if the run is not complete, `UsageError` if it was not trained."""
    if earlier.record.workflow == "merge":
        members = ", ".join(member["run"] for member in earlier.record.members)
        raise UsageError(
            f"{earlier.label} was merged from other runs, and has no epochs of its own to go on with",
            f"continue one of them: {members}",
        )
    if earlier.record.workflow not in (None, *get_args(Command)):
        raise ArtefactError(
            f"{earlier.folder.record} is damaged: its workflow is {str(earlier.record.workflow)[:80]!r}",
            "restore the run",
        )
    if (status := earlier.status) == "completed":
        return
    resume = resume_command(earlier.folder, request.runs, earlier.record.workflow)
    raise ArtefactError(
        f"{earlier.label} is {status}, and --continue needs a completed run",
        "wait until it is completed" if status == "running" else f"finish its own epochs first: {resume}",
    )


def _phases(earlier: StoredRun) -> list[Phase]:
    """Return the phases of a run. Raises `ConfigError` if no further gradient epochs can follow."""
    from transfercli.training.phases import recorded_phases

    phases = recorded_phases(earlier.record.phases)
    if not any(phase.kind == "train" for phase in phases):
        raise ConfigError(
            f"{earlier.label} has no gradient epochs: its head is a solution, which more epochs would not change",
            "to fine-tune the base, train a new run with transfer.strategy: partial, or with model.weights:"
            f" {{run: {earlier.label}}}, model.head.init: keep and transfer.phases",
        )
    if earlier.record.refitted:
        raise ConfigError(
            f"{earlier.label} learnt from its validation images in the end (training.refit), so they could not judge"
            " further epochs",
            "train a new run with training.refit: false, which can be continued",
        )
    return phases


def _with_overrides(earlier: StoredRun, overrides: tuple[str, ...]) -> ExperimentConfig:
    """Return the run's config with the overrides, which are of keys of the optimizer, schedule and early stopping."""
    stored = earlier.config
    config = stored.model_copy(update={"evaluation": without_default_target(stored.evaluation)})
    if not overrides:
        return config
    changed = load(earlier.folder.config, overrides).config.training
    sections = {key: getattr(changed, key) for key in ("optimizer", "schedule", "early_stopping")}
    return config.model_copy(update={"training": config.training.model_copy(update=sections)})


def _peak_rate(phases: list[Phase], before: ExperimentConfig, after: ExperimentConfig) -> float:
    """Return the peak learning rate of the further epochs.

    It is that of the last gradient phase; if the optimizer's rate is changed, the phase has the same fraction of it,
    or all of it if its config gives the phase a rate of its own.
    """
    rate = next(phase.learning_rate for phase in reversed(phases) if phase.kind == "train")
    old, new = (config.training.optimizer.learning_rate for config in (before, after))
    if new == old:
        return rate
    explicit = before.transfer.phases
    return new if explicit and explicit[-1].learning_rate is not None else new * (rate / old)


def _with_plan(config: ExperimentConfig, plan: Continuation, label: str) -> ExperimentConfig:
    """Return the config of the new run: weights of the run `label`, and the epochs of the plan."""
    gradient = [phase for phase in plan.phases if phase.kind == "train"]
    head = config.model.head.model_copy(update={"init": "keep"})
    model = config.model.model_copy(update={"weights": RunWeights(run=label), "head": head})
    training = config.training.model_copy(update={"epochs": sum(phase.epochs for phase in gradient)})
    transfer = config.transfer
    if transfer.phases:
        keys = ("unfreeze", "epochs", "learning_rate", "decay")
        phases = [PhaseConfig(**{key: getattr(phase, key) for key in keys}) for phase in gradient]
        transfer = transfer.model_copy(update={"phases": phases})
    return config.model_copy(update={"model": model, "training": training, "transfer": transfer})


def _mark(earlier: StoredRun, plan: Continuation, epoch: int, epochs: int) -> dict[str, Any]:
    """Return the record of what the further epochs go on with."""
    return {
        "run": earlier.label,
        "epoch": epoch,
        "epochs": epochs,
        "optimizer": "kept" if plan.keeps_optimizer else "new",
        "schedule": "new" if plan.restarts_schedule else "kept",
    }


def _command_line(request: ContinueRequest, earlier: StoredRun) -> str:
    arguments = ["--continue", *run_arguments(earlier.folder, request.runs), "--epochs", str(request.epochs)]
    arguments += [part for override in request.overrides for part in ("--set", override)]
    arguments += ["--run-id", request.run_id] if request.run_id else []
    return command_line(request.command, *arguments)


# -- steps of the training


def check_same_images(job: Job, dataset: Dataset) -> None:
    """Raise `DataError` if the images of a job that goes on with another run are not that run's, or in other splits."""
    mark = job.marks.get("continues")
    if mark is None:
        return
    earlier = StoredRun(find_run(mark["run"], job.runs))
    if earlier.record.fingerprint != fingerprint(dataset):
        raise DataError(
            f"the data changed since {earlier.label} was trained, so its training cannot go on",
            f"restore the images, or train on the new ones from its weights: {ANOTHER_RUN}",
        )


def copy_earlier_epochs(job: Job, setup: Setup, reporter: Reporter) -> None:
    """Copy the epochs of the run that this one goes on with, unless they were copied already.

    The lines of metrics.jsonl, the checkpoints of the best and the last epoch, and what was measured on the images that
    score the best are copied, so that the new run is complete without the earlier one.
    """
    from transfercli.training.checkpoints import Checkpoints
    from transfercli.training.continuation import Continuation, continued_checkpoint

    record = RunRecord.read(job.run)
    mark = record.continues
    if mark is None or setup.checkpoints.newest_epoch >= mark["epoch"]:
        return
    earlier = find_parent(job.config, job.runs, record.parent).run
    assert earlier is not None, "a run that goes on with another has its weights"
    checkpoints, before, after = Checkpoints(earlier.folder.checkpoints), earlier.config.training, job.config.training
    last, best = checkpoints.load("last"), checkpoints.load("best")
    plan = Continuation(setup.plan.phases, mark.get("optimizer") == "kept", mark.get("schedule") == "new")
    for name in ("calibration", "held_out", "metrics"):
        if (source := getattr(earlier.folder, name)).exists():
            shutil.copyfile(source, getattr(job.run, name))
    best_epoch = best.progress["epoch"]
    further = continued_checkpoint(last, best.progress["line"], plan, before, after)
    if best_epoch != mark["epoch"]:
        setup.checkpoints.save(best_epoch, best, is_best=True)
    setup.checkpoints.save(mark["epoch"], further, is_best=best_epoch == mark["epoch"])
    for text in explanation(mark, setup, best.progress["line"]):
        reporter.info(text)


def explanation(mark: Mapping[str, Any], setup: Setup, best: Mapping[str, Any]) -> list[str]:
    """Return sentences on the weights, the optimizer and the learning rate that the further epochs start with."""
    training, phase = setup.plan.training, setup.plan.phases[-1]
    name, schedule, epochs = training.optimizer.name, training.schedule.name, counted(mark["epochs"], "epoch")
    if mark["optimizer"] == "kept":
        start = f"with the weights of that epoch, its last, and the state of {name}"
    else:
        which = "best" if training.early_stopping else "last"
        start = f"with the weights of its {which} epoch and a new {name}, without state, as there is none that fits"
    if mark["schedule"] == "kept" and schedule == "constant":
        rates = f"the learning rate stays at {phase.learning_rate:g}"
    elif mark["schedule"] == "kept":
        rates = f"the learning rate goes on along its schedule, {schedule}"
    else:
        restart = " (a warm restart)" if schedule == "cosine" and mark["optimizer"] == "kept" else ""
        rates = (
            f"the schedule {schedule} begins again{restart}, over {epochs}, at {phase.learning_rate:g}:"
            " --set training.optimizer.learning_rate and training.schedule change it"
        )
    score = f"val_loss {best['val_loss']:.4f}"
    return [
        f"{epochs} more after epoch {mark['epoch']} of {mark['run']}, {start}",
        rates,
        f"the best epoch so far is {best['epoch']} ({score}); it stays the best until a later one is better",
    ]
