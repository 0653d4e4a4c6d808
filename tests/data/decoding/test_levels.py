"""Samples of more than 8 bits, in files built by hand, against arithmetic on the samples."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.data.decoding.tiffs import (
    FLOAT,
    LONG,
    MAX_SAMPLE_VALUE,
    MIN_SAMPLE_VALUE,
    S_MAX_SAMPLE_VALUE,
    S_MIN_SAMPLE_VALUE,
    SAMPLE_FORMAT,
    SHORT,
    SIGNED_SHORT,
    Tags,
    tiff,
)
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import EARLIER, STRETCH, TAGS, Decoded, Geometry

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (6, 8), np.uint8)
GREY[0, :2] = (0, 255)
TWELVE = (GREY.astype(int) * 4095 // 255).astype(np.uint16)
SIGNED, FLOATING = {SAMPLE_FORMAT: (SHORT, 2)}, {SAMPLE_FORMAT: (SHORT, 3)}


def read(folder: Path, content: bytes, levels: str = TAGS) -> Decoded:
    (folder / "x").write_bytes(content)
    return decode_file(str(folder / "x"), Geometry(*GREY.shape, levels=levels))


def grey(found: Decoded) -> np.ndarray:
    assert found.problem == ""
    assert found.pixels is not None
    assert (found.pixels == found.pixels[..., :1]).all()
    return found.pixels[..., 0]


def png(samples: np.ndarray, extra: bytes = b"") -> bytes:
    """A PNG of samples uint16 [h, w, channels]."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    data = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_unsigned_samples_span_their_bits(bits: int, order: str, tmp_path: Path) -> None:
    samples = {8: GREY, 12: TWELVE, 16: GREY.astype(np.uint16) * 257}[bits]
    found = read(tmp_path, tiff(samples, bits, order=order))
    if found.problem:  # Pillow has no reader for 12 bits in this byte order
        assert (bits, order) == (12, ">")
        assert "a TIFF file, but" in found.problem
    else:
        assert np.array_equal(grey(found), GREY)
        assert found.notes == ""


@pytest.mark.parametrize("bits", [8, 16])
def test_white_may_be_zero(bits: int, tmp_path: Path) -> None:
    samples = 255 - GREY if bits == 8 else (255 - GREY.astype(np.uint16)) * 257
    assert np.array_equal(grey(read(tmp_path, tiff(samples, bits, photometric=0))), GREY)


def test_what_the_decoder_cannot_read_is_refused_for_what_it_is(tmp_path: Path) -> None:
    assert read(tmp_path, tiff(GREY.astype(np.uint16), 12, photometric=0)).problem == (
        "unreadable: a TIFF file, but unknown pixel mode"
    )
    assert "a TIFF file" in read(tmp_path, tiff(GREY.astype(np.float16), 16, tags=FLOATING)).problem


def test_a_maximum_of_fewer_whole_bits_narrows_the_range_and_a_statistic_does_not(tmp_path: Path) -> None:
    twelve = tiff(TWELVE, 16, tags={MAX_SAMPLE_VALUE: (SHORT, 4095)})
    assert np.array_equal(grey(read(tmp_path, twelve)), GREY)
    statistic = tiff(TWELVE, 16, tags={MIN_SAMPLE_VALUE: (SHORT, 3), MAX_SAMPLE_VALUE: (SHORT, 4090)})
    assert np.array_equal(grey(read(tmp_path, statistic)), TWELVE >> 8)
    mask = tiff((GREY > 99).astype(np.uint16), 16, tags={MAX_SAMPLE_VALUE: (SHORT, 1)})
    assert np.array_equal(grey(read(tmp_path, mask)), np.where(GREY > 99, 255, 0))


def test_samples_above_their_declared_range_are_refused(tmp_path: Path) -> None:
    found = read(tmp_path, tiff(GREY.astype(np.uint16) * 257, 16, tags={MAX_SAMPLE_VALUE: (SHORT, 4095)}))
    assert found.problem == "samples of up to 65,535, but the file declares 12 bits: save it again"


