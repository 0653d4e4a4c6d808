"""What one image takes a model, beside another model on the same machine at the same time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transfercli.workflows.stored_run import StoredRun

REPEATS = 25


def latencies(*models: StoredRun) -> list[float]:
    """Milliseconds of a batch of one, the median of `REPEATS` interleaved rounds after one that compiles."""
    steps = [_step(model) for model in models]
    for step in steps:
        step()
    rounds = [[_timed(step) for step in steps] for _ in range(REPEATS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def _step(model: StoredRun) -> Callable[[], object]:
    import numpy as np

    predictor = model.classifier.predictor
    image = np.zeros((1, *predictor.input.shape[1:]), "uint8")
    return lambda: predictor.predict_on_batch(image)


def _timed(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - started)
