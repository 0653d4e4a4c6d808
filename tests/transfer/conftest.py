from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.digits import Digits

LABELS = tuple("01234")


class World:
    """A classifier on 120 real digits 0-4, uint8 [120, 32, 32, 3], and what sets its phases up."""

    labels, task = LABELS, "classify"

    def __init__(self, digits: Digits, root: Path | None) -> None:
        rows = digits.rows_of(5, 120)
        self.images, self.targets = digits.rgb(rows, 32), digits.labels[rows].astype("int32")
        self.root = root

    def classifier(self, base: str = "small_cnn", **head: Any) -> Any:
        import keras

        from transfercli.config.schema import HeadConfig
        from transfercli.models.architecture import Architecture
        from transfercli.models.classifier import build_classifier

        keras.utils.set_random_seed(1)
        architecture = Architecture(base, (32, 32), 3, HeadConfig(**head), self.labels, task=self.task)
        return build_classifier(architecture)

    def split(self, start: int, stop: int) -> Any:
        from transfercli.data.dataset import Split
        from transfercli.rows import ArrayRows

        names = tuple(f"{index:064x}" for index in range(start, stop))
        return Split("", names, self.targets[start:stop], self.labels, ArrayRows(self.images[start:stop]), names)

    def stages(self, classifier: Any, **changes: Any) -> Any:
        from transfercli.config.schema import AugmentationConfig
        from transfercli.data.batching.augment import build
        from transfercli.data.batching.batches import Batches
        from transfercli.reporting import Reporter
        from transfercli.transfer.features.features import FeatureCache
        from transfercli.transfer.phase_builder import PhaseBuilder
        from transfercli.transfer.training_inputs import TrainingInputs

        training, validation = self.split(0, 90), self.split(90, 120)
        augmentation = AugmentationConfig(**changes.pop("augmentation", {}))
        common = TrainingInputs(
            training,
            validation,
            lambda source, augment: Batches(source, training.targets, 32, seed=0, augment=augment),
            augmentation,
            build(augmentation, len(self.labels)),
            None,
            0,
            **changes,
        )
        cache = FeatureCache(self.root, 10**9, "stretch", Reporter()) if self.root else None
        return PhaseBuilder(classifier, common, cache, Reporter())

    def train(self, classifier: Any, phases: list[Any], **changes: Any) -> Any:
        """The stages, after a training through them."""
        from transfercli.config.schema import TrainingConfig
        from transfercli.reporting import Reporter
        from transfercli.training.progress import Plan
        from transfercli.training.trainer import Trainer

        stages = changes.pop("stages", None) or self.stages(classifier, **changes)
        plan = Plan(tuple(phases), TrainingConfig(), 0)
        trainer = Trainer(classifier, stages, self.targets[90:120], plan, Reporter(), lambda *_: None)
        trainer.run()
        self.progress = trainer.progress
        return stages


class SeveralLabels(World):
    """The same digits with labels that an image may have several of: even, above two, and a zero; some are unknown."""

    labels, task = ("even", "large", "zero"), "multilabel"

    def __init__(self, digits: Digits, root: Path | None) -> None:
        super().__init__(digits, root)
        digit = self.targets
        self.targets = np.stack([digit % 2 == 0, digit > 2, digit == 0], axis=1).astype("int32")
        self.targets[np.random.default_rng(0).random(self.targets.shape) < 0.1] = -1


@pytest.fixture
def several(digits: Digits, tmp_path: Path) -> SeveralLabels:
    return SeveralLabels(digits, tmp_path / "cache")


@pytest.fixture
def cached(digits: Digits, tmp_path: Path) -> World:
    return World(digits, tmp_path / "cache")


@pytest.fixture
def uncached(digits: Digits) -> World:
    return World(digits, None)
