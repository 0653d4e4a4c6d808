"""The picture of a training batch."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.digits import Digits
from transfercli.evaluation.report.batch_picture import batch_png, caption, label_caption, render_batch

HOSTILE = ("$\\frac{1}{0$", "</script>\n\x1b[31m", "\u202eabc" + "x" * 300, "猫 & _^{")


@pytest.fixture(scope="module")
def images(digits: Digits) -> np.ndarray:
    return digits.rgb(range(20)) * np.array([1, 0, 0], np.uint8)


@pytest.mark.parametrize("count, rows", [(1, 1), (4, 1), (5, 2), (16, 4), (20, 4)])
def test_at_most_sixteen_images_stand_four_a_row(tmp_path: Path, images: np.ndarray, count: int, rows: int) -> None:
    batch_png(tmp_path / "batch.png", images[:count], np.zeros(count, np.int32), ("cat", "dog"))
    with Image.open(tmp_path / "batch.png") as picture:
        width, height = picture.size
        assert picture.info.keys() <= {"dpi"}
    assert height / width == pytest.approx(2.2 * rows / (1.9 * min(count, 4)), rel=0.02)


def test_hostile_class_names_are_drawn_as_text(tmp_path: Path, images: np.ndarray) -> None:
    batch_png(tmp_path / "batch.png", images[:4], np.arange(4, dtype=np.int32), HOSTILE)
    assert (tmp_path / "batch.png").stat().st_size > 1000
    assert all(
        caption(np.int32(n), HOSTILE).isprintable() and len(caption(np.int32(n), HOSTILE)) <= 22 for n in range(4)
    )


def test_a_mixed_target_names_its_largest_parts() -> None:
    labels = ("ant", "bee", "cat")
    assert caption(np.array([0.3, 0.0, 0.7], np.float32), labels) == "70% cat\n30% ant"
    assert caption(np.array([0.0, 1.0, 0.0], np.float32), labels) == "bee"
    assert caption(np.array([0.1, 0.5, 0.4], np.float32), labels) == "50% bee\n40% cat"


def test_an_image_with_several_labels_names_all_that_fit_and_counts_the_rest(
    tmp_path: Path, images: np.ndarray
) -> None:
    labels = ("ant", "bee", "cat", "dog")
    assert label_caption(np.array([1, 0, 1, 0]), labels) == "ant, cat"
    assert label_caption(np.array([0, 0, 0, 0]), labels) == "no label"
    assert label_caption(np.array([0, -1, 1, 0]), labels) == "cat, bee?"
    assert label_caption(np.array([0.3, 0.0, 1.0, 0.7], np.float32), labels) == "cat, 70% dog, 30% ant"
    many = tuple(f"finding {n}" for n in range(9))
    assert label_caption(np.ones(9), many) == "finding 0, finding 1,\nfinding 2, finding 3 +5"
    assert all(len(line) <= 40 for line in label_caption(np.ones(4), HOSTILE).splitlines())
    batch_png(tmp_path / "batch.png", images[:4], np.eye(4, dtype=np.int32), labels, several=True)
    assert (tmp_path / "batch.png").stat().st_size > 1000


def test_what_the_model_sees_grey_is_drawn_grey_and_the_same_batch_gives_the_same_bytes(images: np.ndarray) -> None:
    def coloured(picture: bytes) -> bool:
        pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
        return bool((np.ptp(pixels, axis=-1) > 40).any())

    picture = render_batch(images[:4], ["a", "b", "c", "d"])
    assert coloured(picture)
    assert not coloured(render_batch(images[:4], ["a", "b", "c", "d"], grey=True))
    assert render_batch(images[:4], ["a", "b", "c", "d"]) == picture


def test_captions_stand_below_the_pictures_and_not_on_them() -> None:
    red = np.zeros((4, 16, 16, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    pixels = np.asarray(Image.open(io.BytesIO(render_batch(red, ["30% cat\n70% dog"] * 4))).convert("RGB")).astype(int)
    picture = (pixels[..., 0] > 200) & (pixels[..., 1] < 60)
    top, bottom = np.flatnonzero(picture.any(axis=1))[[0, -1]]
    left, right = np.flatnonzero(picture[top + 9])[[0, -1]]
    inside = pixels[top + 2 : bottom - 1, left:right]
    assert not (inside[..., 0] < 100).any()
    assert (pixels[bottom + 2 :, :, 0] < 100).any()
