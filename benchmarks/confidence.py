"""Promises of calibration, abstention and conformal sets, kept or broken over many draws of validation images.

Usage: python -m benchmarks.confidence [DATA] [--parts temperature ece abstention sets] [--draws 1.0]

DATA is a folder of Fashion-MNIST, `{train,test}/CLASS` (benchmarks/README.md has the command); without it only the
digits of scikit-learn are used. Prints one Markdown table a part. Models are small networks on pixels. A *simulated*
model is a real one whose images get labels drawn from its own probabilities: so the truth is known, and it is exactly
calibrated; multiplying its logits makes it over- or under-confident. `--draws 0.1` makes a tenth of the draws.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from transfercli.config.schema import AbstainConfig
from transfercli.evaluation.confidence.conformal import prediction_sets
from transfercli.evaluation.confidence.temperature import calibrated, choose_temperature, log_loss
from transfercli.evaluation.confidence.trust import fit_trust
from transfercli.evaluation.metrics.calibration import bins_for, expected_calibration_error
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.statistics.intervals import SKEWED, resampled

Images = tuple[np.ndarray, np.ndarray]  # float32 pixels [N, D], 0 to 1, and class indices [N]


@dataclass(frozen=True)
class Draw:
    """Logits and classes of one draw of validation images, and of other images of the same kind."""

    logits: np.ndarray
    targets: np.ndarray
    test_logits: np.ndarray
    test_targets: np.ndarray


def digits() -> Images:
    found = load_digits()
    return (found.data / 16).astype(np.float32), found.target


def fashion(folder: Path) -> Images:
    files = sorted(folder.glob("*/*/*.png"))
    names = sorted({file.parent.name for file in files})
    pixels = np.stack([np.asarray(Image.open(file), np.float32).ravel() / 255 for file in files])
    return pixels, np.array([names.index(file.parent.name) for file in files])


def network_logits(
    images: Images, training: int, validation: int, seed: int, epochs: int, best: bool, test: int = 3000
) -> Draw:
    """Train a network on some images; `best`: keep the epoch of the lowest validation loss, as the program does."""
    pixels, targets = images
    order = np.random.default_rng(seed).permutation(len(targets))
    used, held, rest = np.split(order[: training + validation + test], [training, training + validation])
    network = MLPClassifier((64,), batch_size=16, learning_rate_init=3e-3, random_state=seed)
    kept: tuple[float, np.ndarray, np.ndarray] = (np.inf, np.empty(0), np.empty(0))
    for epoch in range(epochs):
        network.partial_fit(pixels[used], targets[used], classes=np.arange(10))
        if best or epoch == epochs - 1:
            logits = np.log(network.predict_proba(pixels[held]) + 1e-12, dtype=np.float64)
            if not best or log_loss(logits, targets[held]) < kept[0]:
                other = np.log(network.predict_proba(pixels[rest]) + 1e-12, dtype=np.float64)
                kept = log_loss(logits, targets[held]), logits, other
    return Draw(kept[1], targets[held], kept[2], targets[rest])


def simulated(
    images: Images, seed: int, training: int
) -> tuple[np.ndarray, Callable[[np.random.Generator], np.ndarray]]:
    """Return the logits of a network, [N, 10], and a function that draws a class for each image from their softmax."""
    draw = network_logits(images, training, 180, seed, 20, best=True, test=10_000)
    steps = calibrated(draw.test_logits, 1.0).cumsum(axis=1)
    return draw.test_logits, lambda rng: (rng.random((len(steps), 1)) > steps).sum(axis=1).clip(max=9)


def calibration_error(logits: np.ndarray, targets: np.ndarray, temperature: float) -> float:
    probabilities = calibrated(logits, temperature)
    right = probabilities.argmax(axis=1) == targets
    return expected_calibration_error(probabilities.max(axis=1), right)


# -- parts


def temperature(sets: dict[str, Images], share: float) -> None:
    print("| model | validation images | at 1 | fitted | chosen | worse, fitted | worse, chosen | scaled | ECE |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, images in sets.items():
        for count in (20, 90, 300):
            for kind, draws in _models(images, count, share):
                rows = []
                for draw in draws:
                    scaling = choose_temperature(draw.logits, draw.targets)
                    temperatures = (1.0, scaling.fitted, scaling.temperature)
                    losses = [log_loss(draw.test_logits, draw.test_targets, value) for value in temperatures]
                    errors = [calibration_error(draw.test_logits, draw.test_targets, value) for value in temperatures]
                    rows.append([*losses, losses[1] > losses[0], losses[2] > losses[0], scaling.scaled, *errors])
                means = np.mean(rows, axis=0)
                losses = " | ".join(f"{value:.3f}" for value in means[:3])
                shares = " | ".join(f"{value:.0%}" for value in means[3:6])
                errors = " / ".join(f"{value:.3f}" for value in means[6:])
                print(f"| {name}, {kind} | {count} | {losses} | {shares} | {errors} |", flush=True)


def _models(images: Images, count: int, share: float) -> Iterator[tuple[str, Iterator[Draw]]]:
    training, draws = (420, round(20 * share)) if len(images[1]) > 5000 else (200, round(20 * share))
    test = min(3000, len(images[1]) - training - count)
    for kind, epochs, best in (("best epoch", 30, True), ("last epoch of 30", 30, False), ("one epoch", 1, False)):
        yield kind, (network_logits(images, training, count, seed, epochs, best, test) for seed in range(draws))
    if len(images[1]) > 5000:
        logits, labels = simulated(images, 0, training)
        for kind, factor in (("simulated", 1.0), ("simulated, logits doubled", 2.0), ("simulated, halved", 0.5)):
            yield kind, (_drawn(factor * logits, labels, count, seed) for seed in range(round(100 * share)))


def _drawn(logits: np.ndarray, labels: Callable[[np.random.Generator], np.ndarray], count: int, seed: int) -> Draw:
    rng = np.random.default_rng(seed)
    order, targets = rng.permutation(len(logits)), labels(rng)
    held, rest = order[:count], order[count : count + 5000]
    return Draw(logits[held], targets[held], logits[rest], targets[rest])


def ece(sets: dict[str, Images], share: float) -> None:
    """Measure the bias of the calibration error, and the coverage of its interval; the truth is that of 100 bins."""
    print("| simulated model | images | true error | with 15 bins | bins | with these | interval covers |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    name, images = list(sets.items())[-1]
    logits, labels = simulated(images, 0, 420 if len(images[1]) > 5000 else 200)
    exact = calibrated(logits, 1.0)
    for kind, factor in (("", 1.0), (", logits times 1.25", 1.25), (", times 1.7", 1.7), (", times 0.7", 0.7)):
        probabilities = calibrated(factor * logits, 1.0)
        confidence, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
        true = _error(confidence, exact[np.arange(len(best)), best], 100)
        for count in (90, 300, 1000, 5000):
            rows = []
            for seed in range(round((60 if count > 1000 else 200) * share)):
                rng = np.random.default_rng(seed)
                drawn, targets = rng.choice(len(logits), count, replace=False), labels(rng)
                right = best[drawn] == targets[drawn]
                found = resampled(["ece"], Sample.unweighted(targets[drawn], probabilities[drawn]), seed)
                interval = SKEWED["ece"](found)
                covered = interval is not None and interval[0] <= true <= interval[1]
                rows.append([_error(confidence[drawn], right, bins) for bins in (15, bins_for(count))] + [covered])
            old, new, covered = np.mean(rows, axis=0)
            print(
                f"| {name}{kind} | {count} | {true:.3f} | {old:.3f} | {bins_for(count)} | {new:.3f} | {covered:.1%} |"
            )


def _error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    parts = np.array_split(np.argsort(confidence), bins)
    return sum(abs((right[part] - confidence[part]).sum()) for part in parts) / len(confidence)


def abstention(sets: dict[str, Images], share: float) -> None:
    print("| model | validation images | target | before: broken | answered | after: broken | answered | best |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    name, images = list(sets.items())[-1]
    logits, labels = simulated(images, 0, len(images[1]) // 2)
    exact = calibrated(logits, 1.0)
    cases = (("", 1.0, 0.0), (", logits doubled", 2.0, 0.0), (", 1% of labels wrong", 1.0, 0.01))
    for kind, factor, wrong in cases:
        true = (1 - wrong) * exact.max(axis=1)
        for count in (100, 200, 1000):
            for target in (0.9, 0.95, 0.99):
                rows = []
                for seed in range(round(400 * share)):
                    rng = np.random.default_rng(seed)
                    targets, drawn = labels(rng), rng.choice(len(logits), count, replace=False)
                    noise = rng.random(len(logits)) < wrong
                    targets = np.where(noise, (logits.argmax(axis=1) + 1) % 10, targets)
                    rows.append(_broken(factor * logits, targets, drawn, target, true))
                old, answered, new, kept = np.mean(rows, axis=0)
                best = _most_answered(true, target)
                print(
                    f"| {name}{kind} | {count} | {target} | {old:.0%} | {answered:.0%} | {new:.1%} | {kept:.0%} |"
                    f" {best:.0%} |",
                    flush=True,
                )


def _broken(
    logits: np.ndarray, targets: np.ndarray, drawn: np.ndarray, target: float, true: np.ndarray
) -> tuple[bool, float, bool, float]:
    """Return if the target is missed on all images, and the share answered, by the point estimate and the program."""
    trust = fit_trust(logits[drawn], targets[drawn], AbstainConfig(accuracy=target))
    confidence = calibrated(logits, trust.temperature).max(axis=1)
    order = drawn[np.argsort(-confidence[drawn])]
    right = logits.argmax(axis=1)[order] == targets[order]
    reached = np.flatnonzero(right.cumsum() / np.arange(1, len(order) + 1) >= target - 1e-12)
    point = confidence[order[reached[-1]]] if len(reached) else np.inf
    result: list[float] = []
    for threshold in (point, np.inf if trust.confidence is None else trust.confidence):
        answered = confidence >= threshold
        result += [bool(answered.any() and true[answered].mean() < target - 1e-9), float(answered.mean())]
    return tuple(result)  # type: ignore[return-value]


def _most_answered(true: np.ndarray, target: float) -> float:
    accuracies = np.sort(true)[::-1].cumsum() / np.arange(1, len(true) + 1)
    return float((accuracies >= target).mean())


def sets(data: dict[str, Images], share: float) -> None:
    """Measure sets of networks whose epoch and temperature come from the validation images of the sets."""
    print("| model | validation images | level | coverage (worst class) | size | one threshold | APS | RAPS |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, images in data.items():
        many = len(images[1]) > 5000
        for count in (100, 200, 500) + (1000,) * many:
            training, test = (2000 if many else 200), (3000 if many else 800)
            draws = [
                network_logits(images, training, count, seed, 12, best=True, test=test)
                for seed in range(round(30 * share))
            ]
            for level in (0.9, 0.95, 0.99):
                rows = [np.ravel(_of_draw(draw, level)) for draw in draws]
                coverage, worst, size, *others = np.mean(rows, axis=0)
                compared = [f"{a:.3f} ({b:.2f}), {c:.2f}" for a, b, c in np.reshape(others, (-1, 3))]
                print(
                    f"| {name} | {count} | {level} | {coverage:.3f} ({worst:.2f}) | {size:.2f} |"
                    f" {' | '.join(compared)} |",
                    flush=True,
                )


def _of_draw(draw: Draw, level: float) -> list[tuple[float, float, float]]:
    """Return coverage, that of the worst class and mean size of: the program, one threshold for all, APS, RAPS."""
    trust = fit_trust(draw.logits, draw.targets, None)
    assert trust.conformal is not None
    held, rest = (calibrated(logits, trust.temperature) for logits in (draw.logits, draw.test_logits))
    pooled = np.full(10, trust.conformal.pooled.threshold(level) or 0.0)
    found = [prediction_sets(rest, trust.conformal.thresholds(level)), prediction_sets(rest, pooled)]
    for penalty in (0.0, 0.02):
        own = np.sort(_adaptive(held, penalty)[np.arange(len(held)), draw.targets])
        rank = int(np.ceil((len(own) + 1) * level - 1e-9))
        found.append(_adaptive(rest, penalty) <= (own[rank - 1] if rank <= len(own) else np.inf))
    results = []
    for one in found:
        hits = one[np.arange(len(rest)), draw.test_targets]
        classes = [hits[draw.test_targets == index].mean() for index in range(10)]
        results.append((float(hits.mean()), float(min(classes)), float(one.sum(axis=1).mean())))
    return results


def _adaptive(probabilities: np.ndarray, penalty: float) -> np.ndarray:
    """Return the scores of APS (Romano et al. 2020), and with a penalty from the third label on of RAPS (2021)."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    scores = np.take_along_axis(probabilities, order, axis=1).cumsum(axis=1)
    scores = scores + penalty * np.maximum(np.arange(1, probabilities.shape[1] + 1) - 2, 0)
    result = np.empty_like(scores)
    np.put_along_axis(result, order, scores, axis=1)
    return result


PARTS: dict[str, Callable[[dict[str, Images], float], None]] = {
    "temperature": temperature,
    "ece": ece,
    "abstention": abstention,
    "sets": sets,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--draws", type=float, default=1.0)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    images = {"digits": digits()} | ({"Fashion-MNIST": fashion(args.data)} if args.data else {})
    for part in args.parts:
        print(f"\n{part}\n")
        PARTS[part](images, args.draws)


if __name__ == "__main__":
    main()
