"""`retrain`: what a cron line calls every night. Safe at any time, any number of times, and never worse than before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.data.load import load_dataset
from transfercli.data.quality.diff import compare
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.errors import DataError, GateError, Interrupted
from transfercli.evaluation.statistics.promotion import Verdict, decide_promotion
from transfercli.export.formats.registry import check_formats
from transfercli.reporting import Reporter
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import PROMOTIONS, Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.retrain.comparison import hold_contest
from transfercli.workflows.retrain.notify import run_hook, write_summary
from transfercli.workflows.retrain.results import RetrainResult
from transfercli.workflows.retrain.subject import WARNED, Subject, Withheld, challenger_id, failure_logged, subject_of
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest, load_resolved, resolve_job
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
    """summary: where Markdown for a person goes; hooks: whether `retrain.on_decision` may be run."""

    config: Path
    runs: Path
    overrides: tuple[str, ...] = ()
    wait: float = 0.0
    summary: Path | None = None
    hooks: bool = False


class Rejected(GateError):
    """The challenger was not good enough; carries the normal result."""

    def __init__(self, result: RetrainResult) -> None:
        super().__init__(f"the challenger is rejected, the champion stays: {result.reason}")
        self.result = result


@dataclass(frozen=True)
class Night:
    """One call, under the lock.

    champion: None before the first. dataset: the images as they are now; notes: what was warned of as they were read.
    drift: of those that came since the champion; None where it does not count, or none has come.
    """

    request: RetrainRequest
    loaded: LoadedConfig
    experiment: Path
    champion: StoredRun | None
    dataset: Dataset
    subject: Subject
    decided: list[Decision]
    notes: Withheld
    drift: dict[str, Any] | None = None

    @property
    def config(self) -> ExperimentConfig:
        return self.loaded.config

    @property
    def drift_counts(self) -> bool:
        return self.config.retrain.when == "drifted" and self.champion is not None

    @property
    def last(self) -> Decision | None:
        return decisions.last_retrain_decision(self.decided)

    def decision(self, word: str, reason: str, **facts: Any) -> Decision:
        champion = self.champion.folder.run_id if self.champion else None
        measured = {"drift": self.drift} if self.drift else {}
        facts = {"subject": vars(self.subject), WARNED: self.notes.warned, **measured, **facts}
        return Decision(word, reason, champion, fingerprint=self.subject.fingerprint, facts=facts)


def retrain(request: RetrainRequest, reporter: Reporter) -> RetrainResult:
    """Train a challenger if there is a reason to, and decide which run is the champion.

    Raises `Rejected`, which carries the result, if the challenger is not good enough.

    Every call that holds the lock leaves a line in the log of decisions, also one that ends in an error.
    """
    loaded = load_resolved(request.config, request.overrides, "finetune", request.runs)
    check_tracking(loaded.config)
    experiment = request.runs / loaded.config.name
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with loaded.placing(), experiment_lock(experiment, request.wait, waiting), failure_logged(experiment):
        night = begin(request, loaded, experiment, reporter)
        decision = unchanged(night)
        night.notes.release(night.decided, anyway=decision is None)
        if decision is None:
            night = with_drift(night)
            decision = not_drifted(night) or contest(night, reporter)
        if decision.decision in PROMOTIONS:
            champions.promote_run(experiment, decision)
        else:
            decisions.append(experiment, decision)
    result = RetrainResult.of(experiment, decision)
    reporter.info(f"{decision.decision}: {decision.reason}")
    run_hook(loaded.config.retrain.on_decision, result, reporter, allowed=request.hooks)
    write_summary(request.summary, loaded.config.name, result, reporter)
    if decision.decision == "rejected":
        raise Rejected(result)
    return result


# -- the stages


def begin(request: RetrainRequest, loaded: LoadedConfig, experiment: Path, reporter: Reporter) -> Night:
    """Carry out what the last night decided, and read the images."""
    settled = champions.apply_last_promotion(experiment)
    champion = StoredRun(settled, reporter) if settled else None
    if is_keras(loaded.config.data.train):
        prepare_backend(loaded.config)  # before its data sets are imported from Keras
    notes = Withheld(reporter)
    try:
        dataset = load_dataset(data_request(loaded.config, experiment), notes)
    except Exception:
        notes.release((), anyway=True)
        raise
    if "test" not in dataset.splits:
        raise DataError("retrain compares models on test images, and the data has none", "set data.test")
    subject = subject_of(loaded, dataset, request.runs)
    return Night(request, loaded, experiment, champion, dataset, subject, decisions.read(experiment), notes)


def unchanged(night: Night) -> Decision | None:
    """The decision where this was decided about before; None where it was not."""
    when, last = night.config.retrain.when, night.last
    if night.champion is None and (last is None or last.champion):  # there never was one, or it is gone
        return None
    if when != "always" and last is not None and last.fingerprint == night.subject.fingerprint:
        return night.decision("unchanged", f"the same images, config, code and weights as {_tried(night)}")
    return None


def _tried(night: Night) -> str:
    """When the same was last tried, and what came of it; a night on which nothing changed tried nothing."""
    last = next((one for one in reversed(night.decided) if one.challenger), night.decided[-1])
    return f"on {last.time[:10]}" + (f", when the challenger was {last.decision}" if last.challenger else "")


def with_drift(night: Night) -> Night:
    """The same night, which knows how far the images that came are from the champion's, where that counts."""
    from transfercli.workflows.data.drift import drift_since

    if night.champion is None or not night.drift_counts:
        return night
    return replace(night, drift=drift_since(night.champion, night.dataset))


