"""Linear probe: the best linear head on fixed features, solved for instead of trained.

It is logistic regression with an L2 penalty: multinomial over the classes, or binary for each label if an image may
have several. Stratified cross-validation, by groups of images if there are any, chooses its strength, the same for all
labels (benchmarks/RESULTS.md). Input and output are arrays. scikit-learn fits the same model; here all folds and labels
share their passes over the features, which makes the cross-validation about five times cheaper (`benchmarks/probe.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.transfer.probe.families import Family, family_of
from transfercli.transfer.probe.folding import FOLDS, Folding
from transfercli.transfer.probe.logistic import ABSENT, Problem, fit
from transfercli.transfer.probe.row_space import WIDE, blocks, coordinates

AnyProblem = TypeVar("AnyProblem", bound=Problem)
STRENGTHS = tuple(10 ** (exponent / 2) for exponent in range(-2, 7))  # 0.1 to 1000, from a strong to a weak penalty
MIDDLE = STRENGTHS[len(STRENGTHS) // 2]
# Relative to the loss: to compare strengths; and in the final fit, for probabilities accurate to 1e-4.
PATH_TOLERANCE, TOLERANCE = 3e-4, 3e-11
STOP_ERRORS = 3.0  # no weaker penalty is tried once the held-out loss is this many standard errors above the best
TIMED_ROWS = 2048
PASSES = 120  # of a solution with all folds at once: 80 to 180 were counted (benchmarks/probe.py)
WEIGHTED = ", weighted by training.class_weights"  # of figures in messages
MAX_PARAMETERS = 2**21  # of folds solved together; limits the memory of their steps and gradients


@dataclass(frozen=True)
class Probe:
    """Linear head: logits = features @ kernel + bias.

    kernel: float32 [D, C]; bias: float32 [C]; strength: the inverse of the penalty, scikit-learn's `C` on centred
    features at a mean square distance of 1; path: (strength, cross-validated log loss, accuracy) of each strength
    tried; empty without cross-validation. layers: (name, weight of its logits, strength) of each layer; empty if the
    head reads one.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    path: tuple[tuple[float, float, float], ...]
    layers: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class Candidate:
    """Strength, its held-out log loss, standard error and accuracy, and the folds' mean parameters theta [C, P]."""

    strength: float
    loss: float
    error: float
    accuracy: float
    theta: np.ndarray


def solve(
    features: Rows,
    targets: np.ndarray,
    classes: int,
    *,
    class_weights: np.ndarray | None,
    seed: int,
    reporter: Reporter,
    groups: Sequence[str] = (),
) -> Probe:
    """Fit a linear head to pooled features.

    features: N rows, float32 [D], read in parts; targets: int [N], indices into `classes` labels.
    class_weights: float [C], the weight of an image in the loss by its class; only their ratios matter.
    The strength is the least whose held-out log loss is within one standard error of the best (Breiman et al. 1984);
    if a class has a single image, or group of images, it is `MIDDLE`. groups: the name of each image's group, "" for
    none; empty if no image has one. A fold has whole groups, and the standard error is that between groups. A class
    without images gets a probability below 1e-6 for any features. The same arguments give the same result to the bit on
    one machine, with any number of threads.
    Raises `DataError` if features are not finite, or fewer than two classes have images.
    """
    import scipy.linalg  # noqa: F401 - loads its own BLAS, which can be limited only after that
    from threadpoolctl import threadpool_limits

    # One thread for each product: matrices this narrow gain little from more, and are several times slower if other
    # programs run too. Blocks of rows are computed on several cores instead.
    with threadpool_limits(1, "blas"):
        return _solve(features, targets, classes, class_weights, Folding(seed, groups), reporter)


