"""Sweeps of small heads on stored features: the winner's scores beside the truth, in seconds a sweep.

Usage: python -m benchmarks.sweep_features DATA FEATURES.npz --weights vgg16.weights.h5 [--draws 30] [--trials 32]
           [--train 16] [--validation 4] [--sampler tpe|random]

DATA is a folder of Fashion-MNIST images with 200 a class in train and in test; FEATURES.npz is written first, if it is
missing: mean features of VGG16 at 64 pixels. Each draw takes `--train` and `--validation` images a class of train; all
other images are the truth. A trial trains a head (learning rate, layers that it reads, hidden units, dropout, label
smoothing, weight decay) for 15 epochs; its best epoch has the lowest validation loss, as in the program. So the figures
include what the program's score also has: a best epoch that the same images chose, and a sampler that learns from them.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.evaluation.metrics.confusion import Array
from transfercli.evaluation.metrics.registry import METRICS as TABLE
from transfercli.evaluation.statistics.selection import LOSS, Answers, select

CLASSES, EPOCHS, BATCH = 10, 15, 32
LAYERS = ("block3_conv3", "block4_conv3", "block5_conv3", "block5_pool")
METRICS = ("val_accuracy", "val_macro_f1", LOSS)


def write_features(data: Path, weights: Path, target: Path) -> None:
    """Write the mean features of some layers, and the classes, of all images: train before test."""
    import keras
    from PIL import Image

    network = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
    network.load_weights(weights)
    outputs = [keras.layers.GlobalAveragePooling2D()(network.get_layer(name).output) for name in LAYERS]
    files = [
        (path, number)
        for split in ("train", "test")
        for number, folder in enumerate(sorted((data / split).iterdir()))
        for path in sorted(folder.iterdir())[:200]
    ]
    pixels = [
        np.asarray(Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)) for path, _ in files
    ]
    inputs = keras.applications.vgg16.preprocess_input(np.stack(pixels).astype("float32"))
    features = keras.Model(network.input, outputs).predict(inputs, batch_size=32, verbose=0)
    np.savez(target, y=np.array([number for _, number in files]), **dict(zip(LAYERS, features, strict=True)))


def inputs_of(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what a head may read: the last layer, its root of unit length, or those of several layers."""

    def root(name: str) -> np.ndarray:
        values = np.sqrt(stored[name])
        return values / np.linalg.norm(values, axis=1, keepdims=True) * np.sqrt(values.shape[1]) / 2

    last = stored["block5_pool"]
    several = np.concatenate([root(name) for name in LAYERS[:3]], axis=1)
    return {"last": last / last.std(), "root": root("block5_pool"), "several": several}


@dataclass(frozen=True)
class Draw:
    """Rows of the training and the validation images of a draw, and of all others, which are the truth."""

    train: np.ndarray
    validation: np.ndarray
    others: np.ndarray

    @classmethod
    def of(cls, classes: np.ndarray, train: int, validation: int, seed: int) -> Draw:
        rng = np.random.default_rng([seed, 1])
        pool = len(classes) // 2
        rows = [rng.permutation(np.flatnonzero(classes[:pool] == number)) for number in range(CLASSES)]
        first = np.concatenate([own[:train] for own in rows])
        second = np.concatenate([own[train : train + validation] for own in rows])
        return cls(first, second, np.setdiff1d(np.arange(len(classes)), np.r_[first, second]))


