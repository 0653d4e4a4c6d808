"""AUROC of out-of-distribution scores on Fashion-MNIST: against digits, noise and classes that were left out.

Usage: python benchmarks/unknown.py DATA WORK [--vgg16-kernels FILE] [--bases NAME,...] [--pairs N]

DATA holds Fashion-MNIST as `train-images-idx3-ubyte.gz` and so on (Debian: dataset-fashion-mnist). For each pair of
classes in `LEFT_OUT` a network knows the other eight: small_cnn is trained on 320 images of each at 32 x 32, VGG16 with
the kernels of FILE stays frozen (240 of each at 48 x 48, with a fitted linear head), and its score reads the last
features or those of the taps. Features are kept in WORK and computed again only if they are missing. Prints a Markdown
table: rows are bases and scores, columns are AUROCs, the mean over the first N pairs; the row `chosen` has what the
program would choose by itself in each run.
"""

from __future__ import annotations

import argparse
import gzip
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transfercli.models.normalised import normalised
from transfercli.models.unknown.features import NORMALISATION
from transfercli.models.unknown.score import UnknownScore, energies
from transfercli.transfer.unknown.choice import auroc, choose_score, fit_head
from transfercli.transfer.unknown.fit import SCORES, Known, fit_score, fit_space

LEFT_OUT = {(6, 9): 0, (0, 1): 1, (7, 8): 2, (3, 5): 3, (2, 4): 4}  # pair of classes -> seed
BASES = {"small_cnn": (32, 400), "vgg16": (48, 300)}  # side in pixels; images of a class, a fifth of them validation
TEST_IMAGES, NOISE_IMAGES, DIGITS, EPOCHS = 200, 300, 600, 12
UNKNOWN = ("digits", "uniform", "gaussian", "constant")


