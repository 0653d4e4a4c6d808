"""Blurred, dark and over-exposed pictures among real photographs, digits, and products on white."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images

from tests.digits import all_digits
from transfercli.data.quality.picture_quality import TYPICAL, Measures, defects, measure

CHINA = Image.fromarray(load_sample_images().images[0])
# Parts of one real photograph with detail in each.
SHARP = [CHINA.crop((x, y, x + 240, y + 160)) for x in range(0, 400, 50) for y in range(120, 260, 45)]
Change = Callable[[Image.Image], Image.Image]

CHANGES: dict[str, Change] = {
    "blurred": lambda photo: photo.filter(ImageFilter.GaussianBlur(8)),
    "dark": lambda photo: Image.eval(photo, lambda level: level // 6),
    "over-exposed": lambda photo: Image.eval(photo, lambda level: min(255, level * 4)),
}


def measured(images: list[Image.Image], side: int = 224) -> Measures:
    box = Image.Resampling.BILINEAR
    return np.array([measure(np.asarray(image.convert("RGB").resize((side, side), box))) for image in images])


def kinds(images: list[Image.Image], side: int = 224) -> list[list[str]]:
    return [[text.partition(":")[0] for text in texts] for texts in defects(measured(images, side))]


@pytest.mark.parametrize("defect", CHANGES)
def test_a_changed_photograph_among_others_is_found(defect: str) -> None:
    changed = [CHANGES[defect](photo) for photo in SHARP[::8]]
    found = kinds(SHARP + changed)
    assert found[len(SHARP) :] == [[defect]] * len(changed)
    assert sum(map(bool, found[: len(SHARP)])) == 0


def test_a_photograph_that_is_lighter_throughout_is_over_exposed() -> None:
    pale = Image.eval(SHARP[0], lambda level: min(255, 180 + level // 4))
    assert kinds([*SHARP, pale])[-1] == ["over-exposed"]


def test_products_on_white_and_drawings_are_sound_among_photographs() -> None:
    products = []
    for photo in SHARP[::8]:
        product = Image.new("RGB", (300, 300), "white")
        product.paste(photo.resize((90, 60)), (110, 100))
        products.append(product)
    drawing = Image.new("RGB", (300, 300), "white")
    drawing.paste("black", (60, 60, 240, 66))
    assert kinds([*SHARP, *products, drawing])[len(SHARP) :] == [[]] * (len(products) + 1)


@pytest.mark.parametrize("side", [32, 224])
@pytest.mark.parametrize("change", [lambda level: level, lambda level: 255 - level], ids=["white on black", "inverted"])
def test_digits_have_no_defect(change: Callable[[int], int], side: int) -> None:
    digits = [Image.eval(all_digits().image(number), change) for number in range(0, 1797, 6)]
    assert sum(map(bool, kinds(digits, side))) == 0


def test_a_set_that_is_alike_throughout_is_what_a_picture_is_compared_with() -> None:
    for change in CHANGES.values():
        assert sum(map(bool, kinds([change(photo) for photo in SHARP]))) <= 1


def test_blur_needs_a_set_to_compare_with() -> None:
    few = [*SHARP[: TYPICAL - 2], CHANGES["blurred"](SHARP[0])]
    assert kinds(few)[-1] == []
    assert kinds([*SHARP[: TYPICAL - 1], CHANGES["blurred"](SHARP[0])])[-1] == ["blurred"]


def test_images_of_one_colour_or_a_few_pixels_have_no_defect_of_their_own() -> None:
    odd = [Image.new("RGB", (50, 50), colour) for colour in ("black", "white", "grey")]
    assert kinds([*SHARP, *odd])[len(SHARP) :] == [[]] * 3
    assert measure(np.zeros((1, 2, 3), np.uint8))["sharp"] == 0
    assert defects(measured([])) == []
