"""The linear probe: the best linear head on fixed features, solved for instead of trained.

Multinomial logistic regression with an L2 penalty whose strength a stratified cross-validation chooses. Arrays in,
arrays out. scikit-learn fits the same model; here all folds share their passes over the features, which makes the
path about five times cheaper (`benchmarks/probe.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.transfer.probe.logistic import Problem, cross_entropy, fit
from transfercli.transfer.probe.row_space import blocks, coordinates

STRENGTHS = tuple(10 ** (exponent / 2) for exponent in range(-2, 7))  # 0.1 to 1000, from a strong to a weak penalty
MIDDLE = STRENGTHS[len(STRENGTHS) // 2]
FOLDS = 5
PATH_TOLERANCE, TOLERANCE = 3e-4, 3e-11  # shares of the loss: to compare strengths; for probabilities right to 1e-4
CLEARLY = 3.0  # standard errors by which the held-out loss has risen when weaker penalties are no longer tried
ABSENT = float(np.log(1e-6))  # the bias of a class without images
AT_ONCE = 2**23  # logits in one array: folds are solved together as long as theirs fit


@dataclass(frozen=True)
class Probe:
    """A linear head: logits = features @ kernel + bias.

    kernel: float32 [D, C]; bias: float32 [C]; strength: the inverse of the penalty, scikit-learn's `C` on centred
    features at a mean square distance of 1; path: (strength, cross-validated log loss, accuracy) of each strength
    tried, empty where there was no cross-validation.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    path: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class _Tried:
    """A strength, its held-out log loss with the standard error of that, and the folds' mean parameters [C, P]."""

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
) -> Probe:
    """Fit a linear head to pooled features.

    features: N rows, float32 [D], read in parts; targets: int [N], indices into `classes` labels.
    class_weights: float [C], what an image weighs in the loss by its class; only their ratios matter.
    The strength is the least whose held-out log loss is within one standard error of the best (Breiman et al. 1984);
    where a class has a single image it is `MIDDLE`. A class without images gets a probability below 1e-6 whatever
    the features. The same arguments give the same bits on one machine, however many threads there are.
    Raises `DataError` where features are not finite, or fewer than two classes have images.
    """
    import scipy.linalg  # noqa: F401 - it brings a BLAS of its own, which can be limited once it is loaded
    from threadpoolctl import threadpool_limits

    # One thread: products this narrow gain little from more, and lose several times over where others use the cores.
    with threadpool_limits(1, "blas"):
        return _solve(features, targets, classes, class_weights, seed, reporter)


def _solve(
    features: Rows, targets: np.ndarray, classes: int, class_weights: np.ndarray | None, seed: int, reporter: Reporter
) -> Probe:
    present, own = np.unique(targets, return_inverse=True)
    _check(features, present)
    weights = np.ones(len(own)) if class_weights is None else np.asarray(class_weights, np.float64)[targets]
    found = coordinates(features)
    problem = Problem(found.rows, own, (weights / weights.mean())[None], len(present))
    tried: list[_Tried] = []
    folds = min(FOLDS, int(np.bincount(own).min()))
    if folds < 2:
        strength, start = MIDDLE, problem.start()
        reporter.info(f"probe: a class has a single image: strength {MIDDLE:g}, without cross-validation")
    else:
        tried = list(_path(problem, stratified(own, folds, seed), reporter))
        chosen = _choose(tried)
        strength, start = chosen.strength, chosen.theta[:, None]
        reporter.info(
            f"probe: strength {strength:g} of {len(tried)} tried, in {folds} folds: log loss {chosen.loss:.4f},"
            f" accuracy {chosen.accuracy:.4f}"
        )
    theta = fit(problem, start, strength, TOLERANCE, dense=True)[:, 0]
    kernel = np.zeros((len(found.mean), classes), np.float32)
    bias = np.full(classes, ABSENT, np.float32)
    # The penalty makes the optimum sum to zero over the classes; so made, no logit exceeds 0 without one that does.
    kernel[:, present], bias[present] = found.fold_back(theta - theta.mean(0))
    return Probe(kernel, bias, strength, tuple((one.strength, one.loss, one.accuracy) for one in tried))


