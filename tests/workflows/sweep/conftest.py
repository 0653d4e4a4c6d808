"""Sweeps whose trials are not trained: a formula gives the metric of each epoch, so that a sweep takes no time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from transfercli.reporting import Reporter
from transfercli.workflows.sweep import sweep as recipe
from transfercli.workflows.sweep.result import SweepRequest, SweepResult, TrialRow
from transfercli.workflows.sweep.trials import TrialSource, TrialSpec
from transfercli.workflows.sweep.winner import Winner

START = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn, weights: none}\ntransfer: {strategy: scratch}\n"
SPACE = """sweep:
  trials: 12
  space:
    training.optimizer.learning_rate: {log: [1e-4, 1e-1]}
    model.head.hidden: {choice: [[], [16], [64]]}
    model.head.dropout: {range: [0, 0.5]}
"""
EPOCHS = 4


class Killed(BaseException):
    """End of the process at a moment of the sweep."""


@dataclass
class Formula:
    """Training of a trial by a formula.

    trained: (run, epoch) of every epoch. kill_at: number of epochs and results after which the process ends.
    """

    score: Callable[[dict[str, Any]], float]
    trained: list[tuple[str, int]] = field(default_factory=list)
    failures: dict[int, TrialRow] = field(default_factory=dict)
    fingerprint: str = "1"
    kill_at: int | None = None
    moments: int = 0
    before_done: Callable[[TrialRow], None] = lambda _: None

    def __call__(self, source: TrialSource, jobs: int, reporter: Reporter) -> None:
        while (spec := source.next()) is not None:
            self._moment()
            row = self._train(spec, source)
            self._moment()
            self.before_done(row)
            source.done(row)
            self._moment()

    def _moment(self) -> None:
        self.moments += 1
        if self.kill_at is not None and self.moments >= self.kill_at:
            raise Killed

    def _train(self, spec: TrialSpec, source: TrialSource) -> TrialRow:
        """Train from the epoch after the last of the run's folder, as a resumed run does."""
        run = spec.runs / "flowers" / spec.run_id
        run.mkdir(parents=True, exist_ok=True)
        facts = {"status": "running", "data": {"fingerprint": self.fingerprint}, "phases": [{"epochs": EPOCHS}]}
        (run / "run.json").write_text(json.dumps(facts))
        row = TrialRow(spec.number, spec.values, "completed", run, (run,), seconds=1.0)
        if spec.number in self.failures:
            return replace(self.failures[spec.number], values=spec.values)
        history = run / "metrics.jsonl"
        steps = [(line["epoch"], line["val_accuracy"]) for line in map(json.loads, _lines(history))]
        for epoch in range(len(steps) + 1, EPOCHS + 1):
            self.trained.append((run.name, epoch))
            steps.append((epoch, self.score(spec.values) * (1 - math.exp(-epoch))))
            with history.open("a") as file:
                file.write(json.dumps({"epoch": epoch, "val_accuracy": steps[-1][1]}) + "\n")
            self._moment()
            if epoch < EPOCHS and source.report(spec.number, *steps[-1]):
                self._moment()
                return replace(row, state="pruned", reason=f"epoch {epoch} looks bad", steps=tuple(steps))
        return replace(row, value=steps[-1][1], steps=tuple(steps))


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def likes(values: dict[str, Any]) -> float:
    """Return a score with its best at a rate of 0.01, [16] and no dropout."""
    rate = values.get("training.optimizer.learning_rate", 0.01)
    hidden = values.get("model.head.hidden", [16])
    return 0.9 - 0.1 * abs(math.log10(rate) + 2) - 0.1 * (hidden != [16]) - 0.2 * values.get("model.head.dropout", 0)


def best_trial(rows: Sequence[TrialRow], metric: str, *_: object) -> Winner | None:
    """Return the trial with the best value; the runs of a formula hold no answers that it could be corrected by."""
    sign = 1.0 if metric == "val_loss" else -1.0
    completed = [row for row in rows if row.value is not None]
    best = min(completed, key=lambda row: sign * (row.value or 0.0), default=None)
    return best and Winner(best, metric, best.value or 0.0)


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> Formula:
    trainer = Formula(likes)
    monkeypatch.setattr(recipe, "train_trials", trainer)
    monkeypatch.setattr(recipe, "choose_winner", best_trial)
    return trainer


class Lines(Reporter):
    """Reporter that keeps lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warning = info


@dataclass
class Sweeps:
    """Sweeps of one config in one folder."""

    folder: Path
    reporter: Lines = field(default_factory=Lines)

    def config(self, text: str = SPACE, start: str = START) -> Path:
        path = self.folder / "flowers.yaml"
        path.write_text(start + text)
        return path

    def run(self, text: str = SPACE, overrides: Iterable[str] = (), **options: Any) -> SweepResult:
        request = SweepRequest(self.config(text), self.folder / "runs", tuple(overrides), **options)
        return recipe.sweep(request, self.reporter)


@pytest.fixture
def sweeps(tmp_path: Path, formula: Formula) -> Sweeps:
    return Sweeps(tmp_path)


@pytest.fixture
def facts() -> Callable[[SweepResult], list[tuple[Any, ...]]]:
    """Number, state, values, metric and epochs of each trial."""
    return lambda result: [(row.number, row.state, row.values, row.value, row.steps) for row in result.trials]
