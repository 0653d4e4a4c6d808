"""Workflow of `merge`: one model from several runs, a run like any other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from transfercli.errors import ConfigError, UsageError
from transfercli.io import atomic
from transfercli.models.tasks.calibration import IDENTITY
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, check_run_id, new_run_id
from transfercli.runs.listing import latest_completed, update_latest_link
from transfercli.runs.lock import experiment_lock
from transfercli.runs.record import RunRecord
from transfercli.workflows.command_lines import command_line, runs_option
from transfercli.workflows.confidence import report_confidence, report_label_confidence
from transfercli.workflows.evaluate.provenance import model_fingerprint
from transfercli.workflows.merge.answers import ALL, answers_of
from transfercli.workflows.merge.gains import gains
from transfercli.workflows.merge.members import check_same_network, check_same_task, find_members
from transfercli.workflows.merge.new_run import cross_validated, write_run
from transfercli.workflows.merge.result import MergeResult
from transfercli.workflows.merge.scoring import MergedModel, average, order_of, soup
from transfercli.workflows.merge.tasks import steps_of
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun

How = Literal["average", "soup"]


@dataclass(frozen=True)
class MergeRequest:
    """Options of `merge`. name: EXPERIMENT, or EXPERIMENT/RUN_ID, of the new run."""

    members: tuple[str, ...]
    name: str
    runs: Path
    how: How = "average"
    wait: float = 0.0


def merge_runs(request: MergeRequest, reporter: Reporter) -> MergeResult:
    """Make one model of several runs. Nothing is written before all of them are checked.

    The same members merged again under the same name give the run that is there. Raises `ConfigError` if the name is
    that of another run, `ArtefactError` if the runs cannot become one model.
    """
    started = time.perf_counter()
    experiment, run_id = _named(request.name)
    members = find_members(request.members, request.runs, reporter)
    for member in members:
        refuse_numbers(member.config.task, "merge")
    check_same_task(members)
    steps_of(members[0].config.task)
    if request.how == "soup":
        check_same_network(members)
    folder = request.runs / experiment
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with experiment_lock(folder, request.wait, waiting):
        atomic.remove_temporaries(folder)
        existing = RunFolder(folder / run_id) if run_id else latest_completed(folder)
        if existing is not None and existing.path.exists():
            return _finished(existing, request, members, reporter)
        run = RunFolder(folder / (run_id or new_run_id()))
        model = _merged(members, request.how, reporter)
        facts = {
            "command": _command_line(request),
            "merged": _facts(request.how, model, members[0].config.seed),
            "seconds": {"total": round(time.perf_counter() - started, 1)},
        }
        write_run(run, model, facts, reporter)
        update_latest_link(run)
    _report_confidence(StoredRun(run), model, reporter)
    return MergeResult.read(run)


def _report_confidence(run: StoredRun, model: MergedModel, reporter: Reporter) -> None:
    evaluation = model.members[0].config.evaluation
    if run.several:
        report_label_confidence(run.label_trust, evaluation, reporter)
    else:
        report_confidence(run.trust, evaluation, reporter, refitted=cross_validated(model) is not None)


def _named(name: str) -> tuple[str, str | None]:
    """Return the experiment and, if it is given, the run id. Raises `UsageError` if one cannot name a folder."""
    experiment, slash, run_id = name.partition("/")
    try:
        check_run_id(experiment)
        return experiment, check_run_id(run_id) if slash else None
    except UsageError as error:
        raise UsageError(f"--as {name!r} does not name a run: {error.message}", error.hint) from None


def _finished(run: RunFolder, request: MergeRequest, members: Sequence[StoredRun], reporter: Reporter) -> MergeResult:
    """Return the result of a run that is there already. Raises `ConfigError` if it is not this merge."""
    merged = RunRecord.read(run).merged
    recorded = {member.get("model") for member in RunRecord.read(run).members}
    if merged.get("how") != request.how or recorded != {model_fingerprint(member.folder) for member in members}:
        what = f"it was made of {_listed(run)} by --how {merged.get('how')}" if merged else "it was trained"
        name = request.name.partition("/")[0]
        raise ConfigError(
            f"--as {request.name}: {run.label} exists, and is not this merge: {what}",
            f"choose another name, or --as {name}/RUN_ID with a new RUN_ID to add a run to that experiment",
        )
    reporter.info(f"{run.label} is complete already; this is its result")
    return MergeResult.read(run)


def _listed(run: RunFolder) -> str:
    return ", ".join(member["run"] for member in RunRecord.read(run).members)


def _merged(members: Sequence[StoredRun], how: How, reporter: Reporter) -> MergedModel:
    answers = answers_of(members, reporter)
    order = order_of(answers, members)
    ordered, answers = [members[row] for row in order], answers.of_members(order)
    _prepare_backend(ordered[0])
    return average(ordered, answers) if how == "average" else soup(ordered, answers, reporter)


def _prepare_backend(run: StoredRun) -> None:
    from transfercli.training.backend import prepare

    prepare(run.config.compute, run.config.seed, run.reporter)


def _command_line(request: MergeRequest) -> str:
    how = ["--how", request.how]
    return command_line("merge", *request.members, "--as", request.name, *how, *runs_option(request.runs))


def _facts(how: How, model: MergedModel, seed: int) -> dict[str, Any]:
    """Return the key `merged` of the record: the members, the images that score the model, and its gains."""
    answers, members = model.answers, model.members
    losses = answers.losses([member.calibration if how == "average" else IDENTITY for member in members])
    return {
        "how": how,
        "members": [
            {
                "run": member.label,
                "model": model_fingerprint(member.folder),
                "parent": member.record.parent,
                "val_accuracy": _mean(right, answered),
                "val_loss": _mean(loss, answered),
                "used": row in model.kept,
            }
            for row, (member, right, loss, answered) in enumerate(
                zip(members, answers.right, losses, answers.answered, strict=True)
            )
        ],
        "scored": {
            "images": len(answers),
            "answers_of": answers.by,
            "chosen_on_them": how == "soup",
            "left_out": answers.left_out,
            "flattered": answers.flattered,
        },
        "gains": _gains(model, losses, seed) if answers.by == ALL and not answers.flattered else {},
    }


def _mean(values: np.ndarray, answered: np.ndarray) -> float:
    return float(values[answered].mean())


def _gains(model: MergedModel, losses: np.ndarray, seed: int) -> dict[str, Any]:
    """Return the gains over the best member, which is the first, and over the mean of all members."""
    answers, merged, right = model.answers, model.logits.astype(np.float64), model.answers.right
    after = answers.steps.right(merged, answers.targets), answers.steps.losses(merged, answers.targets)
    before = {"best_member": (right[0], losses[0]), "mean_member": (right.mean(axis=0), losses.mean(axis=0))}
    return {name: gains(values, after, answers.groups, seed) for name, values in before.items()}
