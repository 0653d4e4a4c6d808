"""Workflow of `bases list`: every base with its size, published accuracy and licence, and what fits this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from transfercli.io.memory import usable_memory
from transfercli.models.base import Base
from transfercli.models.base_costs import MULTIPLY_ADDS
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    import keras

Weights = Literal["here", "download", "none"]
Fits = Literal["all layers", "frozen", "no"]

PROGRAM_BYTES = 2 * 10**9  # of the libraries, a batch of images and its activations
WEIGHT_BYTES = 4  # of one float32
TRAINED_BYTES = 4 * WEIGHT_BYTES  # of one trained weight: itself, its gradient and the two moments of Adam
MEASURED_BATCH = 8  # images
MEASURED_BATCHES = 5


@dataclass(frozen=True, slots=True)
class BaseSummary:
    """Row of `bases list`.

    Attributes:
        image_size: height and width, in pixels, of the images of the published network.
        parameters: number of weights, without the classification top.
        multiply_adds: of one image of that size, without the top.
        bytes: size of the weights as float32.
        imagenet_top1: published accuracy on ImageNet, or None without published weights; source: of that number.
        crop: part of the shorter side, in the centre, that the published network is given; interpolation: of the
            resizing before; None if the source does not say.
        pooling: of the published network.
        repository: of the published weights on the Hugging Face Hub, or None if Keras or nobody publishes them.
        weights: here (in a cache of this machine), download, or none (train it, or give it those of a run or a file).
        fits: what the memory of this machine can train.
        images_per_second, ms_per_image: measured speed of the frozen base; None if it was not measured.
    """

    name: str
    family: str
    image_size: int
    parameters: int
    multiply_adds: int
    bytes: int
    imagenet_top1: float | None
    source: str
    licence: str
    crop: float | None
    interpolation: str | None
    pooling: str
    repository: str | None
    weights: Weights
    fits: Fits
    images_per_second: float | None
    ms_per_image: float | None


@dataclass(frozen=True, slots=True)
class BaseList:
    """The result of `bases list`. memory: bytes that a process may use on this machine."""

    bases: Sequence[BaseSummary]
    memory: int

    def as_json(self) -> dict[str, Any]:
        return {"memory_bytes": self.memory, "bases": [asdict(base) for base in self.bases]}


def list_bases(
    names: Sequence[str], measure: bool, reporter: Reporter, *, families: Sequence[str] = (), here: bool = False
) -> BaseList:
    """Return the bases `names`, or all of them, by family and number of weights.

    measure: also build each base and time it, which takes some seconds for each.
    families: only bases of these families, if any are given; here: only bases whose published weights are stored here.
    """
    memory = usable_memory()
    chosen = [name for name in names or BASES if not families or BASES[name].family in families]
    if here:
        chosen = [name for name in chosen if _weights(BASES[name]) == "here"]
    chosen.sort(key=lambda name: (BASES[name].family.casefold(), BASES[name].parameters))
    if measure:
        from transfercli.config.schema import ComputeConfig
        from transfercli.training.backend import prepare

        prepare(ComputeConfig(), seed=0)
    rows = []
    for done, name in enumerate(chosen):
        if measure:
            reporter.progress(f"measuring {name}", done, len(chosen), "bases")
        rows.append(_summary(name, BASES[name], memory, _seconds_per_image(name) if measure else None))
    return BaseList(rows, memory)


def _summary(name: str, base: Base, memory: int, seconds: float | None) -> BaseSummary:
    published = base.published or base.repository
    return BaseSummary(
        name=name,
        family=base.family,
        image_size=base.size,
        parameters=base.parameters,
        multiply_adds=MULTIPLY_ADDS[name],
        bytes=base.parameters * WEIGHT_BYTES,
        imagenet_top1=published.top1 if published else None,
        source=published.source if published else base.source,
        licence=base.weights_licence or "no published weights",
        crop=base.crop,
        interpolation=base.interpolation if base.crop else None,
        pooling=base.pooling,
        repository=base.repository.repository if base.repository else None,
        weights=_weights(base),
        fits=_fits(base.parameters, memory),
        images_per_second=round(1 / seconds, 1) if seconds else None,
        ms_per_image=round(1000 * seconds, 2) if seconds else None,
    )


def _weights(base: Base) -> Weights:
    if not base.has_imagenet:
        return "none"
    return "here" if base.stored_weights((base.size, base.size)) else "download"


def _fits(parameters: int, memory: int) -> Fits:
    if PROGRAM_BYTES + parameters * TRAINED_BYTES <= memory:
        return "all layers"
    return "frozen" if PROGRAM_BYTES + parameters * WEIGHT_BYTES <= memory else "no"


def _seconds_per_image(name: str) -> float:
    """Return the time per image of the frozen base with random weights, in batches of its own image size."""
    import keras

    from transfercli.models.classifier import build_base

    size = BASES[name].size
    seconds = seconds_per_image(build_base(name, (size, size), 3))
    keras.backend.clear_session()  # frees the network
    return seconds


def seconds_per_image(base: keras.Model) -> float:
    """Return the time per image of a base, in the fastest of some batches: other programs only slow it down."""
    images = np.random.default_rng(0).integers(0, 256, (MEASURED_BATCH, *base.input_shape[1:])).astype("float32")
    base.predict_on_batch(images)  # compiles
    times = []
    for _ in range(MEASURED_BATCHES):
        started = time.perf_counter()
        base.predict_on_batch(images)
        times.append(time.perf_counter() - started)
    return min(times) / MEASURED_BATCH
