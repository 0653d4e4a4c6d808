"""Workflow of `retrain`, for scheduled jobs: train a challenger if something changed, and choose the champion.

It may be called at any time and any number of times. The chance that it ever promotes a challenger that is not better,
in all nights that use the same test images, is at most 1 - `retrain.promote.lifetime_confidence`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.types import MULTILABEL
from transfercli.data.cache.recheck import Recheck
from transfercli.data.load import load_dataset
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.errors import DataError
from transfercli.evaluation.statistics.promotion import Verdict, decide_promotion
from transfercli.export.formats.registry import check_formats
from transfercli.reporting import Reporter
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import PROMOTIONS, Decision
from transfercli.runs.lock import experiment_lock
from transfercli.runs.test_ledger import read_test_ledger
from transfercli.workflows.export.export import check_networks
from transfercli.workflows.recorded_weights import find_weight_file
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.retrain.alerts import ALERTS, reported_alerts
from transfercli.workflows.retrain.challenger import (
    config_of_images,
    export_failure,
    image_changes,
    train_challenger,
)
from transfercli.workflows.retrain.champion_versions import add_champion_version
from transfercli.workflows.retrain.comparison import compare_on_test_images
from transfercli.workflows.retrain.expected import add_expected, check_monitor, decide_if_as_expected
from transfercli.workflows.retrain.lifetime import budget_warnings
from transfercli.workflows.retrain.lost_images import (
    find_loss,
)
from transfercli.workflows.retrain.notify import run_hook, write_summary
from transfercli.workflows.retrain.results import FORMER, Alerted, Rejected, RetrainResult
from transfercli.workflows.retrain.state import RetrainRequest, RetrainState
from transfercli.workflows.retrain.subject import (
    DeferredWarnings,
    failure_logged,
    subject_of,
)
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import load_resolved
from transfercli.workflows.train.tracking import check_tracking
from transfercli.workflows.train.train import prepare_backend
from transfercli.workflows.train.training_data import data_request

if TYPE_CHECKING:
    from transfercli.config.loader import LoadedConfig


def retrain(request: RetrainRequest, reporter: Reporter) -> RetrainResult:
    """Train a challenger if there is a reason to, and decide which run is the champion.

    Every call that gets the lock adds a line to the log of decisions, also if it ends in an error, unless it is
    interrupted.

    Raises `Rejected`, which carries the result, if the challenger is rejected: it is significantly worse, or a gate, a
    recall, the latency or an export fails. Raises `DataError` if there are no test images.
    """
    loaded = load_resolved(request.config, request.overrides, "finetune", request.runs, reporter)
    refuse_numbers(loaded.config.task, "retrain")
    check_monitor(loaded.config)
    check_tracking(loaded.config)
    experiment = request.runs / loaded.config.name
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with loaded.placing(), experiment_lock(experiment, request.wait, waiting), failure_logged(experiment):
        state = load_state(request, loaded, experiment, reporter)
        decision = decide_if_unchanged(state)
        state.warnings.release(state.log, show=decision is None)
        if decision is None:
            state = add_expected(add_drift(state))
            decision = (
                decide_if_not_drifted(state) or decide_if_as_expected(state) or train_and_compare(state, reporter)
            )
        decision = state.watch.completed(decision, experiment)
        if decision.decision in PROMOTIONS:
            champions.promote_run(experiment, decision)
        else:
            decisions.append(experiment, decision)
        version = add_champion_version(experiment, loaded.config.retrain, reporter)
    result = replace(RetrainResult.of(experiment, decision), version=version)
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
    read_test_ledger(experiment)  # a damaged one is an error now, and not after the training
    champion_folder = champions.apply_last_promotion(experiment)
    champion = StoredRun(champion_folder, reporter) if champion_folder else None
    find_weight_file(loaded.config, champion.record if champion else None, reporter)
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
    subject = subject_of(loaded, dataset, request.runs, reporter)
    several = loaded.config.task == MULTILABEL
    earlier = champion.images if champion else ()
    loss = find_loss(loaded.config.data.expect, dataset.records, log, earlier, several=several)
    if loss and loaded.config.retrain.alert.images_lost:
        reporter.warning(loss.text)
    return RetrainState(request, loaded, experiment, champion, dataset, subject, log, warnings, loss)


def decide_if_unchanged(state: RetrainState) -> Decision | None:
    """Return the decision "unchanged" if the last decision was about the same subject, else None."""
    when, last = state.config.retrain.when, state.last_decision
    if state.needs_expected:  # the same images were perhaps not trained on yet, as the champion was good enough
        last = next((decision for decision in reversed(state.log) if decision.challenger), None)
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
    formats = tuple(state.config.export.formats)
    check_formats(formats)  # a format that cannot be written is an error before training, not after it
    check_networks(state.config, formats)
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
    if verdict.decision == "promoted" and state.champion:
        facts[FORMER] = state.champion.folder.run_id
    decision = state.decision(verdict.decision, verdict.reason, **facts)
    promoted: dict[str, Any] = {"champion": challenger.run_id} if promoted_now else {}
    return replace(decision, challenger=challenger.run_id, **promoted)
