"""Challenger of a `retrain` command: the weights it starts from, its training, and its export."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from transfercli.data.quality.diff import compare
from transfercli.errors import GateError, Interrupted, OutOfSpaceError, TransferError, is_out_of_space
from transfercli.io.atomic import append_line
from transfercli.redaction import hide_paths
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.new_model import with_parent_reading
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.retrain.state import RetrainRequest, RetrainState
from transfercli.workflows.retrain.subject import challenger_id, reason_of
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest, load_for_new_run, resolve_job
from transfercli.workflows.train.run_start import RESTART_HINT
from transfercli.workflows.train.train import read_data, train_job

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig


SOLVED = ("linear_probe", "multilayer_probe", "auto")  # strategies that solve for a new head on the champion's base


def train_challenger(state: RetrainState, reporter: Reporter) -> RunFolder:
    """Train a run to its end, from the champion's weights if the architectures match, else from `model.weights`."""
    start = warm_start(state, reporter)
    run_id = challenger_id(state.experiment, state.subject, start, state.log, reporter)
    overrides = (*state.request.overrides, *start)
    # Without a reporter, which `retrain` gave when it resolved the same config.
    job = resolve_job(TrainRequest("finetune", state.request.config, state.request.runs, overrides, run_id))
    # A run that is resumed may read images in another way than a new one would.
    same_pixels = geometry_of(job.config) == geometry_of(config_of_images(state.request, state.config, state.champion))
    train_job(job, reporter, read=(lambda *_: state.dataset) if same_pixels else read_data)
    reporter.describe_forced_stop(
        lambda signum: Interrupted(signum, f"stopped; {job.run.label} is trained and kept", RESTART_HINT)
    )
    return job.run


def warm_start(state: RetrainState, reporter: Reporter) -> tuple[str, ...]:
    """Return the config overrides for a start from the champion's weights; none for a start from `model.weights`."""
    config, champion = state.config, state.champion
    if champion is None or config.retrain.start == "base":
        return ()
    if different := structure_differences(config, champion):
        reporter.warning(
            f"the champion has another {' and '.join(different)}: the challenger starts from model.weights"
        )
        return ()
    weights = f"model.weights={{run: {champion.label}}}"
    solved = config.transfer.strategy in SOLVED and not image_changes(state).get("lost_classes")
    return (weights,) if solved else (weights, "model.head.init=extend")


def structure_differences(config: ExperimentConfig, champion: StoredRun) -> list[str]:
    """Return the keys for which the challenger cannot start from the champion's weights; empty if it can."""
    ours, theirs = _structure(config), _structure(champion.config)
    different = [name for name, value in ours.items() if value != theirs[name]]
    if "head" not in different and config.transfer.strategy not in SOLVED and not _reads_as(config, champion.config):
        different.append("head")
    return different


def _structure(config: ExperimentConfig) -> dict[str, Any]:
    """Return the config values that the shapes of the weights depend on, without the layers that the head reads."""
    head = config.model.head.model_dump(exclude={"init", "dropout", "taps", "normalisation"})
    return {"base": config.model.base, "data.channels": config.data.channels, "head": head}


def _reads_as(config: ExperimentConfig, earlier: ExperimentConfig) -> bool:
    """Return True if a head that is extended may read what the earlier one reads; it takes what is not set from it."""
    head, then = config.model.head, earlier.model.head
    same_layers = bool(then.taps) if head.taps == "stages" else set(head.taps or ()) == set(then.taps or ())
    return (head.taps is None or same_layers) and head.normalisation in (None, then.normalisation)


def image_changes(state: RetrainState) -> dict[str, Any]:
    """Return the differences between the images and those of the champion: numbers, and names of classes.

    A class is lost if the champion's head has it and the data does not, even if the champion's data did not have it.
    """
    if state.champion is None:
        return {}
    difference = compare(state.champion.images, state.dataset.records, several=state.several)
    counts = {name: len(getattr(difference, name)) for name in ("added", "removed", "changed", "relabelled")}
    before, now = state.champion.labels, state.dataset.labels
    return {
        **counts,
        "new_classes": [label for label in now if label not in before],
        "lost_classes": [label for label in before if label not in now],
    }


def export_failure(challenger: RunFolder, state: RetrainState, reporter: Reporter) -> str:
    """Export in the config's formats; return the reason if that fails or an artefact does not match, else "".

    A failure is a decision about this challenger: another night with the same data would fail again. Only a stop and a
    lack of space are not, since they are not the challenger's.
    """
    from transfercli.workflows.export.export import ExportRunRequest, export_run

    try:
        export_run(ExportRunRequest(str(challenger.path), state.request.runs), reporter)
    except GateError as error:
        return error.message
    except (Interrupted, OutOfSpaceError):
        raise
    except Exception as error:
        if is_out_of_space(error):
            raise
        with suppress(TransferError, OSError):
            append_line(challenger.log, hide_paths("".join(traceback.format_exception(error)).rstrip()))
        return f"the export failed: {reason_of(error)}"
    return ""


def config_of_images(request: RetrainRequest, config: ExperimentConfig, champion: StoredRun | None) -> ExperimentConfig:
    """Return the config that the images are read with: as the run does that the challenger starts from."""
    if champion is not None and config.retrain.start != "base" and not structure_differences(config, champion):
        return with_parent_reading(config, champion.label, request.runs)[0]
    return load_for_new_run(request.config, request.overrides, "finetune", request.runs).config
