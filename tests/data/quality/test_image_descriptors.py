"""Descriptors of images: copies are found, different images are not, on real digits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfercli.data.image import Geometry
from transfercli.data.quality import image_descriptors as module
from transfercli.data.quality.image_descriptors import (
    Descriptors,
    copies_are_sure,
    describe,
    has_copy,
    read_descriptors,
    write_descriptors,
)
from transfercli.errors import ArtefactError
from transfercli.rows import ArrayRows

SIDE = 32


def described(images: list[np.ndarray] | np.ndarray, geometry: Geometry | None = None, first: int = 0) -> Descriptors:
    """Descriptors of grey or colour images, resized to the side of the model's input."""
    pixels = [np.asarray(Image.fromarray(one).convert("RGB").resize((SIDE, SIDE))) for one in images]
    sha256s = [f"{first + number:064x}" for number in range(len(images))]
    return describe(ArrayRows(np.stack(pixels)), sha256s, geometry or Geometry(SIDE, SIDE))


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def scaled(image: np.ndarray, factor: float) -> np.ndarray:
    side = round(len(image) * factor)
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def pictures(digits) -> list[np.ndarray]:
    return [np.asarray(digits.image(row)) for row in range(1200)]


def test_different_digits_are_no_copies(pictures) -> None:
    learnt, others = described(pictures[:900]), described(pictures[900:], first=900)
    assert has_copy(others, learnt).sum() == 0
    assert copies_are_sure(learnt)


@pytest.mark.parametrize("quality", [60, 75, 95])
@pytest.mark.parametrize("factor", [0.8, 1, 1.2])
def test_re_encoded_and_resized_digits_are_copies(pictures, quality: int, factor: float) -> None:
    copies = [jpeg(scaled(one, factor), quality) for one in pictures[:100]]
    assert has_copy(described(copies, first=5000), described(pictures[:900])).mean() >= 0.97


def test_an_image_that_was_learnt_in_several_versions_is_known(pictures) -> None:
    versions = [*pictures[:300], *(jpeg(one, 90) for one in pictures[:50])]
    assert has_copy(described([jpeg(one, 70) for one in pictures[:50]], first=9000), described(versions)).mean() > 0.9


def test_the_same_shape_in_another_colour_is_no_copy(pictures) -> None:
    red, blue = (
        np.stack([one if n == channel else one // 4 for n in range(3)], 2) for one in pictures[:1] for channel in (0, 2)
    )
    assert not has_copy(described([blue], first=1), described([red, *pictures[1:50]])).any()


def test_blank_images_are_no_copies(pictures) -> None:
    blank = [np.full((SIDE, SIDE), level, np.uint8) for level in (0, 200)]
    assert not has_copy(described(blank, first=7000), described([*blank, *pictures[:20]])).any()


def test_images_of_one_scene_are_too_much_alike_to_be_sure() -> None:
    scene = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(float)
    paths = np.random.default_rng(1).random((200, 2))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    frames = [
        np.clip(scene + 60 * np.exp(-((x - a) ** 2 + (y - b) ** 2) * 20), 0, 255).astype(np.uint8) for a, b in paths
    ]
    assert not copies_are_sure(described(frames))


def test_an_image_is_known_at_another_size_and_without_its_padding(pictures) -> None:
    wide = [np.hstack([one, two]) for one, two in zip(pictures[:40], pictures[40:80], strict=True)]
    sha256s = [f"{n:064x}" for n in range(40)]
    stretched = np.stack([np.asarray(Image.fromarray(one).convert("RGB").resize((48, 48))) for one in wide])
    padded = np.zeros((40, SIDE, SIDE, 3), np.uint8)
    for number, one in enumerate(wide):
        padded[number, 8:24] = np.asarray(Image.fromarray(one).convert("RGB").resize((SIDE, 16)))
    learnt = describe(ArrayRows(stretched), sha256s, Geometry(48, 48))
    found = describe(ArrayRows(padded), sha256s, Geometry(SIDE, SIDE, "pad"), [(64, 32)] * 40)
    assert has_copy(found, learnt).mean() > 0.9


def test_stored_descriptors_are_not_computed_again(pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = described(pictures[:30])
    pixels = np.zeros((40, SIDE, SIDE, 3), np.uint8)
    reads: list[int] = []
    rows = ArrayRows(pixels)
    monkeypatch.setattr(ArrayRows, "read", lambda self, wanted: (reads.extend(wanted), self.array[wanted])[1])
    again = describe(rows, [f"{n:064x}" for n in range(40)], Geometry(SIDE, SIDE), stored=stored)
    assert reads == list(range(30, 40))
    assert (again[:30] == stored).all()


def test_a_file_of_descriptors(pictures, tmp_path: Path) -> None:
    file = tmp_path / "descriptors.npy"
    assert read_descriptors(file) is None
    write_descriptors(file, described(pictures[:5]))
    assert (read_descriptors(file) == described(pictures[:5])).all()
    for content in (b"", b"junk", file.read_bytes()[:-9]):
        file.write_bytes(content)
        with pytest.raises(ArtefactError, match=r"descriptors\.npy"):
            read_descriptors(file)
    np.save(file, np.zeros(3))
    with pytest.raises(ArtefactError, match="does not hold image descriptors"):
        read_descriptors(file)
    assert module.DESCRIPTOR.itemsize == 162


def test_a_hostile_file_of_descriptors_is_damaged(pictures, tmp_path: Path) -> None:
    file = tmp_path / "descriptors.npy"
    write_descriptors(file, described(pictures[:5]))
    content = file.read_bytes()
    header = content[10:128].decode().rstrip()
    nan = described(pictures[:5])
    nan["colour"][2, 0] = np.nan

    def with_header(text: str) -> bytes:
        return content[:10] + text.ljust(117).encode() + b"\n" + content[128:]

    for hostile in (
        with_header(header.replace("(5,)", "(1000000000000,)")),
        with_header(header.replace("(5,)", "(-1,)")),
        with_header(header.replace("(5,)", "()")),
        with_header("{" * 117),
        with_header("[" * 117),
        with_header("{'descr': '|O', 'fortran_order': False, 'shape': (5,)}"),
        b"\x93NUMPY\x03" + content[7:],
        b"PK\x03\x04" + content,
        content[:128] + nan.tobytes(),
    ):
        file.write_bytes(hostile)
        with pytest.raises(ArtefactError, match=r"descriptors\.npy in .* is damaged"):
            read_descriptors(file)