RANGED: dict[str, tuple[np.ndarray, int, Tags]] = {
    "signed, 16 bits": (
        (GREY.astype(int) * 257 - 32768).astype(np.int16),
        16,
        SIGNED | {S_MIN_SAMPLE_VALUE: (SIGNED_SHORT, -32768), S_MAX_SAMPLE_VALUE: (SIGNED_SHORT, 32767)},
    ),
    "signed, a tenth of the range": (
        (GREY.astype(int) * 10 - 1000).astype(np.int16),
        16,
        SIGNED | {S_MIN_SAMPLE_VALUE: (SIGNED_SHORT, -1000), S_MAX_SAMPLE_VALUE: (SIGNED_SHORT, 1550)},
    ),
    "signed, 8 bits": (
        (GREY.astype(int) - 128).astype(np.int8),
        8,
        SIGNED | {S_MIN_SAMPLE_VALUE: (SIGNED_SHORT, -128), S_MAX_SAMPLE_VALUE: (SIGNED_SHORT, 127)},
    ),
    "32 bits": (
        GREY.astype(np.uint32) * 0x01010101,
        32,
        {MIN_SAMPLE_VALUE: (LONG, 0), MAX_SAMPLE_VALUE: (LONG, 0xFFFFFFFF)},
    ),
    "floating point": (
        (GREY / 255).astype(np.float32),
        32,
        FLOATING | {S_MIN_SAMPLE_VALUE: (FLOAT, 0.0), S_MAX_SAMPLE_VALUE: (FLOAT, 1.0)},
    ),
}


@pytest.mark.parametrize("name", RANGED)
@pytest.mark.parametrize("order", ["<", ">"])
def test_other_samples_are_scaled_by_the_range_in_their_tags(name: str, order: str, tmp_path: Path) -> None:
    samples, bits, tags = RANGED[name]
    if name == "signed, a tenth of the range":  # the picture's own extremes would be refused
        samples = np.clip(samples, -990, 1550)
    found = read(tmp_path, tiff(samples, bits, tags=tags, order=order))
    if name == "32 bits" and order == ">":
        assert found.problem == "unreadable: a TIFF file, but unknown pixel mode"
        return
    assert np.abs(grey(found).astype(int) - GREY).max() <= (1 if name == "signed, a tenth of the range" else 0)


@pytest.mark.parametrize("name", RANGED)
def test_other_samples_without_a_certain_range_are_refused(name: str, tmp_path: Path) -> None:
    samples, bits, tags = RANGED[name]
    kind = {tag: value for tag, value in tags.items() if tag == SAMPLE_FORMAT}
    word = name.split(",")[0].replace("floating point", "floating-point").replace("32 bits", "unsigned")
    problem = read(tmp_path, tiff(samples, bits, tags=kind)).problem
    assert problem.startswith(f"{word} samples of {bits} bits have no agreed range")
    assert "save it with 8 or 16 unsigned bits" in problem


def test_a_range_that_is_the_picture_s_own_or_does_not_hold_its_samples_is_refused(tmp_path: Path) -> None:
    values = (GREY / 255 * 0.75 + 0.125).astype(np.float32)

    def problem(samples: np.ndarray, low: float, high: float) -> str:
        tags = FLOATING | {S_MIN_SAMPLE_VALUE: (FLOAT, low), S_MAX_SAMPLE_VALUE: (FLOAT, high)}
        return read(tmp_path, tiff(samples, 32, tags=tags)).problem

    assert "is that of this picture alone" in problem(values, 0.125, 0.875)
    assert "its tags declare 0 to 0.5" in problem(values, 0, 0.5)
    assert problem(np.where(GREY > 9, values, np.nan).astype(np.float32), 0, 1) != ""
    assert problem(values, 0, np.inf).startswith("floating-point samples of 32 bits have no agreed range")


@pytest.mark.parametrize("used, bits", [(12, 12), (11, 12), (8, 8), (5, 8), (14, 14), (10, 10)])
def test_samples_that_use_few_bits_are_noted_and_can_be_stretched(used: int, bits: int, tmp_path: Path) -> None:
    samples = (RNG.integers(0, 1 << used, GREY.shape)).astype(np.uint16)
    samples[0, 0] = (1 << used) - 1
    for content in (png(samples[..., None]), tiff(samples, 16)):
        dark, bright = read(tmp_path, content), read(tmp_path, content, STRETCH)
        assert (dark.notes, bright.notes) == (f"levels:{bits}/16", f"stretched:{bits}/16")
        assert np.array_equal(grey(dark), samples >> 8)
        assert np.array_equal(grey(bright), samples >> (bits - 8))


