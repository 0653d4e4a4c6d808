"""Latency of models for one image, measured side by side on the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transfercli.workflows.stored_run import StoredRun

ROUNDS = 25


def latencies(*models: StoredRun) -> list[float]:
    """Return the milliseconds per batch of one image of each model: the median of `ROUNDS`, after one that compiles.

    In each round every model is measured once, so that a change in the load of the machine concerns all of them.
    """
    steps = [_step(model) for model in models]
    for step in steps:
        step()
    rounds = [[_timed(step) for step in steps] for _ in range(ROUNDS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def _step(model: StoredRun) -> Callable[[], object]:
    """Return a function that predicts one black image."""
    import numpy as np

    predictor = model.classifier.predictor
    image = np.zeros((1, *predictor.input.shape[1:]), "uint8")
    return lambda: predictor.predict_on_batch(image)


def _timed(step: Callable[[], object]) -> float:
    """Return the milliseconds that `step` takes."""
    started = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - started)
