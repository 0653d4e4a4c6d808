"""Cross-validation of linear heads: predictions of each image by heads that never saw it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from transfercli.reporting import Reporter
from transfercli.transfer.probe.layer_fit import Validation
from transfercli.transfer.probe.multilayer import (
    FeatureLayers,
    LinearProblem,
    fit_layers,
    is_plain,
    join,
    solve_each,
    solve_layers,
    stacking_data,
)
from transfercli.transfer.probe.probe import Probe, standard_error
from transfercli.transfer.probe.stacking import choose_weights


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of images by heads that were solved without them, and their figures.

    logits: float32 [N, C], the mean over the repeats; NaN for an image that was never held out, and for a label that
    its heads were not taught. losses: float64 [N], log loss in nats, the mean over the repeats, NaN likewise; hits:
    bool [N], the class of the largest logit is right. Of several labels an image, both are means over its known labels,
    and hits are float64.
    loss and accuracy: weighted means over the images held out; loss_error and accuracy_error: their standard errors,
    between groups if images have one. All four are NaN if no image could be held out: one image a class, for example.
    """

    logits: np.ndarray
    loss: float
    accuracy: float
    loss_error: float
    accuracy_error: float
    losses: np.ndarray
    hits: np.ndarray


def cross_validate(problem: LinearProblem, layers: FeatureLayers, reporter: Reporter, repeats: int = 1) -> OutOfFold:
    """Return predictions of each image by a multilayer probe that was solved without its fold; raises as `solve`.

    repeats: number of cross-validations, each with other folds.
    """
    from threadpoolctl import threadpool_limits

    count = len(problem.targets)
    logits, losses = np.zeros((count, problem.classes), np.float32), np.zeros(count)
    with threadpool_limits(1, "blas"):  # as in `solve`
        for repeat in range(repeats):
            once = _once(problem, layers, problem.validation(repeat), reporter)
            logits += once / np.float32(repeats)
            losses += problem.losses(once)[0] / repeats
    return figures(problem, logits, losses)


def solve_scored(problem: LinearProblem, layers: FeatureLayers, reporter: Reporter) -> tuple[Probe, OutOfFold]:
    """Return the head of `solve_layers` and the predictions of `cross_validate`; raises as `solve`.

    The probes of several layers are fitted once for both.
    """
    from threadpoolctl import threadpool_limits

    validation = problem.validation()
    if validation is None or is_plain(problem, layers):
        return solve_layers(problem, layers, reporter), cross_validate(problem, layers, Reporter())
    with threadpool_limits(1, "blas"):  # as in `solve`
        solved = solve_each(problem, layers, validation, reporter)
        probe = join(problem, layers, solved, reporter)
        logits = _together(problem, validation, solved.logits)
    return probe, figures(problem, logits, problem.losses(logits)[0])


def _once(
    problem: LinearProblem, layers: FeatureLayers, validation: Validation | None, reporter: Reporter
) -> np.ndarray:
    """Return out-of-fold logits float32 [N, C]; NaN for an image that is not held out."""
    if validation is None:
        return np.full((len(problem.targets), problem.classes), np.nan, np.float32)
    found = [fitted.held_out_logits() for fitted in fit_layers(problem, layers, validation, reporter)]
    return _together(problem, validation, found)


def _together(problem: LinearProblem, validation: Validation, found: list[np.ndarray]) -> np.ndarray:
    """Return out-of-fold logits float32 [N, C] of those of each layer; NaN for an image that is not held out.

    The weights of the layers are those that the other folds choose.
    """
    present = problem.family.present(problem.targets, problem.classes)
    logits = np.full((len(problem.targets), problem.classes), np.nan, np.float32)
    held = validation.held()
    rows, fold_of = validation.rows[held], validation.fold_of[held]
    if len(found) == 1:
        together = found[0]
    else:
        by_fold = choose_weights(stacking_data(problem, validation, found), fold_of)[1]
        together = sum(each * by_fold[fold_of, number, None] for number, each in enumerate(found))
    logits[rows] = problem.family.constants(problem.targets, problem.classes)
    logits[np.ix_(rows, present)] = together
    return logits


def figures(problem: LinearProblem, logits: np.ndarray, losses: np.ndarray) -> OutOfFold:
    """Return predictions of images out of fold, float32 [N, C], and their losses, [N], with their figures."""
    held = np.isfinite(losses)
    hits = problem.losses(logits)[1]
    if not held.any():
        nan = float("nan")
        return OutOfFold(logits, nan, nan, nan, nan, losses, hits)
    unit_of = problem.unit_of()
    weights = replace(problem, targets=problem.family.scored(logits, problem.targets)).image_weights()[held]
    weights = weights / weights.mean()
    unit_of = None if unit_of is None else unit_of[held]
    weighted, right = losses[held] * weights, hits[held] * weights
    loss_error, accuracy_error = standard_error(weighted, unit_of), standard_error(right, unit_of)
    return OutOfFold(logits, float(weighted.mean()), float(right.mean()), loss_error, accuracy_error, losses, hits)
