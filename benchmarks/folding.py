"""What does folding BatchNorm bring? The folded twin beside plain Keras, in interleaved pairs of one run.

usage: folding.py OUT.json [--sides 64 160] [--pairs 7] [--passes 3] [--images 160] [--optimizer sgd] [--torch PYTHON]

Prints, and writes to OUT.json, medians over the pairs:

- features: seconds of plain Keras `predict` of ResNet50 at 224, pooled / seconds through the twin, in float32 and in
  bfloat16, and the largest difference of the pooled features, relative to the largest feature;
- step at SIDE: seconds of a plain Keras training step of ResNet50 (batch 32, all layers train, BatchNorm in inference
  mode, float32, op determinism on) / seconds through the twin; and beside it the same without any BatchNorm, which is
  what folding could bring at most;
- losses: the largest relative difference of the losses of 20 steps from plain Keras's, also with L2 and AdamW, and
  the same of a control, plain Keras from weights that differ by rounding;
- torch: seconds of the same step in PyTorch eager / seconds through the twin; --torch names a Python that has it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from transfercli.config.schema import ComputeConfig, OptimizerConfig, RegularizationConfig
from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import FoldedModel, fold
from transfercli.models.forward import computing_in
from transfercli.models.preprocessing import preprocess
from transfercli.training.backend import prepare
from transfercli.training.optim.optimizers import build_optimizer, regularize

BASE, BATCH, CLASSES = "resnet50", 32, 5
Runs = dict[str, Callable[[], Any]]
TORCH = Path(__file__).with_name("folding_torch.py")


class AtInference(keras.layers.Layer):
    """Plain Keras: the base with BatchNorm as steps of its own, in inference mode also while it trains."""

    def __init__(self, base: keras.Model) -> None:
        super().__init__()
        self.base = base

    def call(self, x: Any) -> Any:
        return self.base(x, training=False)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.base.compute_output_shape(input_shape))


class WithoutNorm(FoldedModel):
    """The base with its BatchNorm left out: not the same function, but a bound on what folding can bring."""

    def _operation(self, operation: Any) -> Callable[..., Any]:
        return (lambda x, **_: x) if isinstance(operation, keras.layers.BatchNormalization) else operation


def without_norm(base: keras.Model) -> keras.Model:
    return WithoutNorm(inputs=base._inputs_struct, outputs=base._outputs_struct)


def pooled(base: Any, side: int) -> tuple[Any, Any]:
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    features = base(preprocess(image, BASES[BASE].preprocessing, 3))
    return image, keras.layers.GlobalAveragePooling2D(name="pool")(features)


def pixels(number: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (number, side, side, 3), dtype="uint8")


def interleaved(runs: Runs, times: int) -> dict[str, list[float]]:
    """Seconds of each run, taken in turn, so that what else the machine does meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def ratios(seconds: dict[str, list[float]], images: int) -> dict[str, Any]:
    """Images a second of each, and the median over the pairs of plain's seconds / its seconds."""
    return {
        name: {
            "images_per_second": round(images / statistics.median(taken), 1),
            "times_plain": round(statistics.median(p / t for p, t in zip(seconds["plain"], taken, strict=True)), 3),
        }
        for name, taken in seconds.items()
    }


def features(images: int, passes: int) -> dict[str, Any]:
    base, x = BASES[BASE].build((224, 224, 3)), pixels(images, 224)
    models = {"plain": base, "float32": fold(base), "bfloat16": fold(base)}

    def run(name: str, model: keras.Model) -> np.ndarray:
        with computing_in("bfloat16" if name == "bfloat16" else "float32", model):
            return np.asarray(model.predict(x, batch_size=BATCH, verbose=0), "float32")

    runs: Runs = {name: partial(run, name, keras.Model(*pooled(model, 224))) for name, model in models.items()}
    outputs = {name: call() for name, call in runs.items()}
    result = ratios(interleaved(runs, passes), images)
    for name, output in outputs.items():
        difference = np.abs(output - outputs["plain"]).max() / np.abs(outputs["plain"]).max()
        result[name]["largest_relative_difference"] = float(f"{difference:.2g}")
    return result


