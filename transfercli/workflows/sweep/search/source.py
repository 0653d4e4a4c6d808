"""Source of a sweep's trials: the next values of the study, and what became of the trials before."""

from __future__ import annotations

import math
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from transfercli.config.schema import SweepConfig
from transfercli.errors import EXIT_CODES
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import run_held_since
from transfercli.workflows.sweep.epochs import epochs_in_all, epochs_of, mark_pruned
from transfercli.workflows.sweep.result import State, SweepRequest, TrialRow
from transfercli.workflows.sweep.search.presence import BEAT, Presence
from transfercli.workflows.sweep.search.sampler import WITHDRAWN
from transfercli.workflows.sweep.search.space import Space
from transfercli.workflows.sweep.search.storage import storage_errors
from transfercli.workflows.sweep.search.study import check_images, direction, images_of, total_trials
from transfercli.workflows.sweep.trials import OtherImagesError, TrialSpec

if TYPE_CHECKING:
    import optuna

OWNER, SEEN, RESULT = "owner", "seen", "result"  # attributes of a trial
INVALID = EXIT_CODES["config"]
# Failures that seldom have to do with a trial's values: it is tried again when the command starts again.
RETRIED = frozenset(EXIT_CODES[kind] for kind in ("data", "weights", "busy"))
ORPHAN_SECONDS = 30.0  # for the workers of a killed process to notice
POLL_SECONDS = 0.1
STATES: dict[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass
class StudySource:
    """Trials of a study, as the training side takes them (`TrialSource`)."""

    study: optuna.Study
    space: Space
    settings: SweepConfig
    request: SweepRequest
    sweep_id: str
    experiment: Path
    presence: Presence
    reporter: Reporter
    threads: int | None = None
    on_change: Callable[[], None] = lambda: None
    started: float = field(default_factory=time.monotonic)
    _running: dict[int, Trial] = field(default_factory=dict)
    _done: int | None = None
    _left: set[int] = field(default_factory=set)  # to others, or failed in this command

    # -- the training side

    @property
    def progress(self) -> tuple[int, int]:
        """Number of trials that are done, and of all; those of other processes count when a trial of this one ends."""
        if self._done is None:
            self._done = sum(row.state in ("completed", "pruned", "failed") for row in self.rows())
        return self._done, self.total

    def next(self) -> TrialSpec | None:
        """Return an abandoned trial of an earlier process, or a new one; None if no more trials begin now."""
        with self._storage():
            trial = self._abandoned() or self._new()
            if trial is None:
                return None
            self._running[trial.number] = trial
            self._report_start(trial)
            return TrialSpec(
                self.request.config,
                self.request.overrides,
                self.request.runs,
                self.sweep_id,
                trial.number,
                self.space.values(trial.params),
                self.settings.metric,
                self.threads,
                self.settings.folds,
                images_of(self.study, self.space),
                self.space.document.as_json(),
                self.request.command(),
                self.request.command(shown=True),
            )

    def report(self, number: int, epoch: int, value: float, trial: Trial | None = None) -> bool:
        """Take the metric of an epoch; return True if the pruner ends the trial."""
        if not math.isfinite(value):
            return False
        with self._storage(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an epoch that was reported before the process was stopped
            trial = trial or self._running[number]
            trial.report(value, epoch)
            return bool(trial.should_prune())  # a pruner may return a NumPy bool, which is no JSON

    def done(self, row: TrialRow) -> None:
        """Take the result of a trial. Raises `OtherImagesError` if it learnt from other images than those before."""
        with self._storage():
            trial = self._running.pop(row.number)
            if row.state in ("running", "interrupted"):
                self._left.update([row.number] if row.state == "running" else ())
                trial.set_user_attr(OWNER, "")
                return
            if row.state == "completed" and (row.value is None or not math.isfinite(row.value)):
                reason = f"{self.settings.metric} is not a number: the training diverged"
                row = replace(row, state="failed", value=None, reason=reason, code=EXIT_CODES["bug"])
            if row.state == "completed" and row.run is not None:
                self._check_images(trial, row)
            self._record(trial, row)
        self._done = None
        self.on_change()

    def _check_images(self, trial: Trial, row: TrialRow) -> None:
        """Raise `OtherImagesError` as `check_images`; the trial's runs are set aside, so that it is trained again."""
        assert row.run is not None
        try:
            check_images(self.study, RunFolder(row.run), self.space)
        except OtherImagesError:
            for run in row.runs:
                run.rename(run.with_name(f"{run.name}-{secrets.token_hex(2)}"))
            trial.set_user_attr(OWNER, "")
            raise

    def _record(self, trial: Trial, row: TrialRow) -> None:
        result = {"seconds": row.seconds, "reason": row.reason, "code": row.code}
        known = self._frozen(trial).intermediate_values
        for epoch, value in row.steps:  # those that need no decision, as the last one, are not reported before
            if epoch not in known and math.isfinite(value):
                trial.report(value, epoch)
        trial.set_user_attr(RESULT, result)
        if row.state == "completed":
            self.study.tell(trial, row.value)
        elif row.state == "pruned":
            self.study.tell(trial, state=TrialState.PRUNED)
        elif row.code in RETRIED:
            self._left.add(row.number)
            trial.set_user_attr(OWNER, "")
        else:
            self.study.tell(trial, state=TrialState.FAIL)

    # -- trials

    @property
    def total(self) -> int:
        return total_trials(self.settings, self.space)

    def rows(self) -> tuple[TrialRow, ...]:
        """Return all trials of the study, by number, without those that were withdrawn."""
        with self._storage():
            return tuple(self._row(trial) for trial in self._trials())

    @property
    def is_finished(self) -> bool:
        """True if there is nothing to train."""
        with self._storage():
            trials = self._trials()
            unfinished = [trial for trial in trials if not trial.state.is_finished()]
            return not unfinished and not self._wants_more(trials)

    def others_running(self) -> int:
        """Return the number of trials that other processes train now."""
        with self._storage():
            return sum(not self._is_abandoned(trial) for trial in self._trials() if not trial.state.is_finished())

    def _trials(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if WITHDRAWN not in trial.user_attrs]

    def _row(self, trial: FrozenTrial) -> TrialRow:
        result: Mapping[str, Any] = trial.user_attrs.get(RESULT) or {}
        state = STATES[trial.state]
        if state == "running":
            failed = result.get("code") is not None
            state = "failed" if failed else "interrupted" if self._is_abandoned(trial) else "running"
        every = self._runs(trial.number)
        runs = tuple(run for run in every if run.is_dir())
        if state == "completed" and len(runs) < len(every):  # removed, or trained by a host with other runs
            runs = ()
        return TrialRow(
            number=trial.number,
            values=self.space.values(trial.params),
            state=state,
            run=runs[0] if runs else None,
            runs=runs,
            value=trial.value if state == "completed" else None,
            steps=tuple(sorted(trial.intermediate_values.items())),
            seconds=result.get("seconds"),
            reason=result.get("reason") if state != "completed" else None,
            code=result.get("code") if state == "failed" else None,
        )

    # -- the next trial

    def _abandoned(self) -> Trial | None:
        """Return a trial of a process that is gone, to go on with it."""
        for frozen in self._trials():
            number = frozen.number
            if frozen.state.is_finished() or number in self._running or number in self._left:
                continue
            with self.presence.alone():
                current = self._frozen(frozen)
                if (
                    current.state.is_finished()
                    or not self._is_abandoned(current)
                    or not self._wait_for_workers(current)
                ):
                    continue
                trial = Trial(self.study, frozen._trial_id)
                trial.set_user_attr(OWNER, self.presence.token)
                self._suggest(trial)
                if current.params.keys() < trial.params.keys() and self._is_too_many(trial):
                    self._withdraw(trial)  # its process was gone before it stored all values
                    continue
            if not self._looks_bad(trial, RunFolder(self._run(number))):
                return trial
        return None

    def _looks_bad(self, trial: Trial, run: RunFolder) -> bool:
        """Take the epochs that a killed process trained and did not report; end the trial if one of them looks bad."""
        known = self._frozen(trial).intermediate_values
        last = epochs_in_all(run)
        for epoch, value in epochs_of(run, self.settings.metric):
            if not 1 <= epoch < last or epoch < max(known, default=0):
                continue
            if self.report(trial.number, epoch, value, trial):
                mark_pruned(run, epoch)
                reason = (
                    f"{self.settings.metric} {value:.4g} after epoch {epoch} is worse than that of most other trials"
                )
                row = TrialRow(trial.number, self.space.values(trial.params), "pruned", reason=reason)
                self._record(trial, row)
                return True
        return False

    def _runs(self, number: int) -> list[Path]:
        """Return the folders of a trial's run, or of its runs if folds judge it."""
        run, folds = self._run(number), self.settings.folds
        return [run.with_name(f"{run.name}-fold{fold}") for fold in range(1, folds + 1)] if folds else [run]

    def _run(self, number: int) -> Path:
        return self.experiment / f"{self.sweep_id}-{number:03d}"

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        owner, seen = trial.user_attrs.get(OWNER, ""), trial.user_attrs.get(SEEN)
        # All processes that share the journal in the sweep's folder have a file there: one without is gone.
        return self.presence.is_gone(owner, seen if self.request.storage else None)

    def _wait_for_workers(self, trial: FrozenTrial) -> bool:
        """Wait until the workers of a killed process are gone, too. Return False if one goes on."""
        runs = [RunFolder(run) for run in (self._run(trial.number), *self._runs(trial.number))]
        deadline = time.monotonic() + ORPHAN_SECONDS
        while held := [run for run in runs if run_held_since(run) is not None]:
            if time.monotonic() > deadline:
                return False
            self.reporter.progress(f"waiting for {held[0].label}, which another process trains", 0, 0, "")
            time.sleep(POLL_SECONDS)
        return True

    def _wants_more(self, trials: list[FrozenTrial]) -> bool:
        """Return True if the sweep is to have more trials than these; invalid ones do not count."""
        invalid = sum(_is_invalid(trial) for trial in trials)
        if invalid >= max(self.total, 1):
            return False
        listed = self.space.listed
        return len(trials) - invalid < self.total and (listed is None or len(trials) < len(listed))

    def _new(self) -> Trial | None:
        """Return a new trial with values that no other has; None if there are enough, or no time is left."""
        budget = self.settings.budget
        while self._wants_more(self._trials()) and (budget is None or time.monotonic() - self.started < budget):
            with self.presence.alone():  # on this host, each draw knows the values of all trials before it
                trial = self._begin()
                self._suggest(trial)
                if self._is_too_many(trial):
                    self._withdraw(trial)
                    continue
            values = self.space.values(trial.params)
            if problem := self.space.problem(values):
                self._record(trial, TrialRow(trial.number, values, "failed", reason=problem, code=INVALID))
                self.reporter.info(f"trial {trial.number} is left out: {self.space.shown(values)}: {problem}")
                continue
            return trial
        return None

    def _is_too_many(self, trial: Trial) -> bool:
        """Return True if another trial has the same values, or enough were begun before.

        A process of another host may have begun one at the same moment. Each stores its values before it looks at the
        others', so that at least one of two with the same values sees the other.
        """
        others = [other for other in self._trials() if other.number != trial.number]
        before = [other for other in others if other.number < trial.number]
        return not self._wants_more(before) or any(other.params == trial.params for other in others)

    def _withdraw(self, trial: Trial) -> None:
        trial.set_user_attr(WITHDRAWN, "another process began the same or the last trial at the same time")
        self.study.tell(trial, state=TrialState.FAIL)

    def _begin(self) -> Trial:
        """Return a new trial that belongs to this process from its first moment, which `Study.ask` cannot do."""
        mine = {OWNER: self.presence.token, SEEN: time.time()}
        template = create_trial(state=TrialState.RUNNING, user_attrs=mine)
        trial_id = self.study._storage.create_new_trial(self.study._study_id, template_trial=template)
        return Trial(self.study, trial_id)

    def _suggest(self, trial: Trial) -> None:
        """Draw the values that a trial does not have yet; Optuna stores them one after the other."""
        for dimension in self.space.dimensions:
            dimension.suggest(trial)

    def _frozen(self, trial: FrozenTrial | Trial) -> FrozenTrial:
        return self.study._storage.get_trial(trial._trial_id)

    # -- messages and signs of life

    def _report_start(self, trial: Trial) -> None:
        trials = self._trials()
        values = [one.value for one in trials if one.state == TrialState.COMPLETE and one.value is not None]
        choose = min if direction(self.settings) == "minimize" else max
        best = f"; best so far {choose(values):.4g}" if values else ""
        place = sum(not _is_invalid(one) for one in trials if one.number <= trial.number)
        text = (
            f"trial {trial.number} ({place} of {self.total}): {self.space.shown(self.space.values(trial.params))}{best}"
        )
        self.reporter.info(text)

    def impossible(self) -> str:
        """Return the first combination that the config rules out, and the reason."""
        for values in self.space.all_combinations():
            if problem := self.space.problem(values):
                return f"{self.space.shown(values)} ({problem})"
        return "none"

    @contextmanager
    def signs_of_life(self) -> Iterator[None]:
        """Write now and then to a shared storage that the trials of this process are still running."""
        if self.request.storage is None:
            yield
            return
        ended = threading.Event()

        def write() -> None:
            while not ended.wait(BEAT):
                for trial in list(self._running.values()):
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        _write_quietly(trial)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextmanager
    def _storage(self) -> Iterator[None]:
        with storage_errors(self.request.storage):
            yield


def _write_quietly(trial: Trial) -> None:
    """Write a sign of life; a storage that cannot be reached now is an error of the next real step."""
    try:
        trial.set_user_attr(SEEN, time.time())
    except Exception:  # any error of any database
        return


def _is_invalid(trial: FrozenTrial) -> bool:
    result = trial.user_attrs.get(RESULT) or {}
    return trial.state == TrialState.FAIL and result.get("code") == INVALID
