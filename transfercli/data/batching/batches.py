"""Batches for `fit`: a PyDataset for images and cached features, with an order determined by (seed, epoch).

Call `set_epoch` and then `fit(shuffle=False)` for each epoch. `fit(shuffle=True)` would reorder the batches, and Keras
calls `on_epoch_end` more often than once per epoch, so that neither is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from transfercli.data.batching.step_augmentation import StepAugmentation, image_keys
from transfercli.rows import Rows

Augmenter = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]
Mix = Callable[[np.ndarray, np.ndarray, tuple[int, ...]], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Share:
    """Division of every batch over `devices`, which each compute as many rows.

    drops: leave out the last rows that do not divide, because an added row would enter the statistics of BatchNorm;
        otherwise rows of weight 0 are added.
    """

    devices: int = 1
    drops: bool = False

    def counts(self, rows: int, batch_size: int) -> tuple[int, int]:
        """Return the number of rows of an epoch, and that of the rows of weight 0 in its last batch."""
        remainder = rows % batch_size % self.devices
        if self.drops and rows > remainder:
            return rows - remainder, 0
        return rows, -remainder % self.devices


ALONE = Share()


class Batches(keras.utils.PyDataset):
    """Batches `(x, y, sample_weight)` of a source; the last batch may be smaller.

    Args:
        source: rows; `read(indices)` returns x of a batch, uint8 [n, H, W, 3] for images. If it has a method
            `set_epoch`, as features of several views do, it is called with the epoch.
        targets: int32 [N]; or [N, L] if an image may have several labels; or float32 [N] of numbers, as in `Split`.
        batch_size: rows per batch.
        seed: seed of the order and the augmentation; None keeps the order of the rows.
        augment: changes a batch of images; its random draws depend only on its key `(seed, epoch, batch)`. If it is
            `soft`, its `mix` changes targets, too: y is then float32 [n, C], fractions of the classes or labels. If it
            is a `StepAugmentation`, the step changes the images: x is then (images, keys), a key for each image.
        class_weights: float [C]; the sample weight of a row is the weight of its class, or the weighted mean for mixed
            targets; 1 if None. If an image may have several labels, the loss applies them and the sample weight is 1.
        share: makes the rows of the last batch divisible by the number of devices.

    soft: True if y is fractions of classes or labels. rows_per_epoch: number of rows that train, without padding.
    padding: number of rows of weight 0 in the last batch.
    """

    def __init__(
        self,
        source: Rows,
        targets: np.ndarray,
        batch_size: int,
        *,
        seed: int | None = None,
        augment: Augmenter | StepAugmentation | None = None,
        class_weights: Sequence[float] | np.ndarray | None = None,
        share: Share = ALONE,
    ) -> None:
        super().__init__(workers=1)  # workers=1 reads in the calling thread: nothing is read before `set_epoch`
        if len(source) != len(targets):
            raise ValueError(f"source and targets must have the same number of rows: {len(source)} and {len(targets)}")
        if augment is not None and seed is None:
            raise ValueError("augment draws from (seed, epoch, batch): give a seed")
        self.source = source
        targets = np.asarray(targets)
        self.targets = targets.astype(np.float32 if targets.dtype.kind == "f" else np.int32)
        self.batch_size = batch_size
        self.seed = seed
        self.soft = bool(getattr(augment, "soft", False))
        self._in_step = augment if isinstance(augment, StepAugmentation) else None
        self.augment = None if isinstance(augment, StepAugmentation) else augment  # on the host
        self._mix: Mix | None = getattr(augment, "mix", None) if self.soft else None
        self.class_weights = None if class_weights is None else np.asarray(class_weights, np.float32)
        self.rows_per_epoch, self.padding = share.counts(len(targets), batch_size)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Set the order and the random draws of an epoch; the same number always gives the same batches."""
        rows = np.arange(len(self.targets))
        if self.seed is not None:
            rows = self._drawn(np.random.default_rng([self.seed, epoch]))
        self._epoch, self._rows = epoch, rows
        if self._in_step and self.seed is not None:
            self._keys = image_keys(self.seed, epoch, rows)
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(epoch)

    def _drawn(self, generator: np.random.Generator) -> np.ndarray:
        """Return the rows of an epoch in their order, int [N]: each row once."""
        rows = np.arange(len(self.targets))
        generator.shuffle(rows)
        return rows

    def __len__(self) -> int:
        return -(-self.rows_per_epoch // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray, np.ndarray]:
        return self.part(index, slice(None))

    def part(self, index: int, own: slice) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return the rows `own` of a batch, as they are in the whole one.

        No other rows are read, unless the host augments images: its draws are those of the whole batch. Rows of weight
        0 are copies of the first ones. The other weights of their batch grow as much as the mean over all rows shrinks,
        so that the mean loss is that of the batch.
        """
        whole = self._places(index)
        rows, added = self._rows[whole], self.size_of(index) - (whole.stop - whole.start)
        places = np.arange(len(rows) + added)[own]
        taken = places % len(rows)
        if self.augment is not None and self.seed is not None:
            x, y = self._augmented(rows, (self.seed, self._epoch, index))
            if not np.array_equal(taken, np.arange(len(rows))):
                x, y = x[taken], y[taken]
        else:
            x, y = self.source.read(rows[taken]), self.targets[rows[taken]]
        if self._in_step is not None:
            x, y = (x, self._keys[whole][taken]), self._in_step.targets_of(y)
        weights = self._weights(y)
        if added:
            weights = np.where(places < len(rows), weights * weights.dtype.type((len(rows) + added) / len(rows)), 0)
        return x, y, weights.astype(np.float32, copy=False)

    def size_of(self, index: int) -> int:
        """Return the number of rows of a batch, with those of weight 0."""
        places = self._places(index)
        return places.stop - places.start + (self.padding if index == len(self) - 1 else 0)

    def _places(self, index: int) -> slice:
        """Return the places of a batch's rows in the order of the epoch, without those of weight 0."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return slice(index * self.batch_size, min((index + 1) * self.batch_size, self.rows_per_epoch))

    def _augmented(self, rows: np.ndarray, key: tuple[int, ...]) -> tuple[Any, np.ndarray]:
        """Return the images and targets of a whole batch, changed on the host."""
        x, y = self.source.read(rows), self.targets[rows]
        assert self.augment is not None
        return self._mix(x, y, key) if self._mix else (self.augment(x, key), y)

    def seen_by_network(self, index: int) -> tuple[Any, np.ndarray]:
        """Return the images and targets of a batch as the network gets them, also if the step augments them."""
        x, y, weights = self[index]
        if self._in_step is None:
            return x, y
        images, keys = x
        images, targets, _ = self._in_step(images, keys, y, weights)
        return np.asarray(images), np.asarray(targets)

    def _weights(self, y: np.ndarray) -> np.ndarray:
        if self.class_weights is None or self.targets.ndim == 2:
            return np.ones(len(y), np.float32)
        return y @ self.class_weights if self.soft else self.class_weights[y]


class BalancedBatches(Batches):
    """Batches in which all classes are equally frequent; the number of rows per epoch stays the same.

    A class with few rows repeats each of them equally often; a class with many rows uses another part in every epoch.
    """

    def _drawn(self, generator: np.random.Generator) -> np.ndarray:
        classes = generator.permutation(np.unique(self.targets))  # the first ones get the remainder
        share, remainder = divmod(len(self.targets), max(len(classes), 1))
        rows = [
            _repeated(np.flatnonzero(self.targets == label), share + (number < remainder), generator)
            for number, label in enumerate(classes)
        ]
        return generator.permutation(np.concatenate([np.empty(0, np.int64), *rows]))


def _repeated(rows: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return `count` of the rows in random order; no row is used more than once more often than another."""
    rounds = [generator.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate([rows[:0], *rounds])[:count]


SAMPLINGS: dict[str, type[Batches]] = {"shuffle": Batches, "balanced": BalancedBatches}
