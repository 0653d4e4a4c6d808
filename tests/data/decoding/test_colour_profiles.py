"""Embedded colour profiles, against LittleCMS directly and against arithmetic with published matrices."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.data.decoding.profiles import ADOBE_RGB, DISPLAY_P3, SRGB, cmyk_profile, grey_profile, rgb_profile
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import IGNORE, Decoded, Geometry
from transfercli.data.image_notes import BAD_PROFILE, CONVERTED

COLOURS = np.random.default_rng(3).integers(0, 256, (12, 10, 3), np.uint8)
PICTURE = Image.fromarray(COLOURS)
P3, ADOBE = rgb_profile(DISPLAY_P3), rgb_profile(ADOBE_RGB, 2.2)


def decoded(folder: Path, image: Image.Image, kind: str, profiles: str = "convert", **options: Any) -> Decoded:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    (folder / "x").write_bytes(buffer.getvalue())
    found = decode_file(str(folder / "x"), Geometry(image.height, image.width, profiles=profiles))
    assert found.problem == ""
    return found


def converted(image: Image.Image, profile: bytes) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"))


def by_arithmetic(colours: np.ndarray, colorants: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """sRGB of colours with the curve of sRGB and other colorants, in floating point."""
    values = colours / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(colorants) @ np.linalg.inv(SRGB), 0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


LOSSLESS: list[tuple[str, dict[str, Any]]] = [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]


@pytest.mark.parametrize("kind, options", LOSSLESS)
@pytest.mark.parametrize("profile", [P3, ADOBE], ids=["Display P3", "Adobe RGB"])
def test_colours_of_a_profile_become_srgb_as_littlecms_converts_them(
    kind: str, options: dict[str, Any], profile: bytes, tmp_path: Path
) -> None:
    found = decoded(tmp_path, PICTURE, kind, icc_profile=profile, **options)
    assert found.notes == CONVERTED
    assert np.array_equal(found.pixels, converted(PICTURE, profile))


def test_the_conversion_agrees_with_the_published_matrices(tmp_path: Path) -> None:
    found = decoded(tmp_path, PICTURE, "PNG", icc_profile=P3)
    assert found.pixels is not None
    assert np.abs(found.pixels - by_arithmetic(COLOURS, DISPLAY_P3)).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_lossy_formats_are_converted_too(kind: str, tmp_path: Path) -> None:
    flat = Image.new("RGB", (16, 16), (70, 160, 60))
    found = decoded(tmp_path, flat, kind, icc_profile=P3, quality=95)
    assert found.notes == CONVERTED
    assert found.pixels is not None
    assert np.abs(found.pixels.astype(int) - converted(flat, P3)).max() <= 6  # unconverted: 70


def test_srgb_under_any_description_is_left_as_it_is(tmp_path: Path) -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (own, rgb_profile(SRGB)):
        found = decoded(tmp_path, PICTURE, "PNG", icc_profile=profile)
        assert found.notes == ""
        assert np.array_equal(found.pixels, COLOURS)


def test_a_grey_profile_changes_the_brightness(tmp_path: Path) -> None:
    grey, profile = PICTURE.convert("L"), grey_profile(1.0)
    found = decoded(tmp_path, grey, "PNG", icc_profile=profile)
    assert found.notes == CONVERTED
    assert np.array_equal(found.pixels, converted(grey, profile))
    assert found.pixels is not None
    assert found.pixels.mean() > np.asarray(grey).mean() + 20  # linear light is brighter in sRGB's numbers


def test_a_grey_picture_may_have_a_profile_of_colours(tmp_path: Path) -> None:
    grey = PICTURE.convert("L")
    found = decoded(tmp_path, grey, "PNG", icc_profile=ADOBE)
    assert np.array_equal(found.pixels, converted(grey.convert("RGB"), ADOBE))
    assert decoded(tmp_path, grey, "PNG", icc_profile=rgb_profile(SRGB)).notes == ""


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_inks_are_converted_by_their_profile(kind: str, tmp_path: Path) -> None:
    inks = Image.new("CMYK", (16, 16), (120, 40, 200, 30))
    found = decoded(tmp_path, inks, kind, icc_profile=cmyk_profile())
    assert found.notes == CONVERTED
    assert found.pixels is not None
    assert np.abs(found.pixels.astype(int) - converted(inks, cmyk_profile())).max() <= (4 if kind == "JPEG" else 0)
    assert np.abs(found.pixels.astype(int) - np.asarray(inks.convert("RGB"))).max() > 20


def test_a_palette_has_the_colours_of_its_profile(tmp_path: Path) -> None:
    palette = PICTURE.quantize(32)
    found = decoded(tmp_path, palette, "PNG", icc_profile=P3)
    assert np.array_equal(found.pixels, converted(palette.convert("RGB"), P3))


def test_sixteen_bit_grey_is_converted_after_its_scaling(tmp_path: Path) -> None:
    grey, profile = PICTURE.convert("L"), grey_profile(1.8)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert np.array_equal(decoded(tmp_path, deep, "PNG", icc_profile=profile).pixels, converted(grey, profile))


def test_opacity_is_no_colour_and_the_background_is_srgb(tmp_path: Path) -> None:
    opacity = np.where(np.arange(10) < 5, 0, 255).astype(np.uint8) * np.ones((12, 1), np.uint8)
    picture = PICTURE.copy()
    picture.putalpha(Image.fromarray(opacity))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", icc_profile=P3)
    (tmp_path / "x").write_bytes(buffer.getvalue())
    found = decode_file(str(tmp_path / "x"), Geometry(12, 10, background="#3c8c28")).pixels
    assert found is not None
    assert np.array_equal(found[:, 5:], converted(PICTURE, P3)[:, 5:])
    assert (found[:, :5] == (0x3C, 0x8C, 0x28)).all()


@pytest.mark.parametrize("profile", [b"rubbish" * 40, P3[:200], P3[:-60], grey_profile(2.2), b"a" * (2 << 20)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_profile_that_cannot_be_used_is_ignored_with_a_note(profile: bytes, kind: str, tmp_path: Path) -> None:
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    found = decoded(tmp_path, PICTURE, kind, icc_profile=profile, **options)
    assert found.notes == BAD_PROFILE
    assert np.array_equal(found.pixels, decoded(tmp_path, PICTURE, kind, **options).pixels)


def test_profiles_can_be_ignored(tmp_path: Path) -> None:
    found = decoded(tmp_path, PICTURE, "PNG", IGNORE, icc_profile=ADOBE)
    assert found.notes == ""
    assert np.array_equal(found.pixels, COLOURS)


def test_the_hash_that_decides_on_the_split_stays_that_of_the_stored_pixels(tmp_path: Path) -> None:
    plain, with_profile = (decoded(tmp_path, PICTURE, "PNG", **options) for options in ({}, {"icc_profile": P3}))
    assert plain.pixel_hash == with_profile.pixel_hash
    assert not np.array_equal(plain.pixels, with_profile.pixels)


def test_a_reduced_and_turned_photograph_is_converted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    flat = Image.new("RGB", (1600, 1200), (70, 160, 60))
    found = decoded(tmp_path, flat, "JPEG", icc_profile=P3, exif=exif, quality=95)
    assert (found.width, found.height, found.notes) == (1200, 1600, CONVERTED)
    assert found.pixels is not None
    assert np.abs(found.pixels[5, 5].astype(int) - converted(flat, P3)[0, 0]).max() <= 3
