"""The geometry of cached pixels."""

from __future__ import annotations

import pytest

from transfercli.data.image import Geometry


@pytest.mark.parametrize(
    "resize, original, inside",
    [
        ("stretch", (100, 50), (0, 0, 32, 16)),
        ("crop", (50, 100), (0, 0, 32, 16)),
        ("pad", (100, 100), (8, 0, 16, 16)),
        ("pad", (100, 25), (0, 4, 32, 8)),
        ("pad", (10_000, 1), (0, 7, 32, 1)),  # a line stays a pixel thick
    ],
)
def test_the_picture_fills_the_pixels_unless_it_is_padded(
    resize: str, original: tuple[int, int], inside: tuple[int, int, int, int]
) -> None:
    assert Geometry(16, 32, resize).content_box(*original) == inside


def test_each_geometry_has_a_cache_of_its_own() -> None:
    spaces = {Geometry(*size, resize).space for size in ((8, 9), (9, 8)) for resize in ("stretch", "crop", "pad")}
    assert len(spaces) == 6
    assert all(space.startswith("images/") for space in spaces)
    assert Geometry(8, 9).shape == (8, 9, 3)
