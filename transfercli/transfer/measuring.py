"""Measurements for `auto`: number of images, times on this machine, work in each stage."""

from __future__ import annotations

import time

import numpy as np

from transfercli.config.types import seconds_of
from transfercli.models.multiplications import multiplications
from transfercli.models.surgery import cut_below
from transfercli.transfer.auto import SLOWDOWN, Measurements
from transfercli.transfer.features.prefix import BATCH
from transfercli.transfer.phase_builder import PhaseBuilder
from transfercli.transfer.probe.probe import solve_seconds


def measure(builder: PhaseBuilder, budget: float | str) -> Measurements:
    """Time two batches through the frozen base, the first with compilation, and a pass of the probe's solver.

    budget: value of `transfer.budget`.
    """
    inputs, classifier, base_cut = builder.inputs, builder.classifier, builder.cut_after_base()
    times = [time.perf_counter()]
    prefix, batch = builder.prefix_of(base_cut), np.arange(min(BATCH, len(inputs.training)))
    times.append(time.perf_counter())
    for _ in range(2):
        prefix(inputs.training.images.read(batch))
        times.append(time.perf_counter())
    checked, first, batch_seconds = np.diff(times).tolist()
    start_seconds = checked + first
    total = multiplications(base_cut.prefix)
    cuts = {stage: cut_below(classifier, stage) for stage in classifier.stages}
    images, classes = len(inputs.training), len(np.unique(inputs.training.targets))
    width = int(np.prod(base_cut.feature_shape))
    solving = solve_seconds(images, width, classes)
    batches = -(-(len(inputs.training) + len(inputs.validation)) // BATCH)
    return Measurements(
        images_per_class=images / classes,
        batches=batches,
        batch_seconds=batch_seconds,
        start_seconds=start_seconds,
        compile_seconds=checked / 2 + max(0.0, first - batch_seconds),  # the check of the precision compiles for both
        shares={name: 1 - multiplications(cut.prefix) / total if cut else 1.0 for name, cut in cuts.items()},
        slowdown=1.0 if prefix.precision == "float32" else SLOWDOWN,
        solve_seconds=solving,
        budget=seconds_of(budget, start_seconds + batches * batch_seconds + solving),
    )
