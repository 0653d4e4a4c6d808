"""Choice between solved heads by repeated cross-validation on all labelled images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from transfercli.reporting import Reporter
from transfercli.training.distribution.agreement import from_chief
from transfercli.transfer.phase_builder import PhaseBuilder
from transfercli.transfer.probe.cross_validation import OutOfFold
from transfercli.transfer.probe.heads import heads_for
from transfercli.transfer.probe.solved_head import can_be_scored, layers_of, posed_problem

FEW = 1000  # labelled images: with fewer, cross-validation is repeated with other folds
REPEATS = 3
HEAVIER = 6.0  # time of the next head's cross-validation and of its solution, over that of the head before
TIE = 1e-3  # nats: a head is chosen over a cheaper one only if its log loss is lower by more


@dataclass(frozen=True)
class Tried:
    """Candidate of `auto`: its cross-validated accuracy and log loss, their standard errors, and the seconds it took.

    The figures are None if no image could be held out.
    """

    name: str
    accuracy: float | None
    accuracy_error: float | None
    log_loss: float | None
    log_loss_error: float | None
    seconds: float
    chosen: bool = False


def choose_head(builder: PhaseBuilder, reporter: Reporter, deadline: float | None = None) -> list[Tried]:
    """Cross-validate the solved heads in the order of their cost, on training and validation images together.

    The one of the least log loss is chosen, and of equal ones the cheapest. Images that the base was trained on are not
    held out. If no image can be, the last is chosen: a head on several layers is hardly ever worse.

    deadline: of `time.perf_counter`, with a budget in seconds. Then cross-validation is not repeated, and if comparing
    the next head and solving for it would take longer, the last is chosen without.
    """
    names = heads_for(layers_of(builder.classifier, builder.cut_after_base()))
    if builder.dry_run or not can_be_scored(builder):  # the features of a dry run are not real
        return [Tried(names[-1], None, None, None, None, 0.0, chosen=True)]
    found: list[tuple[str, OutOfFold, float]] = []
    taken = 0.0
    for number, name in enumerate(names):
        if deadline is not None and from_chief(partial(_is_late, deadline - taken)):  # the chosen one is solved again
            untried = Tried(names[-1], None, None, None, None, 0.0, chosen=True)
            return [*(_tried(*each, chosen=False) for each in found), untried]
        reporter.progress("candidates", number, len(names), "heads")
        started = time.perf_counter()
        posed = posed_problem(builder, name, validation=True)
        repeats = repeats_of(posed.images, in_seconds=deadline is not None)
        posed_at = time.perf_counter()
        result = posed.cross_validate(repeats)
        taken = HEAVIER * (time.perf_counter() - posed_at)
        found.append((name, result, time.perf_counter() - started))
    reporter.progress("candidates", len(names), len(names), "heads")
    best = _best([result.loss for _, result, _ in found])
    return [_tried(*each, chosen=number == best) for number, each in enumerate(found)]


def _is_late(moment: float) -> bool:
    return time.perf_counter() > moment


def _best(losses: Sequence[float]) -> int:
    """Return the index of the least loss, the first of those within `TIE` of it; the last without cross-validation."""
    if not np.isfinite(losses).all():
        return len(losses) - 1
    return next(index for index, loss in enumerate(losses) if loss <= min(losses) + TIE)


def _tried(name: str, result: OutOfFold, seconds: float, *, chosen: bool) -> Tried:
    figures = (result.accuracy, result.accuracy_error, result.loss, result.loss_error)
    accuracy, accuracy_error, loss, loss_error = (round(float(x), 6) if np.isfinite(x) else None for x in figures)
    return Tried(name, accuracy, accuracy_error, loss, loss_error, round(seconds, 3), chosen)


def chosen_head(tried: Sequence[Tried]) -> str:
    """Return the name of the chosen candidate."""
    return next(candidate.name for candidate in tried if candidate.chosen)


def repeats_of(images: int, *, in_seconds: bool) -> int:
    """Return how often heads are cross-validated on so many labelled images; in_seconds: the budget's unit."""
    return REPEATS if images < FEW and not in_seconds else 1


def in_words(tried: Sequence[Tried], repeats: int) -> str:
    """Return one line: each candidate with its cross-validated figures, means of so many repeats, and the chosen."""
    parts = []
    for candidate in tried:
        if candidate.log_loss is None:
            parts.append(
                f"{candidate.name} (not cross-validated: no time, or too few images of a class new to the base)"
            )
            continue
        parts.append(
            f"{candidate.name} accuracy {candidate.accuracy:.4f} ± {candidate.accuracy_error:.4f}, log loss"
            f" {candidate.log_loss:.4f} ± {candidate.log_loss_error:.4f} ({candidate.seconds:.1f} s)"
        )
    repeated = f" (means of {repeats} repeats)" if repeats > 1 else ""
    return f"auto: cross-validated heads{repeated}: {'; '.join(parts)}: {chosen_head(tried)} is chosen"


def as_json(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """Return the candidates as values of `run.json`."""
    return [asdict(candidate) for candidate in tried]
