from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from transfercli.evaluation.report.thumbnails import image_data_url, thumbnails


def _open(data_url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data_url.split(",", 1)[1])))


def test_a_small_image_keeps_every_pixel(digit_images: np.ndarray) -> None:
    data_url = image_data_url(digit_images[0])
    assert data_url.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(np.asarray(_open(data_url)), digit_images[0])


def test_a_large_image_becomes_small_and_keeps_its_shape() -> None:
    data_url = image_data_url(np.full((300, 600, 3), 128, np.uint8))
    assert data_url.startswith("data:image/jpeg;base64,")
    assert _open(data_url).size == (128, 64)


@pytest.mark.parametrize("side", [32, 300])
def test_thumbnails_carry_no_metadata(side: int) -> None:
    picture = _open(image_data_url(np.zeros((side, side, 3), np.uint8)))
    assert len(picture.getexif()) == 0
    assert not {"exif", "comment", "icc_profile", "Software", "xmp"} & set(picture.info)


def test_each_index_is_read_once(digit_images: np.ndarray) -> None:
    asked: list[int] = []

    def read(indices: np.ndarray) -> np.ndarray:
        asked.extend(indices.tolist())
        return digit_images[indices]

    found = thumbnails([5, 3, 5], read)
    assert sorted(found) == [3, 5]
    assert asked == [3, 5]
    np.testing.assert_array_equal(np.asarray(_open(found[5])), digit_images[5])
    assert thumbnails([], read) == {}