def read(data: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [N, 28, 28] and classes [N] of `train` or `t10k`."""
    images, classes = (
        np.frombuffer(gzip.decompress((data / f"{kind}-{name}-ubyte.gz").read_bytes()), np.uint8, offset=offset)
        for name, offset in (("images-idx3", 16), ("labels-idx1", 8))
    )
    return images.reshape(-1, 28, 28), classes


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """Return RGB images uint8 [N, side, side, 3] of grey ones."""
    grey = [np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BILINEAR)) for each in images]
    return np.stack(grey)[..., None].repeat(3, -1)


def unknown_images(side: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return scene -> images uint8 [N, side, side, 3]: scikit-learn's digits, and three kinds of noise."""
    from sklearn.datasets import load_digits

    digits = (load_digits().images[:DIGITS] / 16 * 255).astype(np.uint8)
    large = [np.asarray(Image.fromarray(each).resize((28, 28), Image.Resampling.BICUBIC)) for each in digits]
    shape = (NOISE_IMAGES, side, side, 3)
    return {
        "digits": resized(np.stack(large), side),
        "uniform": rng.integers(0, 256, shape).astype(np.uint8),
        "gaussian": (127 + 64 * rng.standard_normal(shape)).clip(0, 255).astype(np.uint8),
        "constant": np.broadcast_to(rng.integers(0, 256, (NOISE_IMAGES, 1, 1, 3)), shape).astype(np.uint8),
    }


def compute(data: Path, base: str, pair: tuple[int, int], kernels: Path | None) -> dict[str, np.ndarray]:
    """Train or load the base, and return features `NAME_f` and logits `NAME_l` of every set of images, and targets."""
    import keras

    from transfercli.config.schema import HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.models.surgery import cut_after_base

    side, per_class = BASES[base]
    seed = LEFT_OUT[pair]
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    (images, classes), (test_images, test_classes) = read(data, "train"), read(data, "t10k")
    known = [label for label in range(10) if label not in pair]
    chosen = np.concatenate([rng.permutation(np.flatnonzero(classes == label))[:per_class] for label in known])
    rng.shuffle(chosen)
    test = np.concatenate([np.flatnonzero(test_classes == label)[:TEST_IMAGES] for label in range(10)])
    own, targets = resized(images[chosen], side), np.array([known.index(label) for label in classes[chosen]])
    held = len(own) // 5
    sets = {"train": own[held:], "val": own[:held], "test": resized(test_images[test], side)}
    head = HeadConfig(taps="stages" if base == "vgg16" else [])
    classifier = build_classifier(Architecture(base, (side, side), 3, head, tuple(map(str, known))))
    if base == "vgg16":
        classifier.base.load_weights(kernels)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        classifier.model.compile(keras.optimizers.Adam(1e-3), loss)
        classifier.model.fit(own[held:], targets[held:], epochs=EPOCHS, batch_size=32, verbose=0)
    cut = cut_after_base(classifier)
    result: dict[str, np.ndarray] = {"known": np.array(known), "test_y": test_classes[test]}
    result |= {"train_y": targets[held:], "val_y": targets[:held]}
    result["widths"] = np.array([part.width for part in cut.parts] or cut.feature_shape)
    for name, pixels in (sets | unknown_images(side, rng)).items():
        result[f"{name}_f"] = cut.prefix.predict(pixels, batch_size=64, verbose=0)
        result[f"{name}_l"] = cut.top.predict(result[f"{name}_f"], verbose=0)
    return result


def aurocs(stored: dict[str, np.ndarray], base: str, taps: bool) -> dict[str, dict[str, float]]:
    """Return score -> scene -> AUROC, for each score and for the one that is chosen; taps: as `UnknownScore.taps`."""
    *below, last = stored["widths"].tolist()

    def features_of(name: str) -> np.ndarray:
        pooled = stored[f"{name}_f"]
        return normalised(pooled[:, : sum(below)], below, NORMALISATION) if taps else pooled[:, -last:]

    head = fit_head(features_of("train"), stored["train_y"]) if base == "vgg16" else None

    def images(name: str, targets: np.ndarray) -> Known:
        features = features_of(name)
        logits = stored[f"{name}_l"].astype(float) if head is None else features @ head[0] + head[1]
        return Known(features, energies(logits), targets)

    known, validation = images("train", stored["train_y"]), images("val", stored["val_y"])
    space = fit_space(known.features, known.targets, 0)
    scores: dict[str, UnknownScore] = {name: fit_score(name, space, validation) for name in SCORES}
    scores["chosen"] = choose_score(known, validation, 0)
    own = np.isin(stored["test_y"], stored["known"])
    test = images("test", stored["test_y"])
    result: dict[str, dict[str, float]] = {}
    for name, score in scores.items():
        values = score.scores(test.features, test.energy)
        row = {"left-out classes": auroc(values[own], values[~own])}
        for scene in UNKNOWN:
            other = images(scene, np.zeros(len(stored[f"{scene}_f"]), int))
            row[scene] = auroc(values[own], score.scores(other.features, other.energy))
        result[name] = row | {"strange of its own": float((values[own] > score.threshold).mean())}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--vgg16-kernels", type=Path)
    parser.add_argument("--bases", default=",".join(BASES))
    parser.add_argument("--pairs", type=int, default=len(LEFT_OUT))
    args = parser.parse_args()
    columns = ("left-out classes", *UNKNOWN, "strange of its own")
    print("| base | score |", " | ".join(columns), "|\n| --- | --- |", " | ".join(["---:"] * len(columns)), "|")
    for base in args.bases.split(","):
        if base == "vgg16" and args.vgg16_kernels is None:
            continue
        reads = ("last", "taps") if base == "vgg16" else ("last",)
        tables: dict[str, list[dict[str, dict[str, Any]]]] = {features: [] for features in reads}
        for pair in list(LEFT_OUT)[: args.pairs]:
            file = args.work / f"{base}-{pair[0]}{pair[1]}.npz"
            if not file.exists():
                np.savez(file, **compute(args.data, base, pair, args.vgg16_kernels))
            for features in reads:
                tables[features].append(aurocs(dict(np.load(file)), base, features == "taps"))
        for features, score in product(reads, (*SCORES, "chosen")):
            means = [f"{np.mean([table[score][column] for table in tables[features]]):.3f}" for column in columns]
            print(f"| {base}, {features} | {score} |", " | ".join(means), "|", flush=True)


if __name__ == "__main__":
    main()
