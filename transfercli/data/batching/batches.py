"""Batches for `fit`: one PyDataset for images now and cached features later, shuffled by (seed, epoch) alone.

`fit(shuffle=True)` reorders the batches of a PyDataset, and calls `on_epoch_end` more often than there are epochs. So
call `fit(shuffle=False)` for one epoch at a time, with `set_epoch` before it; neither hook of Keras is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from transfercli.rows import Rows

Augmenter = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]
Mix = Callable[[np.ndarray, np.ndarray, tuple[int, ...]], tuple[np.ndarray, np.ndarray]]


class Batches(keras.utils.PyDataset):
    """Serves `(x, y, sample_weight)`; the last batch may be smaller.

    Args:
        source: rows; `read(indices)` gives x of a batch, uint8 [n, H, W, 3] for images. Where it has a `set_epoch`, as
            features in several views do, it is told the number too.
        targets: int32 [N].
        batch_size: rows a batch.
        seed: of the order and the augmentation; None serves the rows in their order.
        augment: changes a batch of images, drawing from its key `(seed, epoch, batch)` only. Where it is `soft`, its
            `mix` changes targets too: y is then float32 [n, C], the parts of the classes.
        class_weights: float [C]; the sample weight is that of the row's class or classes, 1 without.

    soft: whether y is parts of classes and not int32 [n].
    """

    def __init__(
        self,
        source: Rows,
        targets: np.ndarray,
        batch_size: int,
        *,
        seed: int | None = None,
        augment: Augmenter | None = None,
        class_weights: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        super().__init__(workers=1)  # one worker means the calling thread: nothing is read ahead of `set_epoch`
        if len(source) != len(targets):
            raise ValueError(f"source and targets must have as many rows: {len(source)} and {len(targets)}")
        if augment is not None and seed is None:
            raise ValueError("augment draws from (seed, epoch, batch): give a seed")
        self.source = source
        self.targets = np.asarray(targets, np.int32)
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        self.soft = bool(getattr(augment, "soft", False))
        self._mix: Mix | None = getattr(augment, "mix", None) if self.soft else None
        self.class_weights = None if class_weights is None else np.asarray(class_weights, np.float32)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Fix the order and the draws of one epoch; the same number gives the same batches, whatever came before."""
        rows = np.arange(len(self.targets))
        if self.seed is not None:
            rows = self._drawn(np.random.default_rng([self.seed, epoch]))
        self._epoch, self._rows = epoch, rows
        if hasattr(self.source, "set_epoch"):
            self.source.set_epoch(epoch)

    def _drawn(self, generator: np.random.Generator) -> np.ndarray:
        """The rows of an epoch in their order, int [N]: each one once."""
        rows = np.arange(len(self.targets))
        generator.shuffle(rows)
        return rows

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        rows = self._rows[index * self.batch_size : (index + 1) * self.batch_size]
        x, y = self.source.read(rows), self.targets[rows]
        if self.augment is not None and self.seed is not None:
            key = (self.seed, self._epoch, index)
            x, y = self._mix(x, y, key) if self._mix else (self.augment(x, key), y)
        return x, y, self._weights(y)

    def _weights(self, y: np.ndarray) -> np.ndarray:
        if self.class_weights is None:
            return np.ones(len(y), np.float32)
        return y @ self.class_weights if self.soft else self.class_weights[y]


class BalancedBatches(Batches):
    """Draws the classes equally often, as many rows an epoch as there are.

    A class of few rows repeats each of them as often as the others; one of many shows another part every epoch.
    """

    def _drawn(self, generator: np.random.Generator) -> np.ndarray:
        classes = generator.permutation(np.unique(self.targets))  # the first of them get what does not share out evenly
        share, left = divmod(len(self.targets), max(len(classes), 1))
        rows = [
            _repeated(np.flatnonzero(self.targets == one), share + (number < left), generator)
            for number, one in enumerate(classes)
        ]
        return generator.permutation(np.concatenate([np.empty(0, np.int64), *rows]))


def _repeated(rows: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count` of the rows, none of them twice more often than another."""
    rounds = [generator.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate([rows[:0], *rounds])[:count]


SAMPLINGS: dict[str, type[Batches]] = {"shuffle": Batches, "balanced": BalancedBatches}
