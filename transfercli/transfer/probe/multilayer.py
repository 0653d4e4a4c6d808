"""Multilayer probe: a linear head on the pooled features of several layers of a frozen base.

One probe is solved for each layer, and the head's logits are a weighted sum of theirs; all together is one linear map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from transfercli.models.normalised import Normalisation, normalised
from transfercli.reporting import Reporter
from transfercli.rows import Indices, Rows, TransformedRows, release
from transfercli.transfer.probe.folding import Folding
from transfercli.transfer.probe.logistic import Problem, fit
from transfercli.transfer.probe.probe import (
    ABSENT,
    MIDDLE,
    TOLERANCE,
    Candidate,
    Probe,
    check,
    choose,
    fold_problems,
    solve,
    strength_path,
)
from transfercli.transfer.probe.row_space import Coordinates, coordinates


@dataclass(frozen=True)
class FeatureLayers:
    """Layers whose pooled vectors are side by side in the features.

    names: of the taps, and last of the base's output; widths: of their vectors; normalisation: of each vector before
    the linear head.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    normalisation: Normalisation

    def part(self, number: int) -> slice:
        """Return the columns of a layer."""
        start = sum(self.widths[:number])
        return slice(start, start + self.widths[number])


@dataclass(frozen=True)
class LinearProblem:
    """Images of which a linear head is to be solved.

    features: N rows float32 [D], as the base makes them, before normalisation; targets: int [N], of `classes` labels.
    class_weights, groups, seed: as in `solve`. weights: float64 [N], of each image in the loss besides; all 1 if None.
    held_out: bool [N], images that cross-validation may hold out; others train in every fold. All may be if None.
    """

    features: Rows
    targets: np.ndarray
    classes: int
    class_weights: np.ndarray | None
    seed: int
    groups: Sequence[str] = ()
    weights: np.ndarray | None = None
    held_out: np.ndarray | None = None

    def image_weights(self) -> np.ndarray:
        """Return the weight of each image in the loss, float64 [N], of mean 1."""
        weights = np.ones(len(self.targets)) if self.weights is None else np.asarray(self.weights, np.float64)
        if self.class_weights is not None:
            weights = weights * np.asarray(self.class_weights, np.float64)[self.targets]
        scaled: np.ndarray = weights / weights.mean()
        return scaled

    def folding(self, repeat: int = 0) -> Folding:
        """Return the assignment to folds; another repeat has other folds."""
        return Folding(self.seed + repeat, self.groups)

    def folds(self, repeat: int = 0) -> np.ndarray | None:
        """Return the fold of each image, int [N], -1 for one that is never held out; None if no image can be."""
        held_out = np.ones(len(self.targets), bool) if self.held_out is None else self.held_out
        return self.folding(repeat).folds_of(self.targets, held_out)


@dataclass
class LayerFit:
    """One layer's probe, and its folds at the strength of the probe.

    candidates: the strengths tried; empty without cross-validation. theta: start of the fit to all images, [C', 1, P];
    folds: parameters [C', K, P] of each group of folds.
    """

    space: Coordinates
    whole: Problem
    strength: float
    theta: np.ndarray
    candidates: list[Candidate]
    folds: list[np.ndarray] = field(default_factory=list)

    def held_out_logits(self, fold_of: np.ndarray) -> np.ndarray:
        """Return logits float32 [N, C'] of each image by the other folds; NaN for one that is never held out."""
        logits = np.full((len(fold_of), self.whole.classes), np.nan, np.float32)
        for (problem, held_out), theta in zip(fold_problems(self.whole, fold_of), self.folds, strict=True):
            for number, held in enumerate(held_out):
                logits[held] = problem.rows[held] @ theta[:, number].astype(np.float32).T
        logits -= logits.mean(axis=1, keepdims=True)
        return logits

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the kernel [D, C'] and bias [C'], float64, fitted to all images; both sum to 0 over the classes."""
        theta = fit(self.whole, self.theta, self.strength, TOLERANCE, dense=True)[:, 0]
        return self.space.to_feature_space(theta - theta.mean(0))


def solve_layers(problem: LinearProblem, layers: FeatureLayers, reporter: Reporter) -> Probe:
    """Fit a linear head to the normalised features of all layers; raises as `solve`.

    The kernel [D, C] and bias [C] of the result are for normalised features. path: that of the base's output.
    """
    from threadpoolctl import threadpool_limits

    plain = len(layers.names) == 1 and layers.normalisation == "none"
    if plain and problem.weights is None and problem.held_out is None:
        return solve(
            problem.features,
            problem.targets,
            problem.classes,
            class_weights=problem.class_weights,
            seed=problem.seed,
            reporter=reporter,
            groups=problem.groups,
        )
    fold_of, present = problem.folds(), np.unique(problem.targets)
    kernels, biases = [], []
    with threadpool_limits(1, "blas"):  # as in `solve`
        for found in fit_layers(problem, layers, fold_of, reporter):
            kernel, bias = found.solution()
            kernels.append(kernel)
            biases.append(bias)
    shares = np.full(len(kernels), 1 / len(kernels))
    kernel = np.zeros((sum(layers.widths), problem.classes), np.float32)
    bias = np.full(problem.classes, ABSENT, np.float32)
    kernel[:, present] = np.concatenate([share * each for share, each in zip(shares, kernels, strict=True)])
    bias[present] = shares @ np.stack(biases)
    return Probe(kernel, bias, found.strength, tuple((c.strength, c.loss, c.accuracy) for c in found.candidates))


def fit_layers(
    problem: LinearProblem, layers: FeatureLayers, fold_of: np.ndarray | None, reporter: Reporter
) -> Iterator[LayerFit]:
    """Yield the fit of each layer at the strength that cross-validation chooses, or at `MIDDLE` without folds."""
    present, targets = np.unique(problem.targets, return_inverse=True)
    weights, unit_of = problem.image_weights(), problem.folding().unit_of
    for number in range(len(layers.names)):
        features = _layer(problem.features, layers, number)
        check(features, present)
        space = coordinates(features)
        release(problem.features)
        whole = Problem(space.rows, targets, weights[None], len(present))
        if fold_of is None:
            yield LayerFit(space, whole, MIDDLE, whole.start(), [])
            continue
        path = list(strength_path(whole, fold_of, reporter, unit_of))
        candidates = [candidate for candidate, _ in path]
        chosen = choose(candidates)
        folds = next(thetas for candidate, thetas in path if candidate is chosen)
        yield LayerFit(space, whole, chosen.strength, chosen.theta[:, None], candidates, folds)


def _layer(features: Rows, layers: FeatureLayers, number: int) -> Rows:
    """Return the normalised features of one layer."""
    columns, width = layers.part(number), layers.widths[number]

    def transform(rows: np.ndarray, _: Indices) -> np.ndarray:
        return normalised(rows[:, columns], [width], layers.normalisation)

    return TransformedRows(features, transform)
