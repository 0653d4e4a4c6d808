"""Layers that the heads of champion and challenger read, and what the challenger starts from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from transfercli.config.schema import ExperimentConfig
from transfercli.workflows.retrain.challenger import structure_differences


def config(strategy: str, **head: Any) -> ExperimentConfig:
    return ExperimentConfig(
        name="x",
        data={"train": "images", "image_size": 32},
        model={"base": "small_cnn", "weights": {"run": "a"}, "head": head},
        transfer={"strategy": strategy},
    )


@pytest.mark.parametrize(
    "strategy, head, champion, different",
    [
        ("full", {}, {"taps": [], "normalisation": "none"}, []),  # the extended head is the champion's
        ("full", {}, {"taps": ["conv2"], "normalisation": "root"}, []),
        ("full", {"taps": "stages"}, {"taps": [], "normalisation": "none"}, ["head"]),
        ("full", {"taps": []}, {"taps": ["conv2"], "normalisation": "root"}, ["head"]),
        ("full", {"normalisation": "length"}, {"taps": ["conv2"], "normalisation": "root"}, ["head"]),
        ("full", {"taps": ["conv2", "conv1"]}, {"taps": ["conv1", "conv2"], "normalisation": "root"}, []),
        ("multilayer_probe", {}, {"taps": [], "normalisation": "none"}, []),  # the head is solved again
        ("linear_probe", {"taps": []}, {"taps": ["conv2"], "normalisation": "root"}, []),
        ("linear_probe", {"pooling": "max"}, {"taps": []}, ["head"]),
    ],
)
def test_a_challenger_starts_from_a_champion_whose_layers_it_can_read(
    strategy: str, head: Any, champion: Any, different: list[str]
) -> None:
    earlier = SimpleNamespace(config=config(strategy, **champion))
    assert structure_differences(config(strategy, **head), earlier) == different  # type: ignore[arg-type]
