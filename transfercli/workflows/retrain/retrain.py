"""Workflow of `retrain`, for scheduled jobs: train a challenger if something changed, and choose the champion.

It may be called at any time and any number of times. The chance that it ever promotes a challenger that is not better,
in all nights that use the same test images, is at most 1 - `retrain.promote.lifetime_confidence`.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.data.cache.recheck import Recheck
from transfercli.data.load import load_dataset
from transfercli.data.quality.diff import compare
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.errors import DataError, GateError, Interrupted, OutOfSpaceError, TransferError, is_out_of_space
from transfercli.evaluation.statistics.promotion import Verdict, decide_promotion
from transfercli.export.formats.registry import check_formats
from transfercli.io.atomic import append_line
from transfercli.redaction import hide_paths
from transfercli.reporting import Reporter
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import PROMOTIONS, Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.new_model import with_parent_reading
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.retrain.alerts import ALERTS, reported_alerts
from transfercli.workflows.retrain.comparison import compare_on_test_images
from transfercli.workflows.retrain.lifetime import budget_warnings
from transfercli.workflows.retrain.lost_images import (
    BEFORE,
    IMAGES,
    NUMBER_EXPECTED,
    Loss,
    expects_number,
    find_loss,
    image_counts,
)
from transfercli.workflows.retrain.notify import run_hook, write_summary
from transfercli.workflows.retrain.results import Alerted, Rejected, RetrainResult
from transfercli.workflows.retrain.subject import (
    WARNINGS_HASH,
    DeferredWarnings,
    Subject,
    challenger_id,
    failure_logged,
    reason_of,
    subject_of,
)
from transfercli.workflows.retrain.watch import ChampionWatch
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest, load_for_new_run, load_resolved, resolve_job
from transfercli.workflows.train.run_start import RESTART_HINT
from transfercli.workflows.train.tracking import check_tracking
from transfercli.workflows.train.train import prepare_backend, train_job
from transfercli.workflows.train.training_data import data_request

if TYPE_CHECKING:
    from transfercli.config.loader import LoadedConfig
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.dataset import Dataset


@dataclass(frozen=True)
class RetrainRequest:
    """Arguments of `retrain`.

    Attributes:
        wait: seconds to wait for the experiment's lock.
        summary: file to append the decision to, as Markdown, or None.
        hooks: True if the program in `retrain.on_decision` may be run.
    """

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    wait: float = 0.0
    summary: Path | None = None
    hooks: bool = False


@dataclass(frozen=True)
class RetrainState:
    """State of one `retrain` command while it holds the experiment's lock.

    Attributes:
        champion: None if the experiment has no champion.
        dataset: the current images.
        subject: hashes of the current images, config, code and weights.
        log: all earlier decisions, oldest first.
        warnings: warnings of the reading of the images, not shown yet.
        loss: images that are gone since an earlier night, if there are many and the config does not expect it.
        drift: of the images that were added since the champion; None if it is not needed, or if there are none.
    """

    request: RetrainRequest
    loaded: LoadedConfig
    experiment: Path
    champion: StoredRun | None
    dataset: Dataset
    subject: Subject
    log: list[Decision]
    warnings: DeferredWarnings
    loss: Loss | None = None
    drift: dict[str, Any] | None = None

    @property
    def config(self) -> ExperimentConfig:
        return self.loaded.config

    @property
    def needs_drift(self) -> bool:
        """True if a challenger is trained only after a drift of the images."""
        return self.config.retrain.when == "drifted" and self.champion is not None

    @property
    def last_decision(self) -> Decision | None:
        """The last decision of a `retrain` without an error, or None."""
        return decisions.last_retrain_decision(self.log)

    @property
    def watch(self) -> ChampionWatch:
        """The watch over the champion, whose alerts stand beside the decision."""
        return ChampionWatch(self.champion, self.dataset, self.config.retrain.alert, self.log, self.loss, self.drift)

    def decision(self, word: str, reason: str, **facts: Any) -> Decision:
        """Return a decision that keeps the champion. word: its kind; facts: values for the log."""
        champion = self.champion.folder.run_id if self.champion else None
        measured: dict[str, Any] = {IMAGES: image_counts(self.dataset.records)}
        if expects_number(self.config.data.expect):
            measured[NUMBER_EXPECTED] = True
        if self.loss:
            measured |= {"lost": self.loss.as_json(), BEFORE: self.loss.before}
        measured |= {"drift": self.drift} if self.drift else {}
        facts = {"subject": vars(self.subject), WARNINGS_HASH: self.warnings.hash, **measured, **facts}
        return Decision(word, reason, champion, fingerprint=self.subject.fingerprint, facts=facts)


def retrain(request: RetrainRequest, reporter: Reporter) -> RetrainResult:
    """Train a challenger if there is a reason to, and decide which run is the champion.

    Every call that gets the lock adds a line to the log of decisions, also if it ends in an error, unless it is
    interrupted.

    Raises `Rejected`, which carries the result, if the challenger is rejected: it is significantly worse, or a gate, a
    recall, the latency or an export fails. Raises `DataError` if there are no test images.
    """
    loaded = load_resolved(request.config, request.overrides, "finetune", request.runs)
    check_tracking(loaded.config)
    experiment = request.runs / loaded.config.name
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with loaded.placing(), experiment_lock(experiment, request.wait, waiting), failure_logged(experiment):
        state = load_state(request, loaded, experiment, reporter)
        decision = decide_if_unchanged(state)
        state.warnings.release(state.log, show=decision is None)
        if decision is None:
            state = add_drift(state)
            decision = decide_if_not_drifted(state) or train_and_compare(state, reporter)
        decision = state.watch.completed(decision, experiment)
        if decision.decision in PROMOTIONS:
            champions.promote_run(experiment, decision)
        else:
            decisions.append(experiment, decision)
    result = RetrainResult.of(experiment, decision)
    reporter.debug(f"{decision.decision}: {decision.reason}")  # the result has it, too
    for alert in reported_alerts(decision):
        if alert.kind != "images_lost":  # `load_state` warned of these, in time for an error that they lead to
            reporter.warning(alert.text)
    run_hook(loaded.config.retrain.on_decision, result, reporter, allowed=request.hooks)
    write_summary(request.summary, loaded.config.name, result, reporter)
    if decision.decision == "rejected":
        raise Rejected(result)
    if result.alerts and loaded.config.retrain.alert.exit:
        raise Alerted(result)
    return result


# -- steps


def load_state(request: RetrainRequest, loaded: LoadedConfig, experiment: Path, reporter: Reporter) -> RetrainState:
    """Apply a logged promotion that a killed command left undone, then read the champion and the images."""
    champion_folder = champions.apply_last_promotion(experiment)
    champion = StoredRun(champion_folder, reporter) if champion_folder else None
    if is_keras(loaded.config.data.train):
        prepare_backend(loaded.config)  # before Keras is imported for its data sets
    warnings, log = DeferredWarnings(reporter), decisions.read(experiment)
    try:
        reading = config_of_images(request, loaded.config, champion)
        images = replace(data_request(reading, experiment), recheck=Recheck(loaded.config.seed, len(log)))
        dataset = load_dataset(images, warnings)
    except Exception:
        warnings.release((), show=True)
        raise
    if "test" not in dataset.splits:
        raise DataError("retrain compares models on test images, and the data has none", "set data.test")
    subject = subject_of(loaded, dataset, request.runs)
    loss = find_loss(loaded.config.data.expect, dataset.records, log, champion.images if champion else ())
    if loss and loaded.config.retrain.alert.images_lost:
        reporter.warning(loss.text)
    return RetrainState(request, loaded, experiment, champion, dataset, subject, log, warnings, loss)


def config_of_images(request: RetrainRequest, config: ExperimentConfig, champion: StoredRun | None) -> ExperimentConfig:
    """Return the config that the images are read with: as the run does that the challenger starts from."""
    if champion is not None and config.retrain.start != "base" and not structure_differences(config, champion):
        return with_parent_reading(config, champion.label, request.runs)[0]
    return load_for_new_run(request.config, request.overrides, "finetune", request.runs).config


def decide_if_unchanged(state: RetrainState) -> Decision | None:
    """Return the decision "unchanged" if the last decision was about the same subject, else None."""
    when, last = state.config.retrain.when, state.last_decision
    if state.champion is None and (last is None or last.champion):  # there was no champion yet, or it was removed
        return None
    if when != "always" and last is not None and last.fingerprint == state.subject.fingerprint:
        return state.decision("unchanged", f"the same images, config, code and weights as {_last_attempt(state)}")
    return None


def _last_attempt(state: RetrainState) -> str:
    """Return the date and outcome of the last decision with a challenger, in words; else the date of the last one."""
    last = next((decision for decision in reversed(state.log) if decision.challenger), state.log[-1])
    return f"on {last.time[:10]}" + (f", when the challenger was {last.decision}" if last.challenger else "")


def add_drift(state: RetrainState) -> RetrainState:
    """Return the state with the drift of the images that were added since the champion, if it is needed."""
    from transfercli.workflows.data.drift import drift_since

    if state.champion is None or not (state.needs_drift or state.config.retrain.alert.drift):
        return state
    # A handle of its own: the champion's network is freed before the challenger trains.
    champion = StoredRun(state.champion.folder, state.champion.reporter)
    return replace(state, drift=drift_since(champion, state.dataset))


def decide_if_not_drifted(state: RetrainState) -> Decision | None:
    """Return the decision "unchanged" if only a drift starts a training and there is none, else None."""
    if not state.needs_drift:
        return None
    if state.drift is None:
        return state.decision("unchanged", "no image was added since the champion was trained", **{ALERTS: []})
    if not state.drift["drifted"]:
        reason = "the images that were added since have not drifted from the champion's"
        return state.decision("unchanged", reason, **state.watch.measured(None))
    return None


def train_and_compare(state: RetrainState, reporter: Reporter) -> Decision:
    """Train a challenger, compare it with the champion, and decide; a promoted run is exported before its promotion."""
    check_formats(tuple(state.config.export.formats))  # an unknown format is an error before training, not after it
    challenger = train_challenger(state, reporter)
    result = compare_on_test_images(state.champion, StoredRun(challenger, reporter), state.log, reporter)
    min_gain = state.config.retrain.promote.min_gain
    verdict = decide_promotion(result.comparison, result.failed, min_gain, result.limit, result.p_value)
    if verdict.decision in PROMOTIONS and (failure := export_failure(challenger, state, reporter)):
        verdict = Verdict("rejected", failure)
    promoted_now = verdict.decision in PROMOTIONS
    for text in budget_warnings(result.limit, promoted_now) if result.limit else ():
        reporter.warning(text)
    facts = {
        "changes": image_changes(state),
        **result.final_facts(promoted=promoted_now),
        **state.watch.measured(result),
    }
    decision = state.decision(verdict.decision, verdict.reason, **facts)
    promoted: dict[str, Any] = {"champion": challenger.run_id} if promoted_now else {}
    return replace(decision, challenger=challenger.run_id, **promoted)


def train_challenger(state: RetrainState, reporter: Reporter) -> RunFolder:
    """Train a run to its end, from the champion's weights if the architectures match, else from `model.weights`."""
    start = warm_start(state, reporter)
    run_id = challenger_id(state.experiment, state.subject, start, state.log, reporter)
    overrides = (*state.request.overrides, *start)
    job = resolve_job(TrainRequest("finetune", state.request.config, state.request.runs, overrides, run_id))
    # A run that is resumed may read images in another way than a new one would.
    same_pixels = geometry_of(job.config) == geometry_of(config_of_images(state.request, state.config, state.champion))
    train_job(job, reporter, dataset=state.dataset if same_pixels else None)
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
    solved = config.transfer.strategy in ("linear_probe", "auto") and not image_changes(state).get("lost_classes")
    return (weights,) if solved else (weights, "model.head.init=extend")


def structure_differences(config: ExperimentConfig, champion: StoredRun) -> list[str]:
    """Return the keys for which the challenger cannot start from the champion's weights; empty if it can."""
    ours, theirs = _structure(config), _structure(champion.config)
    return [name for name, value in ours.items() if value != theirs[name]]


def _structure(config: ExperimentConfig) -> dict[str, Any]:
    """Return the config values that the shapes of the weights depend on."""
    head = config.model.head.model_dump(exclude={"init", "dropout"})
    return {"base": config.model.base, "data.channels": config.data.channels, "head": head}


def image_changes(state: RetrainState) -> dict[str, Any]:
    """Return the differences between the images and those of the champion: numbers, and names of classes.

    A class is lost if the champion's head has it and the data does not, even if the champion's data did not have it.
    """
    if state.champion is None:
        return {}
    difference = compare(state.champion.images, state.dataset.records)
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
