"""What `auto` has to know: how many images there are, what a batch takes on this machine, and where the work is."""

from __future__ import annotations

import time

import numpy as np

from transfercli.config.types import seconds_of
from transfercli.models.surgery import cut_below, multiplications
from transfercli.transfer.auto import SLOWDOWN, Measured
from transfercli.transfer.features.prefix import BATCH
from transfercli.transfer.stages import PhaseStages


def measure(stages: PhaseStages, budget: float | str) -> Measured:
    """Time two batches through the frozen base, the first with its compilation; budget: as the config gives it."""
    training, classifier, whole = stages.training, stages.classifier, stages.cut_after_base()
    times = [time.perf_counter()]
    prefix, batch = stages.prefix_of(whole), np.arange(min(BATCH, len(training.training)))
    times.append(time.perf_counter())
    for _ in range(2):
        prefix(training.training.images.read(batch))
        times.append(time.perf_counter())
    checked, first, batch_seconds = np.diff(times).tolist()
    start_seconds = checked + first
    total = multiplications(whole.prefix)
    cuts = {stage: cut_below(classifier, stage) for stage in classifier.stages}
    batches = -(-(len(training.training) + len(training.validation)) // BATCH)
    return Measured(
        images_per_class=len(training.training) / len(np.unique(training.training.targets)),
        batches=batches,
        batch_seconds=batch_seconds,
        start_seconds=start_seconds,
        compile_seconds=checked / 2 + max(0.0, first - batch_seconds),  # a check compiles for both precisions
        shares={name: 1 - multiplications(cut.prefix) / total if cut else 1.0 for name, cut in cuts.items()},
        slowdown=1.0 if prefix.precision == "float32" else SLOWDOWN,
        budget=seconds_of(budget, start_seconds + batches * batch_seconds),
    )