def solve_seconds(images: int, width: int, classes: int) -> float:
    """Return the estimated seconds of `solve`, from the time of one pass over random rows on this machine.

    `coordinates` reduces the width to the number of images if there are many more features.
    """
    from threadpoolctl import threadpool_limits

    if width >= WIDE * images:
        width = images
    rng, count = np.random.default_rng(0), min(images, TIMED_ROWS)
    rows = rng.standard_normal((count, width + 1), dtype=np.float32)
    folds = int(np.clip(MAX_PARAMETERS // (classes * (width + 1)), 1, FOLDS))
    problem = Problem(rows, np.arange(count) % classes, np.ones((folds, count)), classes)
    theta = np.zeros((classes, folds, width + 1))
    with threadpool_limits(1, "blas"):
        started = time.perf_counter()
        problem.loss_and_gradient(theta)
        seconds = time.perf_counter() - started
    return PASSES * seconds * (FOLDS / folds) * (images / count)


def _solve(
    features: Rows,
    targets: np.ndarray,
    classes: int,
    class_weights: np.ndarray | None,
    folding: Folding,
    reporter: Reporter,
) -> Probe:
    family = family_of(targets)
    present = family.present(targets, classes)
    check(features, present, family)
    space = coordinates(features)
    problem = family.problem(space.rows, targets, None, class_weights)
    candidates: list[Candidate] = []
    fold_of, folds = family.folds(targets, folding)
    if fold_of is None:
        strength, start = MIDDLE, problem.start()
        unit = "image" if folding.unit_of is None else "group"
        reporter.info(f"probe: {family.lacking.format(unit=unit)}; strength {MIDDLE:g}, without cross-validation")
    else:
        path = strength_path(problem, fold_of, reporter, folding.unit_of)
        candidates = [candidate for candidate, _ in path]
        chosen = choose(candidates)
        strength, start = chosen.strength, chosen.theta[:, None]
        kind = "folds" if folding.unit_of is None else "folds of whole groups"
        reporter.info(
            f"probe: strength {strength:g} of {len(candidates)} tried, in {folds} {kind}, the least within a standard"
            f" error of the best: log loss {chosen.loss:.4f}, accuracy {chosen.accuracy:.4f}"
            f"{'' if class_weights is None else WEIGHTED}"
        )
    theta = fit(problem, start, strength, TOLERANCE, dense=True)[:, 0]
    kernel = np.zeros((len(space.mean), classes), np.float32)
    bias = family.constants(targets, classes)
    # At the optimum the weights sum to zero over the classes. With biases that do too, the largest logit is at least 0,
    # so the constant bias of an absent class gives it a probability below 1e-6.
    kernel[:, present], bias[present] = space.to_feature_space(problem.centred(theta, 0))
    return Probe(kernel, bias, strength, tuple((c.strength, c.loss, c.accuracy) for c in candidates))


def keep_absent_classes(probe: Probe, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probe's kernel [D, C] and bias [C], but with the previous weights of classes without images.

    kernel, bias: of the previous head on the same features; a class that it has not learnt has zero weights. Only
    differences between classes matter, so kept weights change by the mean change of the classes that both heads know:
    their distance to the mean logit of these stays. If there is no such class, nothing is kept.
    """
    absent, known = probe.bias == np.float32(ABSENT), kernel.any(axis=0)
    kept, common = absent & known, ~absent & known
    if not (kept.any() and common.any()):
        return probe.kernel, probe.bias
    new, old = (np.vstack(head).astype(np.float64) for head in ((probe.kernel, probe.bias), (kernel, bias)))
    change = (new - old)[:, common].mean(axis=1, keepdims=True)
    merged = np.where(kept, old + change, new).astype(np.float32)
    return merged[:-1], merged[-1]


def keep_absent_labels(probe: Probe, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probe's kernel [D, L] and bias [L], but with the previous weights of labels that it was not taught.

    kernel, bias: of the previous head on the same features; a label that it has not learnt has zero weights. A probe is
    taught a label if some of its images have it and others have it not.
    """
    kept = (np.abs(probe.bias) == np.float32(-ABSENT)) & ~probe.kernel.any(axis=0) & kernel.any(axis=0)
    return np.where(kept, kernel, probe.kernel), np.where(kept, bias, probe.bias)


def sigmoid_unit(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel [D, 1] and bias [1], float32, of one sigmoid unit for the second of two classes."""
    kernel, bias = probe.kernel.astype(np.float64), probe.bias.astype(np.float64)
    return np.diff(kernel).astype(np.float32), np.diff(bias).astype(np.float32)


def check(features: Rows, present: np.ndarray, family: Family) -> None:
    """Raise `DataError` if features are not finite, or there is nothing to learn: the present classes are too few."""
    # Sums in float64, in which sums of float32 do not overflow.
    bad = sum(int((~np.isfinite(block.sum(1, dtype=np.float64))).sum()) for _, block in blocks(features))
    if bad:
        raise DataError(
            f"the features of {bad} of {len(features)} images are NaN or infinite",
            "the base's weights may be damaged or of another model: use other weights, or compute.precision: float32",
        )
    if len(present) < family.fewest:
        raise DataError(family.needs.format(count=len(present)))


def strength_path(
    whole: Problem, fold_of: np.ndarray, reporter: Reporter, unit_of: np.ndarray | None = None
) -> Iterator[tuple[Candidate, list[np.ndarray]]]:
    """Yield strengths in ascending order until the held-out loss has clearly risen.

    Each fold starts from its solution for the previous strength. With each strength come the parameters
    [C, K, P] of the problems of `fold_problems`. fold_of: int [N], -1 for an image that trains in every fold. unit_of:
    the group of each image, if there are groups.
    """
    groups = list(fold_problems(whole, fold_of))
    thetas = [problem.start() for problem, _ in groups]
    best: Candidate | None = None
    for number, strength in enumerate(STRENGTHS):
        reporter.progress("probe", number, len(STRENGTHS), "strengths")
        scores, held = np.zeros((3, len(fold_of))), fold_of >= 0
        for index, (problem, held_out) in enumerate(groups):
            thetas[index] = fit(problem, thetas[index], strength, PATH_TOLERANCE)
            problem.score(thetas[index], held_out, scores)
        losses, hits, shares = scores[:, held]
        shares /= shares.mean()
        losses *= whole.weights[0][held] * shares
        error = standard_error(losses, None if unit_of is None else unit_of[held])
        theta = np.concatenate(thetas, 1).mean(1)
        candidate = Candidate(strength, float(losses.mean()), error, float((hits * shares).mean()), theta)
        yield candidate, list(thetas)
        if best is None or candidate.loss < best.loss:
            best = candidate
        elif candidate.loss > best.loss + STOP_ERRORS * best.error:
            break
    reporter.progress("probe", len(STRENGTHS), len(STRENGTHS), "strengths")


def standard_error(losses: np.ndarray, unit_of: np.ndarray | None = None) -> float:
    """Return the standard error of a mean over images [N], from the sums of its groups if images have one.

    See Cochran 1977, chapter 6.
    """
    if unit_of is None:
        return float(losses.std()) / len(losses) ** 0.5
    unit_of = np.unique(unit_of, return_inverse=True)[1]
    sums = np.bincount(unit_of, losses - losses.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1))) / len(losses)


def fold_problems(whole: AnyProblem, fold_of: np.ndarray) -> Iterator[tuple[AnyProblem, np.ndarray]]:
    """Yield problems of as many folds as are solved together, and the images that each fold holds out, bool [K, N]."""
    folds = np.arange(fold_of.max() + 1)
    together = max(1, MAX_PARAMETERS // (whole.classes * whole.rows.shape[1]))
    for start in range(0, len(folds), together):
        held_out = fold_of == folds[start : start + together, None]
        yield replace(whole, weights=whole.weights * ~held_out), held_out


def choose(candidates: list[Candidate]) -> Candidate:
    """Return the least strength within one standard error of the best."""
    best = min(candidates, key=lambda candidate: candidate.loss)
    return next(candidate for candidate in candidates if candidate.loss <= best.loss + best.error)
