"""Cross-validation of linear heads: predictions of each image by heads that never saw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transfercli.reporting import Reporter
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, fit_layers
from transfercli.transfer.probe.probe import ABSENT, standard_error


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of images by heads that were solved without them, and their figures.

    logits: float32 [N, C], the mean over the repeats; NaN for an image that was never held out. losses: float64 [N],
    log loss in nats, the mean over the repeats, NaN likewise; hits: bool [N], the class of the largest logit is right.
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

    present = np.unique(problem.targets)
    count = len(problem.targets)
    logits, losses = np.zeros((count, problem.classes), np.float32), np.zeros(count)
    with threadpool_limits(1, "blas"):  # as in `solve`
        for repeat in range(repeats):
            fold_of = problem.folds(repeat)
            if fold_of is None:
                logits[:], losses[:] = np.nan, np.nan
                break
            fits = fit_layers(problem, layers, fold_of, reporter)
            mean = sum(found.held_out_logits(fold_of) for found in fits) / np.float32(len(layers.names))
            once = np.full_like(logits, ABSENT)
            once[:, present] = mean
            logits += once / np.float32(repeats)
            losses += log_losses(once, problem.targets) / repeats
    return _figures(problem, logits, losses)


def log_losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the log loss of each image in nats, float64 [N], of logits [N, C] and targets int [N]."""
    logits = logits.astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    sums: np.ndarray = np.log(np.exp(logits - top).sum(axis=1))
    return sums + (top[:, 0] - logits[np.arange(len(targets)), targets])


def _figures(problem: LinearProblem, logits: np.ndarray, losses: np.ndarray) -> OutOfFold:
    held = np.isfinite(losses)
    hits = held & (logits.argmax(axis=1) == problem.targets)
    if not held.any():
        return OutOfFold(logits, *[float("nan")] * 4, losses, hits)
    unit_of, weights = problem.folding().unit_of, problem.image_weights()[held]
    weights = weights / weights.mean()
    unit_of = None if unit_of is None else unit_of[held]
    weighted, right = losses[held] * weights, hits[held] * weights
    errors = (standard_error(each, unit_of) for each in (weighted, right))
    return OutOfFold(logits, float(weighted.mean()), float(right.mean()), *errors, losses, hits)
