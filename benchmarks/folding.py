"""Speed-up by folding BatchNorm into convolutions, compared with plain Keras in interleaved measurements.

Usage: python benchmarks/folding.py OUT.json [--sides 64 160] [--pairs 7] [--passes 3] [--images 160]
                                    [--optimizer sgd] [--torch PYTHON]

Prints, and writes to OUT.json, medians over the pairs of measurements:

- features: seconds of plain Keras `predict` of ResNet50 at 224 pixels, pooled, relative to the folded model in float32
  and in bfloat16, and the largest difference of the pooled features, relative to the largest feature;
- step at SIDE: seconds of a plain Keras training step of ResNet50 (batch 32, all layers train, BatchNorm in inference
  mode, float32, op determinism on), relative to the folded model, and relative to a model without BatchNorm, which is
  an upper bound of the speed-up;
- losses: the largest relative difference of the losses of 20 steps from those of plain Keras, also with L2 and AdamW,
  and of a control: plain Keras from weights that differ by rounding errors;
- torch: seconds of the same step in PyTorch eager; --torch is the path of a Python that has PyTorch.
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
Measurements = dict[str, Callable[[], Any]]
TORCH_SCRIPT = Path(__file__).with_name("folding_torch.py")


class BaseInInferenceMode(keras.layers.Layer):
    """Base in plain Keras with BatchNorm as separate layers, in inference mode also during training."""

    def __init__(self, base: keras.Model) -> None:
        super().__init__()
        self.base = base

    def call(self, x: Any) -> Any:
        return self.base(x, training=False)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.base.compute_output_shape(input_shape))


class BaseWithoutBatchNorm(FoldedModel):
    """Base without its BatchNorm layers: another function, and an upper bound of the speed-up by folding."""

    def _operation(self, operation: Any) -> Callable[..., Any]:
        return (lambda x, **_: x) if isinstance(operation, keras.layers.BatchNormalization) else operation


def without_batchnorm(base: keras.Model) -> keras.Model:
    return BaseWithoutBatchNorm(inputs=base._inputs_struct, outputs=base._outputs_struct)


def pooled(base: Any, side: int) -> tuple[Any, Any]:
    """Return the symbolic input uint8 [N, side, side, 3] and the pooled features of the base."""
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    features = base(preprocess(image, BASES[BASE].preprocessing, 3))
    return image, keras.layers.GlobalAveragePooling2D(name="pool")(features)


def random_images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype="uint8")


def interleaved(measurements: Measurements, repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each call; the calls take turns, so that other load of the machine affects all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(repeats):
        for name, call in measurements.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def ratios(seconds: dict[str, list[float]], images: int) -> dict[str, Any]:
    """Return images per second for each name, and the median speed-up over "plain", of the calls pair by pair."""
    return {
        name: {
            "images_per_second": round(images / statistics.median(times), 1),
            "times_plain": round(statistics.median(p / t for p, t in zip(seconds["plain"], times, strict=True)), 3),
        }
        for name, times in seconds.items()
    }


def measure_features(images: int, passes: int) -> dict[str, Any]:
    """Measure speed and differences of the pooled features, plain and folded."""
    base, x = BASES[BASE].build((224, 224, 3)), random_images(images, 224)
    models = {"plain": base, "float32": fold(base), "bfloat16": fold(base)}

    def predict(name: str, model: keras.Model) -> np.ndarray:
        with computing_in("bfloat16" if name == "bfloat16" else "float32", model):
            return np.asarray(model.predict(x, batch_size=BATCH, verbose=0), "float32")

    calls: Measurements = {
        name: partial(predict, name, keras.Model(*pooled(model, 224))) for name, model in models.items()
    }
    outputs = {name: call() for name, call in calls.items()}
    result = ratios(interleaved(calls, passes), images)
    for name, output in outputs.items():
        difference = np.abs(output - outputs["plain"]).max() / np.abs(outputs["plain"]).max()
        result[name]["largest_relative_difference"] = float(f"{difference:.2g}")
    return result


def classifier(base: Any, side: int, optimizer: OptimizerConfig, l2: float = 0.0) -> keras.Model:
    """Return a compiled model of the base and a linear head, without XLA."""
    image, x = pooled(base, side)
    initializer = keras.initializers.RandomNormal(stddev=0.01, seed=1)
    model = keras.Model(image, keras.layers.Dense(CLASSES, name="logits", kernel_initializer=initializer)(x))
    regularize(model, RegularizationConfig(l2=l2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(build_optimizer(optimizer, optimizer.learning_rate), loss, jit_compile=False)
    return model


def measure_steps(side: int, pairs: int, optimizer: OptimizerConfig, python: str | None) -> dict[str, Any]:
    """Measure training steps: plain, folded, without BatchNorm, and in PyTorch if `python` is given."""
    base = BASES[BASE].build((side, side, 3))
    x, y = random_images(BATCH, side), np.arange(BATCH) % CLASSES
    builders: dict[str, Callable[[keras.Model], Any]] = {
        "plain": BaseInInferenceMode,
        "folded": fold,
        "no norm": without_batchnorm,
    }
    models = {name: classifier(build(base), side, optimizer) for name, build in builders.items()}
    calls: Measurements = {name: partial(model.train_on_batch, x, y) for name, model in models.items()}
    with torch_steps(python, side) as torch_step:
        if torch_step:
            calls["torch"] = torch_step
        interleaved(calls, 2)  # compiles
        seconds = interleaved(calls, pairs)
    return ratios(seconds, BATCH)


@contextmanager
def torch_steps(python: str | None, side: int) -> Iterator[Callable[[], Any] | None]:
    """Yield a function that makes one step in a PyTorch process; None if `python` is not given."""
    if not python:
        yield None
        return
    command = [python, str(TORCH_SCRIPT), str(side), str(BATCH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        requests, replies = child.stdin, child.stdout
        assert requests is not None
        assert replies is not None

        def step() -> None:
            requests.write("step\n")
            requests.flush()
            if not replies.readline():
                raise RuntimeError("the PyTorch process ended")

        yield step
        requests.close()


def calibrate(base: keras.Model, x: np.ndarray) -> None:
    """Set the statistics of BatchNorm to those of `x`, so that activations neither vanish nor explode."""
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    keras.Model(*pooled(base, x.shape[1]))(x, training=True)


def measure_losses(side: int, steps: int = 20) -> dict[str, dict[str, float]]:
    """Return the largest relative difference of the losses from those of plain Keras, by optimizer.

    "twin" is the folded model. "control" is plain Keras from weights that differ by rounding errors (1e-7 relative),
    and so the difference that training makes of any rounding. Raises `AssertionError` if the folded model is not
    deterministic.
    """
    base = BASES[BASE].build((side, side, 3))
    x, y = random_images(BATCH, side), np.arange(BATCH) % CLASSES
    calibrate(base, x)
    start, rng = base.get_weights(), np.random.default_rng(0)
    rounded = [(w * (1 + 1e-7 * rng.standard_normal(w.shape))).astype(w.dtype) for w in start]
    cases = {
        "sgd": (OptimizerConfig(name="sgd", learning_rate=1e-5), 0.0),
        "adamw and l2": (OptimizerConfig(name="adamw", learning_rate=1e-5, weight_decay=0.01), 1e-4),
    }
    differences = {}
    for name, case in cases.items():
        losses = []
        for build, weights in (
            (BaseInInferenceMode, start),
            (fold, start),
            (fold, start),
            (BaseInInferenceMode, rounded),
        ):
            base.set_weights(weights)
            model = classifier(build(base), side, *case)
            losses.append([float(model.train_on_batch(x, y)) for _ in range(steps)])
        plain, folded, again, control = losses
        assert folded == again, "the losses of the folded model differ between two trainings"
        differences[name] = {"twin": largest_difference(folded, plain), "control": largest_difference(control, plain)}
    return differences


def largest_difference(values: list[float], reference: list[float]) -> float:
    """Return the largest relative difference, to two digits."""
    return float(f"{max(abs(a - b) / abs(b) for a, b in zip(values, reference, strict=True)):.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sides", type=int, nargs="*", default=[64, 160])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--torch", help="a Python with torch, for the comparison with PyTorch eager")
    args = parser.parse_args()
    prepare(ComputeConfig(), seed=0)
    warnings.filterwarnings("ignore", message="Gradients do not exist")  # of the BatchNorm layers that are left out
    optimizer = OptimizerConfig(name=args.optimizer, learning_rate=1e-5)
    result: dict[str, Any] = {}
    measurements: Measurements = {
        f"step at {side}": partial(measure_steps, side, args.pairs, optimizer, args.torch) for side in args.sides
    }
    measurements["features"] = partial(measure_features, args.images, args.passes)
    measurements["losses"] = partial(measure_losses, 64)
    for name, measure in measurements.items():
        keras.backend.clear_session()
        result[name] = measure()
        print(name, json.dumps(result[name]), flush=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
