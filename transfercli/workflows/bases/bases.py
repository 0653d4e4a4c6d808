"""Workflow of `bases list`: every base with its size, published accuracy and licence, and what fits this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from transfercli.io.memory import usable_memory
from transfercli.models.base import Base
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter

Weights = Literal["here", "download", "none"]
Fits = Literal["all layers", "frozen", "no"]

PROGRAM_BYTES = 2 * 10**9  # of the libraries, a batch of images and its activations
WEIGHT_BYTES = 4  # of one float32
TRAINED_BYTES = 4 * WEIGHT_BYTES  # of one trained weight: itself, its gradient and the two moments of Adam
MEASURED_BATCH = 8  # images
MEASURED_BATCHES = 3


@dataclass(frozen=True, slots=True)
class BaseSummary:
    """Row of `bases list`.

    Attributes:
        image_size: height and width, in pixels, of the images of the published network.
        parameters: number of weights, without the classification top.
        bytes: their size as float32.
        imagenet_top1: published accuracy on ImageNet, or None without published weights; source: of that number.
        weights: here (in Keras's cache), download, or none (train it, or give it the weights of a run or a file).
        fits: what the memory of this machine can train.
        images_per_second: measured speed of the frozen base; None if it was not measured.
    """

    name: str
    family: str
    image_size: int
    parameters: int
    bytes: int
    imagenet_top1: float | None
    source: str
    licence: str
    weights: Weights
    fits: Fits
    images_per_second: float | None


@dataclass(frozen=True, slots=True)
class BaseList:
    """The result of `bases list`. memory: bytes that a process may use on this machine."""

    bases: Sequence[BaseSummary]
    memory: int

    def as_json(self) -> dict[str, Any]:
        return {"memory_bytes": self.memory, "bases": [asdict(base) for base in self.bases]}


def list_bases(names: Sequence[str], measure: bool, reporter: Reporter) -> BaseList:
    """Return the bases `names`, or all of them, by family and number of weights.

    measure: also build each base and time it, which takes some seconds for each.
    """
    memory = usable_memory()
    chosen = sorted(names or BASES, key=lambda name: (BASES[name].family.casefold(), BASES[name].parameters))
    if measure:
        from transfercli.config.schema import ComputeConfig
        from transfercli.training.backend import prepare

        prepare(ComputeConfig(), seed=0)
    rows = []
    for done, name in enumerate(chosen):
        if measure:
            reporter.progress(f"measuring {name}", done, len(chosen), "bases")
        rows.append(_summary(name, BASES[name], memory, _speed(name) if measure else None))
    return BaseList(rows, memory)


def _summary(name: str, base: Base, memory: int, speed: float | None) -> BaseSummary:
    published = base.published
    return BaseSummary(
        name=name,
        family=base.family,
        image_size=base.size,
        parameters=base.parameters,
        bytes=base.parameters * WEIGHT_BYTES,
        imagenet_top1=published.top1 if published else None,
        source=published.source if published else base.source,
        licence=base.licence if published else "no published weights",
        weights=("here" if published.path_for((base.size, base.size)) else "download") if published else "none",
        fits=_fits(base.parameters, memory),
        images_per_second=speed,
    )


def _fits(parameters: int, memory: int) -> Fits:
    if PROGRAM_BYTES + parameters * TRAINED_BYTES <= memory:
        return "all layers"
    return "frozen" if PROGRAM_BYTES + parameters * WEIGHT_BYTES <= memory else "no"


def _speed(name: str) -> float:
    """Return images per second of the frozen base with random weights, at its own image size."""
    import keras

    from transfercli.models.classifier import build_base

    size = BASES[name].size
    base = build_base(name, (size, size), 3)
    images = np.random.default_rng(0).integers(0, 256, (MEASURED_BATCH, size, size, 3)).astype("float32")
    base.predict_on_batch(images)  # compiles
    started = time.perf_counter()
    for _ in range(MEASURED_BATCHES):
        base.predict_on_batch(images)
    seconds = time.perf_counter() - started
    keras.backend.clear_session()  # frees the network
    return round(MEASURED_BATCH * MEASURED_BATCHES / seconds, 1)
