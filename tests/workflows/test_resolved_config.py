"""The structure of a network, as a resolved config gives it."""

from __future__ import annotations

from typing import Any

import pytest

from transfercli.config.schema import ExperimentConfig
from transfercli.data.image import Geometry
from transfercli.errors import ArtefactError
from transfercli.workflows.resolved_config import architecture, batchnorm_trains, geometry_of, head_of, image_size


def config(size: Any = 32, weights: Any = "none", **data: Any) -> ExperimentConfig:
    return ExperimentConfig(
        name="x", data={"train": "images", "image_size": size, **data}, model={"base": "small_cnn", "weights": weights}
    )


def test_one_number_is_both_sides_of_an_image_and_a_list_is_height_and_width() -> None:
    assert image_size(config(32)) == (32, 32)
    assert image_size(config([24, 40])) == (24, 40)
    read = {"background": "#336699", "levels": "stretch", "profiles": "ignore", "max_megapixels": 60}
    found = geometry_of(config([24, 40], resize="pad", **read))
    assert found == Geometry(24, 40, "pad", *read.values())


def test_an_image_size_that_is_open_is_an_artefact_error() -> None:
    with pytest.raises(ArtefactError, match="not resolved"):
        image_size(config(None))


@pytest.mark.parametrize(
    "weights, trains",
    [("none", True), ("imagenet", False), ({"run": "a"}, False), ({"run": "a", "until": "conv2"}, True)],
)
def test_batchnorm_learns_its_statistics_where_layers_start_fresh(weights: Any, trains: bool) -> None:
    assert batchnorm_trains(config(weights=weights).model) is trains
    assert architecture(config(weights=weights), ("a", "b")).batchnorm_trains is trains


def test_an_architecture_has_the_base_channels_head_and_labels_of_the_config() -> None:
    built = architecture(config([24, 40], channels=1), ("cat", "dog"))
    assert (built.base, built.image_size, built.channels, built.labels) == ("small_cnn", (24, 40), 1, ("cat", "dog"))


@pytest.mark.parametrize(
    "strategy, weights, head, export, taps",
    [
        ("multilayer_probe", {"run": "a"}, {}, {}, "stages"),
        ("full", {"run": "a"}, {}, {}, "stages"),
        ("partial", {"run": "a"}, {"taps": []}, {}, []),
        ("full", "none", {}, {}, None),  # no probe is solved
        ("full", {"run": "a"}, {"init": "extend"}, {}, None),
        ("full", {"run": "a"}, {"hidden": [8]}, {}, None),
        ("gradual", {"run": "a"}, {"pooling": "flatten"}, {}, None),
        ("full", {"run": "a"}, {}, {"formats": ["torch_safetensors"]}, None),
        ("linear_probe", {"run": "a"}, {}, {}, None),
        ("feature_extraction", {"run": "a"}, {}, {}, None),
    ],
)
def test_a_new_head_reads_several_layers_if_a_probe_is_solved_for_it(
    strategy: str, weights: Any, head: Any, export: Any, taps: Any
) -> None:
    found = ExperimentConfig(
        name="x",
        data={"train": "images", "image_size": 32},
        model={"base": "small_cnn", "weights": weights, "head": head},
        transfer={"strategy": strategy},
        export=export,
    )
    assert head_of(found).taps == taps
