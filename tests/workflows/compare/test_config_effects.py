"""The part of a difference in which a changed config key is counted."""

from __future__ import annotations

import pytest

from transfercli.config.schema import ExperimentConfig
from transfercli.workflows.compare.config_effects import _KEYS, effect_of_key


@pytest.mark.parametrize(
    "key, network, effect",
    [
        ("training.class_weights.boot", "shared", "class weights"),
        ("data.image_size", "own", "network"),
        ("model.weights.run", "shared", "none"),
        ("model.base", "start", "unexplained"),
        ("training.optimizer.learning_rate", "shared", "unexplained"),
        ("data.train", "shared", "images"),
        ("evaluation.gates.accuracy", "own", "none"),
        ("seed", "shared", "seed"),
        ("names", "shared", "unexplained"),
    ],
)
def test_a_key_is_counted_in_one_part(key: str, network: str, effect: str) -> None:
    assert effect_of_key(key, network) == effect


def test_every_key_of_the_table_is_in_the_schema() -> None:
    for key in (key for keys in _KEYS.values() for key in keys):
        section: object = ExperimentConfig
        for name in key.split("."):
            field = section.model_fields[name]  # type: ignore[attr-defined]
            section = field.annotation
