"""Inputs that all phases of a training share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import Augment
from transfercli.data.batching.batches import Batches
from transfercli.data.batching.step_augmentation import StepAugmentation
from transfercli.data.dataset import Split
from transfercli.rows import Rows
from transfercli.transfer.adapt.domain import Setting


@dataclass(frozen=True)
class TrainingInputs:
    """Data, batching and settings of a training.

    make_batches: (source, augment) -> batches in the order of the config's sampling, seed and batch size.
    augmentation: the config's; augment: built from it. class_weights: float [C] or None.
    precision: of features. batchnorm_trains: see `Architecture`.
    required: features must be cached in every phase with frozen layers.
    unlabelled, related: auxiliary images for solved heads, or None; domains: int32 [N], of each related image.
    align: value of `transfer.align`.
    learnt_by_base: SHA-256 of labelled images that the base was trained on before, or may have been.
    """

    training: Split
    validation: Split
    make_batches: Callable[[Rows, Augment | StepAugmentation | None], Batches]
    augmentation: AugmentationConfig
    augment: Augment | None
    class_weights: np.ndarray | None
    seed: int
    precision: str = "float32"
    batchnorm_trains: bool = False
    required: bool = False
    unlabelled: Split | None = None
    related: Split | None = None
    domains: np.ndarray | None = None
    align: Setting = "auto"
    learnt_by_base: frozenset[str] = frozenset()
