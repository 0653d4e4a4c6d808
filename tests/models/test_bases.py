"""The table of bases: networks and their stages."""

from __future__ import annotations

import pytest

from transfercli.models.base import stages_of
from transfercli.models.bases import BASES


@pytest.mark.parametrize("base", ["vgg16", "resnet50", "resnet18", "small_cnn"])
def test_stages_partition_a_base_from_the_input_to_the_top(base: str) -> None:
    model = BASES[base].build((32, 32, 3))
    layers = [layer.name for layer in model.layers]
    stages = stages_of(BASES[base], layers)
    assert [name for names in stages.values() for name in names] == layers
    assert (
        list(stages)
        == {
            "vgg16": [f"block{i}" for i in range(1, 6)],
            "resnet50": [f"conv{i}" for i in range(1, 6)],
            "resnet18": [f"conv{i}" for i in range(1, 6)],
            "small_cnn": ["conv1", "conv2", "conv3"],
        }[base]
    )


def test_a_stage_that_is_closed_by_its_last_layer_contains_what_leads_to_it() -> None:
    stages = stages_of(BASES["inceptionv3"], ["stem", "a", "mixed0", "b", "c", "mixed1", "top"])
    assert stages == {"mixed0": ["stem", "a", "mixed0"], "mixed1": ["b", "c", "mixed1", "top"]}