def classifier(base: Any, side: int, optimizer: OptimizerConfig, l2: float = 0.0) -> keras.Model:
    image, x = pooled(base, side)
    start = keras.initializers.RandomNormal(stddev=0.01, seed=1)
    model = keras.Model(image, keras.layers.Dense(CLASSES, name="logits", kernel_initializer=start)(x))
    regularize(model, RegularizationConfig(l2=l2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(build_optimizer(optimizer, optimizer.learning_rate), loss, jit_compile=False)
    return model


def training(side: int, pairs: int, optimizer: OptimizerConfig, python: str | None) -> dict[str, Any]:
    base = BASES[BASE].build((side, side, 3))
    x, y = pixels(BATCH, side), np.arange(BATCH) % CLASSES
    kinds: dict[str, Callable[[keras.Model], Any]] = {"plain": AtInference, "folded": fold, "no norm": without_norm}
    models = {name: classifier(kind(base), side, optimizer) for name, kind in kinds.items()}
    runs: Runs = {name: partial(model.train_on_batch, x, y) for name, model in models.items()}
    with torch_steps(python, side) as torch:
        if torch:
            runs["torch"] = torch
        interleaved(runs, 2)
        seconds = interleaved(runs, pairs)
    return ratios(seconds, BATCH)


@contextmanager
def torch_steps(python: str | None, side: int) -> Iterator[Callable[[], Any] | None]:
    """Calls one step in a waiting PyTorch process; None without a Python that has PyTorch."""
    if not python:
        yield None
        return
    command = [python, str(TORCH), str(side), str(BATCH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        given, taken = child.stdin, child.stdout
        assert given is not None
        assert taken is not None

        def step() -> None:
            given.write("step\n")
            given.flush()
            if not taken.readline():
                raise RuntimeError("the PyTorch process ended")

        yield step
        given.close()


def calibrate(base: keras.Model, x: np.ndarray) -> None:
    """Give BatchNorm the statistics of `x`, as a trained network has them: activations neither fade nor explode."""
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    keras.Model(*pooled(base, x.shape[1]))(x, training=True)


def losses(side: int, steps: int = 20) -> dict[str, dict[str, float]]:
    """Largest relative difference of the losses from plain Keras's, by what is trained with: of the twin, and of plain
    Keras itself from weights that differ by rounding (1e-7), which is what a training makes of any rounding.
    """
    base = BASES[BASE].build((side, side, 3))
    x, y = pixels(BATCH, side), np.arange(BATCH) % CLASSES
    calibrate(base, x)
    start, rng = base.get_weights(), np.random.default_rng(0)
    rounded = [(w * (1 + 1e-7 * rng.standard_normal(w.shape))).astype(w.dtype) for w in start]
    cases = {
        "sgd": (OptimizerConfig(name="sgd", learning_rate=1e-5), 0.0),
        "adamw and l2": (OptimizerConfig(name="adamw", learning_rate=1e-5, weight_decay=0.01), 1e-4),
    }
    found = {}
    for name, case in cases.items():
        taken = []
        for kind, weights in ((AtInference, start), (fold, start), (fold, start), (AtInference, rounded)):
            base.set_weights(weights)
            model = classifier(kind(base), side, *case)
            taken.append([float(model.train_on_batch(x, y)) for _ in range(steps)])
        plain, folded, again, control = taken
        assert folded == again, "the twin did not repeat bit for bit"
        found[name] = {"twin": largest_difference(folded, plain), "control": largest_difference(control, plain)}
    return found


def largest_difference(given: list[float], wanted: list[float]) -> float:
    return float(f"{max(abs(a - b) / abs(b) for a, b in zip(given, wanted, strict=True)):.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sides", type=int, nargs="*", default=[64, 160])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--torch", help="a Python with torch, for the comparison with PyTorch eager")
    given = parser.parse_args()
    prepare(ComputeConfig(), seed=0)
    warnings.filterwarnings("ignore", message="Gradients do not exist")  # of the norms that are left out
    optimizer = OptimizerConfig(name=given.optimizer, learning_rate=1e-5)
    result: dict[str, Any] = {}
    parts: Runs = {
        f"step at {side}": partial(training, side, given.pairs, optimizer, given.torch) for side in given.sides
    }
    parts["features"] = partial(features, given.images, given.passes)
    parts["losses"] = partial(losses, 64)
    for name, part in parts.items():
        keras.backend.clear_session()
        result[name] = part()
        print(name, json.dumps(result[name]), flush=True)
        given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
