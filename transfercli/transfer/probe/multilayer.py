"""Multilayer probe: a linear head on the pooled features of several layers of a frozen base.

One probe is solved for each layer, and the head's logits are a weighted sum of theirs; all together is one linear map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.models.normalised import Normalisation, normalised
from transfercli.reporting import Reporter
from transfercli.rows import Indices, Rows, TransformedRows, release
from transfercli.transfer.probe.families import Family, family_of
from transfercli.transfer.probe.folding import stratified_folds
from transfercli.transfer.probe.layer_fit import LayerFit, Validation, least_loss, spaced
from transfercli.transfer.probe.probe import MIDDLE, Probe, check, choose, solve
from transfercli.transfer.probe.row_space import coordinates
from transfercli.transfer.probe.stacking import OutOfFoldLogits, choose_weights, equal

MOST_VALIDATED = 20_000  # images in a cross-validation
MOST_STACKED = 2**22  # logits of a layer with which the weights of the layers are chosen
WIDE = 2  # features per image from which a layer is reduced to the span of the images


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

    features: N rows float32 [D], as the base makes them, before normalisation; targets: int [N], of `classes` labels,
    or int [N, C] of several labels an image, as in `Split`.
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

    @property
    def family(self) -> Family:
        """The family of logistic regression that the targets are of."""
        return family_of(self.targets)

    def image_weights(self) -> np.ndarray:
        """Return the weight of each image in the loss, float64 [N], of mean 1."""
        weights = self.family.image_weights(self.targets, self.class_weights)
        if self.weights is not None:
            weights = np.asarray(self.weights, np.float64) * weights
        scaled: np.ndarray = weights / weights.mean()
        return scaled

    def losses(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss and the right answers of each image with logits [N, C], as `Family.losses`."""
        return self.family.losses(logits, self.targets, self.class_weights)

    def unit_of(self) -> np.ndarray | None:
        """Return the group of each image, int [N]; None if all images are independent."""
        return cluster_indices(self.groups)

    def validation(self, repeat: int = 0) -> Validation | None:
        """Return the images that are held out in turn, or None if none can be; another repeat has other folds.

        Of more than `MOST_VALIDATED` images about so many are compared: the best strength hardly depends on the number.
        """
        count, unit_of = len(self.targets), self.unit_of()
        rows, held_out = np.arange(count), np.ones(count, bool) if self.held_out is None else self.held_out
        if count > MOST_VALIDATED:
            strata = self.family.strata(self.targets)
            rows = np.flatnonzero(stratified_folds(strata, -(-count // MOST_VALIDATED), self.seed) == 0)
        if unit_of is not None:
            unit_of = np.unique(unit_of[rows], return_inverse=True)[1]
        fold_of = self.family.folds_of(self.targets[rows], held_out[rows], unit_of, self.seed + repeat)
        return None if fold_of is None else Validation(rows, fold_of, unit_of)


def solve_layers(problem: LinearProblem, layers: FeatureLayers, reporter: Reporter) -> Probe:
    """Fit a linear head to the normalised features of all layers; raises as `solve`.

    The kernel [D, C] and bias [C] of the result are for normalised features. strength, path: of the base's output.
    """
    from threadpoolctl import threadpool_limits

    if is_plain(problem, layers):
        return _solve_layer(problem, layers, reporter)
    with threadpool_limits(1, "blas"):  # as in `solve`
        solved = solve_each(problem, layers, problem.validation(), reporter, MOST_STACKED)
        return join(problem, layers, solved, reporter)


def is_plain(problem: LinearProblem, layers: FeatureLayers) -> bool:
    """Return True for one layer and images that are all alike, which `solve` can solve."""
    return len(layers.names) == 1 and problem.weights is None and problem.held_out is None


@dataclass(frozen=True)
class SolvedLayers:
    """Probes of L layers on all images, and their logits out of fold.

    kernels: L times float64 [D, C], of the classes that have images; biases: L times [C]; strengths: of each.
    path: of the base's output, as in `Probe`. validation: None if no image can be held out. logits: L times float32
    [n, C], of evenly spaced images of those that are held out, or of all; empty without validation.
    """

    kernels: list[np.ndarray]
    biases: list[np.ndarray]
    strengths: list[float]
    path: tuple[tuple[float, float, float], ...]
    validation: Validation | None
    logits: list[np.ndarray]


def solve_each(
    problem: LinearProblem,
    layers: FeatureLayers,
    validation: Validation | None,
    reporter: Reporter,
    most: int | None = None,
) -> SolvedLayers:
    """Solve for the probe of each layer; raises as `solve`.

    most: logits out of fold that are kept of each layer; all of them if None.
    """
    kernels, biases, strengths, logits = [], [], [], []
    for found in fit_layers(problem, layers, validation, reporter):
        kernel, bias = found.solution()
        kernels.append(kernel)
        biases.append(bias)
        strengths.append(found.strength)
        if validation is not None:
            logits.append(found.held_out_logits(None if most is None else most // found.whole.classes))
    path = tuple((each.strength, each.loss, each.accuracy) for each in found.candidates)
    return SolvedLayers(kernels, biases, strengths, path, validation, logits)


def join(problem: LinearProblem, layers: FeatureLayers, solved: SolvedLayers, reporter: Reporter) -> Probe:
    """Return one head of the probes of all layers, each with the weight that the logits out of fold choose."""
    present = problem.family.present(problem.targets, problem.classes)
    if solved.validation is None:
        shares = equal(len(layers.names))
        reason = problem.family.lacking.format(unit="image or group")
        reporter.info(f"probe: {reason}; strength {MIDDLE:g}, without cross-validation")
    else:
        most = MOST_STACKED // len(present)
        logits = [each[spaced(len(each), most)] for each in solved.logits]
        shares = _weights_of(problem, solved.validation, logits, layers, solved.strengths, reporter)
    kernel = np.zeros((sum(layers.widths), problem.classes), np.float32)
    bias = problem.family.constants(problem.targets, problem.classes)
    kernel[:, present] = np.concatenate([share * each for share, each in zip(shares, solved.kernels, strict=True)])
    bias[present] = shares @ np.stack(solved.biases)
    parts = tuple(zip(layers.names, shares.tolist(), solved.strengths, strict=True)) if len(layers.names) > 1 else ()
    return Probe(kernel, bias, solved.strengths[-1], solved.path, parts)


def fit_layers(
    problem: LinearProblem, layers: FeatureLayers, validation: Validation | None, reporter: Reporter
) -> Iterator[LayerFit]:
    """Yield the fit of each layer; raises `DataError` as `solve`."""
    family, count = problem.family, len(layers.names)
    present = family.present(problem.targets, problem.classes)
    rule = least_loss if count > 1 else choose
    for number in range(count):
        reporter.progress("probe", number, count, "layers")
        features = layer_features(problem.features, layers, number)
        check(features, present, family)
        space = coordinates(features, WIDE)
        release(problem.features)
        whole = family.problem(space.rows, problem.targets, problem.weights, problem.class_weights)
        yield LayerFit(space, whole, validation, rule)
    reporter.progress("probe", count, count, "layers")


def stacking_data(problem: LinearProblem, validation: Validation, logits: list[np.ndarray]) -> OutOfFoldLogits:
    """Return the out-of-fold logits of all layers, of evenly spaced images if there are fewer logits than images.

    Images of one group resemble each other, so that together they count as one.
    """
    held = validation.held()
    rows = validation.rows[held[spaced(len(held), len(logits[0]))]]
    independent = 1.0
    if validation.unit_of is not None:
        independent = len(np.unique(validation.unit_of)) / len(validation.unit_of)
    weights = None if problem.weights is None else problem.weights[rows]
    present = problem.family.present(problem.targets, problem.classes)
    found = problem.family.out_of_fold(logits, problem.targets[rows], present, weights, problem.class_weights)
    return found.scaled(independent)


def _weights_of(
    problem: LinearProblem,
    validation: Validation,
    logits: list[np.ndarray],
    layers: FeatureLayers,
    strengths: list[float],
    reporter: Reporter,
) -> np.ndarray:
    """Return the weights of the layers' logits, float64 [L], and report them."""
    found = stacking_data(problem, validation, logits)
    held = validation.held()
    fold_of = validation.fold_of[held[spaced(len(held), len(found.targets))]]
    shares, by_fold = choose_weights(found, fold_of)
    loss = sum(found.part(fold_of == fold).loss(each)[0] for fold, each in enumerate(by_fold)) / found.weights.sum()
    parts = ", ".join(
        f"{name} {share:.2f} (strength {strength:g})"
        for name, share, strength in zip(layers.names, shares, strengths, strict=True)
    )
    reporter.info(f"probe: weights of the layers' logits: {parts}; log loss {loss:.4f} in {len(by_fold)} folds")
    return shares


def _solve_layer(problem: LinearProblem, layers: FeatureLayers, reporter: Reporter) -> Probe:
    features = problem.features if layers.normalisation == "none" else layer_features(problem.features, layers, 0)
    return solve(
        features,
        problem.targets,
        problem.classes,
        class_weights=problem.class_weights,
        seed=problem.seed,
        reporter=reporter,
        groups=problem.groups,
    )


def layer_features(features: Rows, layers: FeatureLayers, number: int) -> Rows:
    """Return the normalised features of one layer."""
    columns, width = layers.part(number), layers.widths[number]

    def transform(rows: np.ndarray, _: Indices) -> np.ndarray:
        return normalised(rows[:, columns], [width], layers.normalisation)

    return TransformedRows(features, transform)
