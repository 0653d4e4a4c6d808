"""Trainers of small classifiers on 160 real digits 0-4."""

from __future__ import annotations

import numpy as np

from transfercli.config.schema import (
    ComputeConfig,
    HeadConfig,
    TrainingConfig,
)
from transfercli.reporting import Reporter

LABELS = tuple("01234")


def trainer(
    digits,
    phases,
    base="small_cnn",
    keep=None,
    fresh=False,
    precision="float32",
    pooling="avg",
    drop_path=0.0,
    **training,
):
    from transfercli.data.batching.batches import Batches
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.rows import ArrayRows
    from transfercli.training.backend import prepare
    from transfercli.training.phases import PhaseSetup
    from transfercli.training.progress import Plan
    from transfercli.training.trainer import Trainer

    prepare(ComputeConfig(), 0)
    rows = digits.rows_of(5, 160)
    images, targets = digits.rgb(rows, 32), digits.labels[rows].astype("int32")
    head = HeadConfig(dropout=0.3, pooling=pooling)
    architecture = Architecture(base, (32, 32), 3, head, LABELS, batchnorm_trains=fresh, drop_path=drop_path)
    classifier = build_classifier(architecture)
    batches = Batches(ArrayRows(images[:128]), targets[:128], 32, seed=0)
    whole = PhaseSetup(classifier.model, batches, ArrayRows(images[128:]))
    plan = Plan(tuple(phases), TrainingConfig(**training), 0, precision, fresh)
    return Trainer(classifier, lambda _: whole, targets[128:], plan, Reporter(), keep or (lambda *_: None))


def tensors(trained):
    from transfercli.models.tensor_names import read_tensors

    return read_tensors(trained.classifier)


def same(one, two) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)
