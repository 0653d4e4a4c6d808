"""Losses of training steps, read late: an accelerator would stand still while the loss of each step is fetched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import keras


class LossesOfSteps(keras.callbacks.CallbackList):
    """Callbacks of `fit` that report the loss of each step, in order, in the calling thread.

    A list of callbacks would make Keras fetch the results of every step before it starts the next one.

    report: called with the number of the step, from 0, and its loss.
    in_flight: number of later steps that may have been started when a loss is fetched.
    """

    def __init__(self, model: keras.Model, report: Callable[[int, float], None], in_flight: int) -> None:
        super().__init__(add_history=True, model=model)
        self._report, self._in_flight = report, in_flight
        self._steps: deque[tuple[int, Any]] = deque()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the losses of the steps that are over."""
        self._steps.append((batch, (logs or {})["loss"]))
        self._report_all_but(self._in_flight)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the losses of all steps of the epoch."""
        self._report_all_but(0)
        super().on_epoch_end(epoch, logs)

    def _report_all_but(self, left: int) -> None:
        while len(self._steps) > left:
            step, loss = self._steps.popleft()
            self._report(step, float(loss))
