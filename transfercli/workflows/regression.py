"""Limits of `task: regression`: the keys of a config and the commands that are for classes or labels alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transfercli.config.schema import ExperimentConfig
from transfercli.config.types import REGRESSION, Task
from transfercli.errors import ConfigError, UsageError

STRATEGIES = ("linear_probe", "multilayer_probe", "feature_extraction", "partial", "gradual", "full", "lora", "scratch")


def check_regression(config: ExperimentConfig) -> None:
    """Raise `ConfigError` for the first key of a config whose value is not for one number per image.

    A config of another task is not checked.
    """
    if config.task != REGRESSION:
        return
    for key, value, allowed in _refused(config):
        raise ConfigError(
            f"{key}: {value!r} is not for task: regression; allowed: {allowed}", f"set {key} to {allowed}"
        )


def _refused(config: ExperimentConfig) -> Iterator[tuple[str, Any, str]]:
    """Yield (key, value, allowed values) of each value that is for classes or labels alone."""
    training, data, head = config.training, config.data, config.model.head
    strategy, stopping = config.transfer.strategy, training.early_stopping
    rules: tuple[tuple[str, Any, bool, str], ...] = (
        ("transfer.strategy", strategy, strategy in (None, *STRATEGIES), f"one of {', '.join(STRATEGIES)}"),
        ("training.class_weights", training.class_weights, training.class_weights is None, "null"),
        ("training.sampling", training.sampling, training.sampling == "shuffle", "shuffle"),
        (
            "training.loss.name",
            training.loss.name,
            training.loss.name == "cross_entropy",
            "cross_entropy, which stands for squared error here",
        ),
        (
            "training.regularization.label_smoothing",
            training.regularization.label_smoothing,
            not training.regularization.label_smoothing,
            "0",
        ),
        ("training.refit", training.refit, not training.refit, "false"),
        ("training.seeds", training.seeds, training.seeds is None, "null"),
        (
            "training.early_stopping.monitor",
            stopping and stopping.monitor,
            stopping is None or stopping.monitor in ("val_loss", "loss"),
            "val_loss",
        ),
        ("augmentation", _mixing(config), not _mixing(config), "layers that change images alone"),
        ("data.split", data.split, data.split != "stratified", "hash"),
        ("data.folds", data.folds, data.folds is None, "null"),
        ("model.head.output", head.output, head.output == "softmax", "softmax, which is ignored"),
        ("model.head.init", head.init, head.init == "new", "new"),
    )
    for key, value, fits, allowed in rules:
        if not fits:
            yield key, value, allowed


def _mixing(config: ExperimentConfig) -> str:
    """Return the name of the layer that mixes targets, or ""."""
    from transfercli.data.batching.augment import build

    augment = build(config.augmentation, 1)
    return config.augmentation.preset if augment is not None and augment.soft else ""


def refuse_numbers(task: Task, command: str) -> None:
    """Raise `UsageError` if a task is `regression`, which a command cannot work with yet."""
    if task == REGRESSION:
        raise UsageError(
            f"{command} works with classes and labels, and task: regression gives an image a number",
            "finetune, evaluate, predict and export work with it",
        )