def forward(weights: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Return the logits of a head."""
    outputs = values @ weights[0] + weights[1]
    return np.maximum(outputs, 0) @ weights[2] + weights[3] if len(weights) > 2 else outputs


def train_head(
    settings: dict[str, Any], inputs: np.ndarray, classes: np.ndarray, rows: np.ndarray, seed: int
) -> list[list[np.ndarray]]:
    """Train a head with Adam on some rows; return its weights after each epoch."""
    rng = np.random.default_rng([seed, 7])
    wanted = np.eye(CLASSES)[classes[rows]] * (1 - settings["smoothing"]) + settings["smoothing"] / CLASSES
    sizes = [inputs.shape[1], *([settings["hidden"]] if settings["hidden"] else []), CLASSES]
    weights: list[np.ndarray] = []
    for width, units in itertools.pairwise(sizes):
        limit = np.sqrt(6 / (width + units)) if settings["hidden"] else 0.0  # a linear head starts at zero
        weights += [rng.uniform(-limit, limit, (width, units)), np.zeros(units)]
    first, second = ([np.zeros_like(part) for part in weights] for _ in range(2))
    epochs, step = [], 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(rows))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            values = hidden = inputs[rows[batch]]
            if settings["hidden"]:
                hidden = np.maximum(values @ weights[0] + weights[1], 0)
            kept = (rng.random(hidden.shape) >= settings["dropout"]) / (1 - settings["dropout"])
            slope = (_softmax((hidden * kept) @ weights[-2] + weights[-1]) - wanted[batch]) / len(batch)
            gradients = [(hidden * kept).T @ slope, slope.sum(axis=0)]
            if settings["hidden"]:
                below = (slope @ weights[2].T) * kept * (hidden > 0)
                gradients = [values.T @ below, below.sum(axis=0), *gradients]
            step += 1
            for part, gradient, mean, square in zip(weights, gradients, first, second, strict=True):
                mean += 0.1 * (gradient - mean)
                square += 0.001 * (gradient**2 - square)
                move = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-7)
                part -= settings["rate"] * (move + settings["decay"] * part)
        epochs.append([part.copy() for part in weights])
    return epochs


def _softmax(logits: Array) -> Array:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def _losses(logits: Array, classes: np.ndarray) -> Array:
    return -np.log(np.maximum(_softmax(logits)[np.arange(len(classes)), classes], 1e-300))


def measure(stored: dict[str, np.ndarray], seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Run one sweep; return errors of the winner's scores by metric, in points or nats, and the cost of choosing."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    study = optuna.create_study(direction="maximize", sampler=samplers[options.sampler](seed=seed))
    inputs, classes = inputs_of(stored), stored["y"]
    draw = Draw.of(classes, options.train, options.validation, seed)
    answered, truth = classes[draw.validation], classes[draw.others]
    predicted, losses, test, optimism = [], [], [], []
    for number in range(options.trials):
        trial = study.ask()
        settings = {
            "rate": trial.suggest_float("rate", 1e-4, 3e-2, log=True),
            "reads": trial.suggest_categorical("reads", list(inputs)),
            "hidden": trial.suggest_categorical("hidden", [0, 64, 256]),
            "dropout": trial.suggest_float("dropout", 0, 0.5),
            "smoothing": trial.suggest_categorical("smoothing", [0.0, 0.1]),
            "decay": trial.suggest_float("decay", 1e-5, 1e-2, log=True),
        }
        own = inputs[settings["reads"]].astype("float32")
        epochs = train_head(settings, own, classes, draw.train, seed * 1000 + number)
        answers = [forward(weights, own[draw.validation]) for weights in epochs]
        best = int(np.argmin([_losses(logits, answered).mean() for logits in answers]))
        flattered = []
        for epoch in (best, EPOCHS - 1):
            probabilities = _softmax(forward(epochs[epoch], own[draw.others]))
            hits = (answers[epoch].argmax(axis=1) == answered).mean()
            flattered.append(hits - TABLE["accuracy"].function(truth, probabilities))
            if epoch == best and len(test) == number:
                test.append(
                    [TABLE[name].function(truth, probabilities) for name in ("accuracy", "macro_f1", "log_loss")]
                )
                study.tell(trial, hits)
        # Optimism of the best epoch's score beyond that of the last epoch, which is noise of the images alone.
        optimism.append(flattered[0] - flattered[1])
        predicted.append(answers[best].argmax(axis=1))
        losses.append(_losses(answers[best], answered))
    matrix = Answers(answered, np.stack(predicted, axis=1), np.stack(losses, axis=1), CLASSES)
    result = {"best epoch": 100 * float(np.mean(optimism))}
    for column, metric in enumerate(METRICS):
        chosen, unit = select(matrix, metric, seed), 1 if metric == LOSS else 100
        true = test[chosen.best][column]
        result[f"{metric} truth"] = unit * true
        result[f"{metric} naive"] = unit * (chosen.naive - true)
        result[f"{metric} corrected"] = unit * (chosen.corrected - true)
        assert chosen.interval is not None
        result[f"{metric} held"] = 100.0 * (chosen.interval[0] <= true <= chosen.interval[1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--train", type=int, default=16)
    parser.add_argument("--validation", type=int, default=4)
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe")
    options = parser.parse_args()
    if not options.features.exists():
        write_features(options.data, options.weights, options.features)
    stored = dict(np.load(options.features))
    values = defaultdict(list)
    for seed in range(options.draws):
        for name, value in measure(stored, seed, options).items():
            values[name].append(value)
    cells = {name: f"{np.mean(each):+.2f} ± {np.std(each) / np.sqrt(len(each)):.2f}" for name, each in values.items()}
    print(f"best epoch by the validation loss: {cells['best epoch']} points of accuracy in each trial\n")
    print("| metric | truth | naive - truth | corrected - truth | interval holds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for metric in METRICS:
        truth, held = (float(np.mean(values[f"{metric} {name}"])) for name in ("truth", "held"))
        print(f"| {metric} | {truth:.2f} | {cells[f'{metric} naive']} | {cells[f'{metric} corrected']} | {held:.0f}% |")


if __name__ == "__main__":
    main()
