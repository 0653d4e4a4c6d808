"""Freezing by stage, layer and number of layers."""

from __future__ import annotations

import pytest

from tests.models.classifiers import build
from transfercli.errors import ConfigError


@pytest.mark.parametrize(
    "unfreeze, trained",
    [
        ("none", []),
        (0, []),
        ("conv3", ["conv3"]),
        ("pool2", ["conv3"]),
        (2, ["conv3"]),
        (3, ["conv2", "conv3"]),
        ("all", ["conv1", "conv2", "conv3"]),
    ],
)
def test_freezing_by_stage_layer_and_count(unfreeze, trained) -> None:
    from transfercli.models.trainable.freezing import freeze_below

    model = build()
    freeze_below(model, unfreeze)
    layers = list(dict.fromkeys(v.path.split("/")[0] for v in model.base.trainable_variables))
    assert layers == trained
    assert len(model.model.trainable_variables) == 2 * len(trained) + 2


def test_an_unknown_stage_names_the_nearest() -> None:
    from transfercli.models.trainable.freezing import freeze_below

    with pytest.raises(ConfigError, match="did you mean 'conv3'"):
        freeze_below(build(), "conv33")
