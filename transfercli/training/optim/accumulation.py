"""Updates of several batches (gradient accumulation), and the average of the weights after each update.

Keras' own accumulation counts batches in schedules and in the moving average, and drops what an epoch leaves over.
Here the optimizer's `iterations` count updates, so schedules, bias correction, weight decay, clipping and the average
all do. A training with batches of 16 images and 8 batches for each update follows one with batches of 128 images, apart
from BatchNorm, which uses the statistics of the smaller batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from transfercli.training.optim.ema import decay_after


@dataclass(frozen=True)
class UpdateGroups:
    """Division of an epoch's batches into updates; the last update of an epoch uses the batches that are left.

    images: rows per epoch. batch_size: rows per batch; the last batch may be smaller. accumulate: batches per update.
    """

    images: int
    batch_size: int
    accumulate: int = 1

    @property
    def batches(self) -> int:
        """Batches per epoch."""
        return -(-self.images // self.batch_size)

    @property
    def per_update(self) -> int:
        """Batches per update: `accumulate`, or all batches of an epoch if they are fewer."""
        return min(self.accumulate, self.batches)

    @property
    def updates(self) -> int:
        """Updates per epoch."""
        return -(-self.batches // self.per_update)

    @property
    def images_per_update(self) -> int:
        """Effective batch size: images of an update, except for the last of an epoch."""
        return min(self.per_update * self.batch_size, self.images)

    def share(self, batch: Any) -> Any:
        """Return the weight of a batch's mean gradient in its update: its images as a fraction of the update's.

        batch: int tensor [], counted from 0 within the epoch.
        """
        first_of_last = (self.updates - 1) * self.per_update * self.batch_size
        rows = ops.where(batch == self.batches - 1, self.images - (self.batches - 1) * self.batch_size, self.batch_size)
        total = ops.where(
            batch >= (self.updates - 1) * self.per_update,
            self.images - first_of_last,
            self.per_update * self.batch_size,
        )
        return ops.cast(rows, "float32") / ops.cast(total, "float32")

    def is_last(self, batch: Any) -> Any:
        """Return True, as a tensor [], if an update follows this batch."""
        return ops.logical_or((batch + 1) % self.per_update == 0, batch == self.batches - 1)


class CountingUpdates:
    """Part of an optimizer that updates once per group of batches, and averages the weights.

    A class must name it before the Keras optimizer that it extends. groups: division of an epoch into updates. decay:
    limit of the average's decay; None: no average. average: the averages in the order of the variables, or empty.
    """

    average: list[keras.Variable]
    sums: list[keras.Variable]

    def __init__(self, groups: UpdateGroups, decay: float | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.groups, self.decay = groups, decay
        self.average, self.sums = [], []

    def build(self: Any, variables: list[keras.Variable]) -> None:
        """Add the variables of the optimizer, the average and the sums of gradients."""
        if self.built:
            return
        super().build(variables)  # type: ignore[misc]
        if self.decay:
            self.average = self.add_optimizer_variables(variables, "average")
        if self.groups.per_update > 1:
            self.sums = self.add_optimizer_variables(variables, "gradient_sum")
            self.batch = self.add_variable((), dtype="int32", name="batch")

    def apply(self: Any, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Add a batch's mean gradients to the sums; update the variables if the batch is the last of its group."""
        if self.groups.per_update == 1:
            self._update(grads, trainable_variables)
            return
        share = self.groups.share(self.batch)
        sums = [None if g is None else total + share * g for total, g in zip(self.sums, grads, strict=True)]
        is_last = self.groups.is_last(self.batch)
        variables = [*self._trainable_variables, *self.variables]
        _run_if(is_last, functools.partial(self._update, sums, trainable_variables), variables)
        for variable, value in zip(self.sums, sums, strict=True):
            if value is not None:
                variable.assign(ops.where(is_last, ops.zeros_like(value), value))
        self.batch.assign((self.batch + 1) % self.groups.batches)

    def _update(self: Any, grads: Sequence[Any], trainable_variables: Any) -> None:
        decay = decay_after(self.iterations, self.decay) if self.average else 0.0
        super().apply(grads, trainable_variables)  # type: ignore[misc]
        for average, variable in zip(self.average, self._trainable_variables, strict=False):
            average.assign(decay * average + (1 - decay) * ops.convert_to_tensor(variable))


@functools.cache
def counting_updates(kind: type[keras.optimizers.Optimizer]) -> Callable[..., keras.optimizers.Optimizer]:
    """Return the class of a Keras optimizer with `CountingUpdates`, whose arguments come first."""
    return type(f"{kind.__name__}CountingUpdates", (CountingUpdates, kind), {})


def _run_if(condition: Any, action: Callable[[], None], variables: Sequence[keras.Variable]) -> None:
    """Run `action`, which assigns to some of `variables`, if `condition` is True, a tensor [].

    JAX traces no assignment inside of a condition: there the action always runs, and its values are used or not.
    """
    if keras.backend.backend() != "jax":
        ops.cond(condition, action, lambda: None)
        return
    before = [ops.convert_to_tensor(variable) for variable in variables]
    action()
    for variable, value in zip(variables, before, strict=True):
        variable.assign(ops.where(condition, ops.convert_to_tensor(variable), value))
