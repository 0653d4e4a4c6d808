"""Class names that look like several labels, and those that do not."""

from __future__ import annotations

from collections import Counter

import pytest

from transfercli.data.sources.joined_labels import find_joined, holding_separator


@pytest.mark.parametrize(
    "names, separator, joined",
    [
        (["red", "red,blurry", "red wine"], ",", ["red,blurry"]),
        (["green", "green, blurry", "Paris, France"], ",", ["green, blurry"]),
        (["dog;cat", "dog", "bird"], ";", ["dog;cat"]),
        (["green,blurry", "red,sharp"], ",", ["green,blurry", "red,sharp"]),
        (["a|b", "c|d", "a|d"], "|", ["a|b", "a|d", "c|d"]),
        (["red, blurry", "red, sharp", "green, blurry", "green, sharp"], ",", None),
        (["3,7", "3,5", "7,5"], ",", None),
        (["haze primary", "clear primary", "haze water", "clear water", "haze primary water", "clear primary water",
          "haze road", "clear road", "haze road water", "clear primary road"], " ", None),
    ],
)  # fmt: skip
def test_names_that_look_like_several_labels_are_found(
    names: list[str], separator: str, joined: list[str] | None
) -> None:
    found = find_joined(Counter(names))
    assert found is not None
    assert (found.separator, list(found.names)) == (separator, joined or sorted(names))


@pytest.mark.parametrize(
    "names",
    [
        ["Paris, France", "Lyon, France", "Rome, Italy", "Milan, Italy"],
        ["Paris, France", "Paris, Texas", "Rome, Italy", "London, UK"],
        ["great white shark, white shark, man-eater", "tiger shark, Galeocerdo cuvieri", "hen", "cock"],
        ["hot dog", "corn dog", "dog", "ice cream"],
        ["black footed albatross", "laysan albatross", "sooty albatross", "groove billed ani"],
        ["1,5", "2,5", "3,0"],
        ["cat", "dog"],
        ["a;b", *["cat", "dog"] * 20],
    ],
)
def test_ordinary_names_are_no_several_labels(names: list[str]) -> None:
    assert find_joined(Counter(names)) is None


def test_an_image_without_a_label_shows_that_images_may_have_several() -> None:
    names = [f"{a} {b}" for a in "abcde" for b in "abcde" if a < b] + [*"abcde"]
    assert find_joined(Counter(names)) is None
    found = find_joined(Counter([*names, "", ""]))
    assert found is not None
    assert (found.separator, found.images) == (" ", 10)
    assert find_joined(Counter(["hot dog", "corn dog", "dog", "ice cream", ""])) is None


def test_images_count_and_not_names() -> None:
    found = find_joined({"red;sharp": 70, "red;blurry": 25, "other": 5})
    assert found is not None
    assert (found.images, found.setting) == (95, 'data.label_separator: ";"')
    held = holding_separator({"a;b": 3, "a|c": 5, "x": 1})
    assert held is not None
    assert (held.separator, held.names, held.images) == ("|", ("a|c",), 5)
