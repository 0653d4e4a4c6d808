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


@pytest.mark.parametrize(
    "text, colour",
    [("white", "#ffffff"), (" RebeccaPurple", "#663399"), ("'#12A0FF'", "#12a0ff"), ("none", "none")],
)
def test_a_background_is_the_name_of_a_colour_or_its_levels(loaded: Loaded, text: str, colour: str) -> None:
    assert loaded(MINIMAL, f"data.background={text}").config.data.background == colour
    assert loaded(MINIMAL).config.data.background == "#ffffff"


@pytest.mark.parametrize("text", ["#ffffff", "whit", "'#fff'", "'rgb(1,2,3)'", "7", "[1, 2, 3]", "transparent"])
def test_another_background_is_refused_with_what_is_allowed(refusal: Refusal, text: str) -> None:
    (line,) = refusal(
        "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n".replace("}", f", background: {text}\n}}", 1)
    )
    assert line.startswith("config.yaml:2: data.background: is not a colour, received ")
    assert '"#rrggbb" in quotes (without them, # starts a comment)' in line
