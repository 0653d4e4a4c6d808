"""JPEGs of real photographs that were damaged, as other programs and storage do it, and sound ones that look so."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from transfercli.data.quality.jpeg_scans import damage, missing_rows

PHOTOS = {"china": load_sample_images().images[0], "flower": load_sample_images().images[1]}
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "own code tables": {"optimize": True},
    "restarts": {"restart_marker_rows": 1},
    "full chroma": {"subsampling": 0},
    "progressive": {"progressive": True},
}
END = b"\xff\xd9"


def jpeg(pixels: np.ndarray, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **({"quality": 85} | options))
    return buffer.getvalue()


def on_paper(photo: np.ndarray, level: int) -> np.ndarray:
    """A product on an even background that reaches the bottom."""
    page = np.full_like(photo, level)
    page[60:250, 100:400] = photo[60:250, 100:400]
    return page


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_file_is_sound_also_on_an_even_background(kind: str, mode: str) -> None:
    for photo in PHOTOS.values():
        for pixels in (photo, on_paper(photo, 255), on_paper(photo, 128), np.full_like(photo, 128)):
            content = jpeg(pixels, mode, **KINDS[kind])
            assert damage(content) == ""
            assert missing_rows(content) == 0


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
def test_a_file_that_was_cut_and_closed_has_missing_rows(kind: str, mode: str) -> None:
    content = jpeg(PHOTOS["china"], mode, **KINDS[kind])
    shares = [missing_rows(content[: int(part * len(content))] + END) for part in (0.3, 0.6, 0.9)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.4
    assert shares[-1] > 0.03


def test_a_progressive_file_that_was_cut_lacks_scans() -> None:
    content = jpeg(PHOTOS["flower"], progressive=True)
    for part in (0.2, 0.5):
        assert "coefficients are missing" in damage(content[: int(part * len(content))] + END)


@pytest.mark.parametrize("kind", ["baseline", "own code tables", "restarts", "full chroma"])
def test_a_page_of_zeros_in_the_image_data_is_found(kind: str) -> None:
    content = jpeg(PHOTOS["china"], **KINDS[kind])
    middle = len(content) // 2
    assert damage(content[:middle] + bytes(4096) + content[middle + 4096 :]).startswith("damaged: 4,")


def test_zeros_that_encode_an_even_area_are_sound() -> None:
    content = jpeg(np.full((2000, 2000, 3), 255, np.uint8), optimize=True)
    assert bytes(64) in content
    assert damage(content) == ""


def test_no_damage_of_a_segment_is_an_error() -> None:
    rng = np.random.default_rng(0)
    content = jpeg(PHOTOS["china"][:48, :64], progressive=True)
    for _ in range(300):
        broken = np.frombuffer(content, np.uint8).copy()
        broken[rng.integers(0, len(content), 4)] = rng.integers(0, 256, 4)
        cut = broken.tobytes()[: rng.integers(0, len(content))]
        assert isinstance(damage(cut), str)
        assert 0 <= missing_rows(broken.tobytes()) <= 1