def test_a_full_range_is_neither_noted_nor_stretched(tmp_path: Path) -> None:
    for factor in (256, 257):  # 8-bit values, shifted or repeated
        content = png(GREY.astype(np.uint16)[..., None] * factor)
        for levels in (TAGS, STRETCH):
            found = read(tmp_path, content, levels)
            assert found.notes == ""
            assert np.array_equal(grey(found), GREY)
    assert read(tmp_path, png(np.zeros((*GREY.shape, 1), np.uint16))).notes == ""  # black: blank, not dark


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", [8, 12])
def test_colours_of_sixteen_bits_are_stretched_without_losing_levels(channels: int, bits: int, tmp_path: Path) -> None:
    samples = RNG.integers(0, 1 << bits, (*GREY.shape, channels)).astype(np.uint16)
    samples[0, 0, :3] = (1 << bits) - 1
    samples[..., 3:] = 65535
    dark, bright = read(tmp_path, png(samples)), read(tmp_path, png(samples), STRETCH)
    assert (dark.notes, bright.notes) == (f"levels:{bits}/16", f"stretched:{bits}/16")
    assert np.array_equal(dark.pixels, samples[..., :3] >> 8)
    assert np.array_equal(bright.pixels, samples[..., :3] >> (bits - 8))


def test_a_drawing_in_the_opacity_alone_is_not_dark(tmp_path: Path) -> None:
    samples = np.zeros((*GREY.shape, 4), np.uint16)
    samples[..., 3] = GREY.astype(np.uint16) * 257
    assert [read(tmp_path, png(samples), levels).notes for levels in (TAGS, STRETCH)] == ["transparent flat"] * 2


def test_grey_with_opacity_of_sixteen_bits_cannot_be_stretched_and_says_so(tmp_path: Path) -> None:
    samples = np.stack([GREY.astype(np.uint16) * 16, np.full(GREY.shape, 65535, np.uint16)], axis=-1)
    assert read(tmp_path, png(samples)).notes == "levels:12/16"
    assert "cannot be stretched" in read(tmp_path, png(samples), STRETCH).problem


def test_the_significant_bits_of_a_png_are_no_range(tmp_path: Path) -> None:
    data = struct.pack(">B", 12)
    chunk = struct.pack(">I", 1) + b"sBIT" + data + struct.pack(">I", zlib.crc32(b"sBIT" + data))
    samples = GREY.astype(np.uint16) * 257 & 0xFFF0  # scaled to 16 bits, as the specification asks
    assert np.array_equal(grey(read(tmp_path, png(samples[..., None], chunk))), GREY)


WIDE = GREY.astype(np.uint16) * 257


@pytest.mark.parametrize(
    "content, expected",
    [
        (tiff(WIDE, 16), GREY),
        (tiff(WIDE, 16, 0), GREY),
        (tiff(TWELVE, 12), TWELVE >> 8),
        (tiff(TWELVE, 16, 1, {MAX_SAMPLE_VALUE: (SHORT, 4095)}), TWELVE >> 8),
        (tiff(GREY, 8, 0), 255 - GREY),
        (tiff(GREY.view(np.int8), 8, 1, SIGNED), GREY),
        (png(WIDE[..., None]), GREY),
        (png(np.repeat(WIDE[..., None] >> 4, 3, axis=2)), WIDE >> 12),
        (png(WIDE[..., None] >> 4, b"\0\0\0\2tRNS\0\0" + struct.pack(">I", zlib.crc32(b"tRNS\0\0"))), WIDE >> 12),
    ],
)
def test_runs_from_before_levels_get_the_high_bytes_that_pillow_decodes(
    content: bytes, expected: np.ndarray, tmp_path: Path
) -> None:
    found = read(tmp_path, content, EARLIER)
    assert np.array_equal(grey(found), expected)
    assert found.notes == ""


@pytest.mark.parametrize(
    "content, problem",
    [
        (
            tiff(GREY.astype(np.float32) / 255, 32, 1, FLOATING | {MAX_SAMPLE_VALUE: (FLOAT, 1)}),
            "floating-point pixels",
        ),
        (tiff(GREY.astype(np.uint32) << 16, 32), "32-bit pixels"),
        (tiff(GREY.astype(np.int16) - 128, 16, 1, SIGNED), "32-bit pixels"),
    ],
)
def test_runs_from_before_levels_refuse_what_they_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    assert read(tmp_path, content, EARLIER).problem.startswith(problem)
