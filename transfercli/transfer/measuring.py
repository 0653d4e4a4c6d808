"""Measurements for `auto`: number of images, work in each stage, and times on this machine or at nominal speeds."""

from __future__ import annotations

import time

import numpy as np

from transfercli.config.types import seconds_of
from transfercli.models.multiplications import multiplications
from transfercli.models.passes.batch_size import BATCH
from transfercli.models.surgery import Cut, cut_below
from transfercli.transfer.auto import SLOWDOWN, Measurements
from transfercli.transfer.features.device_speeds import PROCESSOR
from transfercli.transfer.phase_builder import PhaseBuilder
from transfercli.transfer.probe.families import family_of
from transfercli.transfer.probe.probe import FOLDS, PASSES, solve_seconds

COMPILE_SECONDS = 3.0  # nominal, of one model


def measure(builder: PhaseBuilder, budget: float | str) -> Measurements:
    """Return the counts of a training, with times; `spent` is left to the caller.

    budget: value of `transfer.budget`. Seconds are compared with times that are measured now, on two batches through
    the frozen base and a pass of the probe's solver; a multiple of the probe with times at nominal speeds, which are
    the same whatever else the machine does.
    """
    inputs, classifier, base_cut = builder.inputs, builder.classifier, builder.cut_after_base()
    total = multiplications(base_cut.prefix)
    cuts = {stage: cut_below(classifier, stage) for stage in classifier.stages}
    images = len(inputs.training)
    targets = inputs.training.targets
    classes = len(family_of(targets).present(targets, len(classifier.labels)))
    width = int(np.prod(base_cut.feature_shape))
    if isinstance(budget, str):
        size = BATCH
        batch, slowdown = size * total / PROCESSOR.float32, 1.0
        start, compiling = COMPILE_SECONDS + batch, COMPILE_SECONDS
        solving = 2 * PASSES * FOLDS * images * width * classes / PROCESSOR.float32
    else:
        batch, start, compiling, slowdown = _times(builder, base_cut)
        solving = solve_seconds(images, width, classes)
        size = builder.prefix_of(base_cut).batch
    batches = -(-(images + len(inputs.validation)) // size)
    return Measurements(
        images_per_class=_images_per_class(targets, classes),
        images=images + len(inputs.validation),
        validation=len(inputs.validation),
        batches=batches,
        batch_seconds=batch,
        start_seconds=start,
        compile_seconds=compiling,
        shares={name: 1 - multiplications(cut.prefix) / total if cut else 1.0 for name, cut in cuts.items()},
        slowdown=slowdown,
        solve_seconds=solving,
        budget=seconds_of(budget, start + batches * batch + solving),
    )


def _images_per_class(targets: np.ndarray, classes: int) -> float:
    """Return the mean number of images of a class, or of a label that images have."""
    return float(np.count_nonzero(targets == 1) if targets.ndim == 2 else len(targets)) / max(classes, 1)


def _times(builder: PhaseBuilder, base_cut: Cut) -> tuple[float, float, float, float]:
    """Return the seconds of a batch, of the start and of a compilation, and the slowdown, as in `Measurements`."""
    images, times = builder.inputs.training.images, [time.perf_counter()]
    prefix = builder.prefix_of(base_cut)
    times.append(time.perf_counter())
    for _ in range(2):
        prefix(images.read(np.arange(min(prefix.batch, len(images)))))
        times.append(time.perf_counter())
    checked, first, second = np.diff(times).tolist()
    compiling = checked / 2 + max(0.0, first - second)  # the check of the precision compiles for both
    return second, checked + first, compiling, 1.0 if prefix.precision == "float32" else SLOWDOWN