def with_kept_rows(probe: Probe, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernel [D, C] and bias [C], where classes without images keep the rows they had before on the same features.

    A row says something only against others: it keeps its distance to the mean of the classes that both heads know,
    so the odds between these and it stay. Without such a class nothing is kept. A row that nobody has learnt is zero.
    """
    absent, known = probe.bias == np.float32(ABSENT), kernel.any(axis=0)
    kept, common = absent & known, ~absent & known
    if not (kept.any() and common.any()):
        return probe.kernel, probe.bias
    new, old = (np.vstack(head).astype(np.float64) for head in ((probe.kernel, probe.bias), (kernel, bias)))
    moved = (new - old)[:, common].mean(axis=1, keepdims=True)
    whole = np.where(kept, old + moved, new).astype(np.float32)
    return whole[:-1], whole[-1]


def sigmoid_unit(probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """The kernel [D, 1] and bias [1], float32, of one sigmoid unit for the second of two classes."""
    kernel, bias = probe.kernel.astype(np.float64), probe.bias.astype(np.float64)
    return np.diff(kernel).astype(np.float32), np.diff(bias).astype(np.float32)


def stratified(targets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each image, int [N]: every class is shuffled and dealt out, going on where the last one ended."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(targets)), targets))
    found = np.empty(len(targets), np.int64)
    found[order] = np.arange(len(targets)) % folds
    return found


def _check(features: Rows, present: np.ndarray) -> None:
    sums = [
        block.sum(1, dtype=np.float64) for _, block in blocks(features)
    ]  # in float64 sums of float32 do not overflow
    bad = sum(int((~np.isfinite(one)).sum()) for one in sums)
    if bad:
        raise DataError(
            f"the features of {bad} of {len(features)} images are NaN or infinite",
            "the base's weights do not fit its pixels or are damaged: try other weights, or compute.precision: float32",
        )
    if len(present) < 2:
        raise DataError(f"a linear probe needs images of 2 classes or more; there are {len(present)}")


def _path(whole: Problem, fold_of: np.ndarray, reporter: Reporter) -> Iterator[_Tried]:
    """Strength after strength, each fold starting from where it was, until the held-out loss has clearly risen."""
    groups = list(_groups(whole, fold_of))
    thetas = [problem.start() for problem, _ in groups]
    best: _Tried | None = None
    for number, strength in enumerate(STRENGTHS):
        reporter.progress("probe", number, len(STRENGTHS), "strengths")
        losses, hits = np.empty(len(fold_of)), np.empty(len(fold_of), bool)
        for index, (problem, held) in enumerate(groups):
            thetas[index] = fit(problem, thetas[index], strength, PATH_TOLERANCE)
            _judge(problem, thetas[index], held, losses, hits)
        losses *= whole.weights[0]
        error = float(losses.std()) / len(losses) ** 0.5
        theta = np.concatenate(thetas, 1).mean(1)
        tried = _Tried(strength, float(losses.mean()), error, float(hits.mean()), theta)
        yield tried
        if best is None or tried.loss < best.loss:
            best = tried
        elif tried.loss > best.loss + CLEARLY * best.error:
            break
    reporter.progress("probe", len(STRENGTHS), len(STRENGTHS), "strengths")


def _groups(whole: Problem, fold_of: np.ndarray) -> Iterator[tuple[Problem, np.ndarray]]:
    """As many folds at a time as are solved together, and the images each holds out, bool [K, N]."""
    folds = np.arange(fold_of.max() + 1)
    together = max(1, AT_ONCE // (whole.classes * len(fold_of)))
    for begin in range(0, len(folds), together):
        held = fold_of == folds[begin : begin + together, None]
        yield Problem(whole.rows, whole.targets, whole.weights * ~held, whole.classes), held


def _judge(problem: Problem, theta: np.ndarray, held: np.ndarray, losses: np.ndarray, hits: np.ndarray) -> None:
    """Fill in the loss of each image held out, and whether its class is found."""
    fold, image = np.nonzero(held)
    each, probabilities = cross_entropy(problem, problem.logits(theta))
    losses[image] = each[fold, image]
    hits[image] = probabilities[:, fold, image].argmax(0) == problem.targets[image]


def _choose(tried: list[_Tried]) -> _Tried:
    best = min(tried, key=lambda one: one.loss)
    return next(one for one in tried if one.loss <= best.loss + best.error)
