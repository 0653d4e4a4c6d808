"""Choice of the normalisation of pooled features by cross-validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfercli.models.normalised import Normalisation
from transfercli.reporting import Reporter
from transfercli.rows import SelectedRows
from transfercli.transfer.probe.cross_validation import OutOfFold, cross_validate
from transfercli.transfer.probe.folding import stratified_folds
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem
from transfercli.transfer.probe.probe import standard_error

MOST_COMPARED = 4000  # images
CLEARLY = 2.0  # standard errors by which the log loss must be lower
SIGN_ROWS = 256  # images whose features show that they are behind a ReLU


def choose_normalisation(problem: LinearProblem, layers: FeatureLayers, reporter: Reporter) -> Normalisation:
    """Return the normalisation for a linear head on these layers.

    One layer keeps its features as they are, and several have the signed root, unless another normalisation has a
    clearly lower held-out log loss, and no lower accuracy; also if no image can be held out. The root of several layers
    that are all behind a ReLU needs no comparison. layers.normalisation is ignored. Raises as `solve_layers`.
    """
    several = len(layers.names) > 1
    if several and (problem.features.read(np.arange(min(SIGN_ROWS, len(problem.features)))) >= 0).all():
        return "root"
    candidates: tuple[Normalisation, ...] = ("root", "length") if several else ("none", "length", "root")
    sample = _sample(problem)
    usual, *others = candidates
    found = {how: cross_validate(sample, replace(layers, normalisation=how), Reporter()) for how in candidates}
    if not np.isfinite(found[usual].loss):
        return usual
    better = [how for how in others if _clearly_better(found[how], found[usual], sample)]
    chosen = min(better, key=lambda how: found[how].loss, default=usual)
    losses = ", ".join(f"{how} {each.loss:.4f}" for how, each in found.items())
    reporter.info(f"normalisation of the features: {chosen} (held-out log loss of {losses})")
    return chosen


def _sample(problem: LinearProblem) -> LinearProblem:
    """Return the problem of at most about `MOST_COMPARED` of its images."""
    count = len(problem.targets)
    if count <= MOST_COMPARED:
        return problem
    strata = problem.family.strata(problem.targets)
    rows = np.flatnonzero(stratified_folds(strata, -(-count // MOST_COMPARED), problem.seed) == 0)
    return replace(
        problem,
        features=SelectedRows(problem.features, rows),
        targets=problem.targets[rows],
        groups=tuple(problem.groups[row] for row in rows.tolist()) if problem.groups else (),
        weights=None if problem.weights is None else problem.weights[rows],
        held_out=None if problem.held_out is None else problem.held_out[rows],
    )


def _clearly_better(found: OutOfFold, usual: OutOfFold, problem: LinearProblem) -> bool:
    """Return True if the losses of the same images are lower by more than noise, and the accuracy is no lower."""
    held = np.isfinite(usual.losses)
    if not held.any():
        return False
    gains, unit_of = (usual.losses - found.losses)[held] * problem.image_weights()[held], problem.unit_of()
    error = standard_error(gains, None if unit_of is None else unit_of[held])
    return bool(gains.mean() > CLEARLY * error) and found.accuracy >= usual.accuracy
