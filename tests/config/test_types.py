"""Kinds of values: sizes, names, numbers with bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from transfercli.config.loader import LoadedConfig

Loaded = Callable[..., LoadedConfig]


Refusal = Callable[..., list[str]]


MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"


def test_an_image_size_is_one_number_or_two(loaded: Loaded) -> None:
    assert loaded(MINIMAL, "data.image_size=48").config.data.image_size == 48
    assert loaded(MINIMAL, "data.image_size=[48, 64]").config.data.image_size == (48, 64)


@pytest.mark.parametrize("name", ["a b", "a/b", "..", ".", "", "x" * 65, "é"])
def test_a_name_that_cannot_name_a_folder_is_refused(refusal: Refusal, name: str) -> None:
    (line,) = refusal(f"name: '{name}'\ndata: {{train: i}}\nmodel: {{base: vgg16}}\n")
    assert line.startswith("config.yaml:1: name: cannot name a folder, received")