def not_drifted(night: Night) -> Decision | None:
    """The decision where only drift counts, and there is none; None where a challenger is to be trained."""
    if not night.drift_counts:
        return None
    if night.drift is None:
        return night.decision("unchanged", "no image has come since the champion was trained")
    if not night.drift["drifted"]:
        return night.decision("unchanged", "the images that came have not drifted from those it was trained on")
    return None


def contest(night: Night, reporter: Reporter) -> Decision:
    """Train a challenger, hold it against the champion, and say who goes on; exports come before the crown."""
    check_formats(tuple(night.config.export.formats))  # known now, not when it is trained and compared
    challenger = train_challenger(night, reporter)
    held = hold_contest(night.champion, StoredRun(challenger, reporter), reporter)
    verdict = decide_promotion(held.comparison, held.failed, night.config.retrain.promote.min_gain)
    facts = {"changes": changes(night), **held.facts}
    if verdict.decision in PROMOTIONS and (lost := export_failure(challenger, night, reporter)):
        verdict = Verdict("rejected", lost)
    decision = night.decision(verdict.decision, verdict.reason, **facts)
    crowned: dict[str, Any] = {"champion": challenger.run_id} if verdict.decision in PROMOTIONS else {}
    return replace(decision, challenger=challenger.run_id, **crowned)


def train_challenger(night: Night, reporter: Reporter) -> RunFolder:
    """A finished run: warm-started from the champion where both are built alike, else from what the config names."""
    start = warm_start(night, reporter)
    run_id = challenger_id(night.experiment, night.subject, start, night.decided, reporter)
    overrides = (*night.request.overrides, *start)
    job = resolve_job(TrainRequest("finetune", night.request.config, night.request.runs, overrides, run_id))
    train_job(job, reporter, dataset=night.dataset)
    reporter.describe_forced_stop(
        lambda signum: Interrupted(signum, f"stopped; {job.run.label} is trained and kept", RESTART_HINT)
    )
    return job.run


def warm_start(night: Night, reporter: Reporter) -> tuple[str, ...]:
    """What is set so that training starts from the champion; nothing where it cannot, or is not to."""
    config, champion = night.config, night.champion
    if champion is None or config.retrain.start == "base":
        return ()
    ours, theirs = (_structure(one) for one in (config, champion.config))
    unlike = [name for name in ours if ours[name] != theirs[name]]
    if unlike:
        reporter.warning(f"the champion has another {' and '.join(unlike)}: the challenger starts from model.weights")
        return ()
    weights = f"model.weights={{run: {champion.label}}}"
    solved = config.transfer.strategy in ("linear_probe", "auto") and not changes(night).get("lost_classes")
    return (weights,) if solved else (weights, "model.head.init=extend")


def _structure(config: ExperimentConfig) -> dict[str, Any]:
    head = config.model.head.model_dump(exclude={"init", "dropout"})
    return {"base": config.model.base, "data.channels": config.data.channels, "head": head}


def changes(night: Night) -> dict[str, Any]:
    """How the images differ from those of the champion: numbers, and classes by name.

    The champion's classes are those that its head knows: one that was lost and kept long ago is lost tonight, too.
    """
    if night.champion is None:
        return {}
    found = compare(night.champion.images, night.dataset.records)
    counts = {name: len(getattr(found, name)) for name in ("added", "removed", "changed", "relabelled")}
    known, present = night.champion.labels, night.dataset.labels
    new, lost = (
        [label for label in some if label not in others] for some, others in ((present, known), (known, present))
    )
    return {**counts, "new_classes": new, "lost_classes": lost}


def export_failure(challenger: RunFolder, night: Night, reporter: Reporter) -> str:
    """Export in the config's formats; why one was not equal to the run, or ""."""
    from transfercli.workflows.export.export import ExportRunRequest, export_run

    try:
        export_run(ExportRunRequest(str(challenger.path), night.request.runs), reporter)
    except GateError as error:
        return error.message
    return ""
