"""ICC profiles built by hand: matrix and curve, after the ICC specification (ICC.1:2001-04)."""

from __future__ import annotations

import struct

# Colorants in the profile connection space (adapted to D50), as published for these colour spaces.
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
D50 = (0.9642, 1.0, 0.8249)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _curve(gamma: float) -> bytes:
    """A power function, or the curve of sRGB for 0."""
    if gamma:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + _fixed(*SRGB_CURVE)


def _profile(channels: bytes, tags: list[tuple[bytes, bytes]], kind: bytes = b"mntr", space: bytes = b"XYZ ") -> bytes:
    description = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"p\0" + b"\0" * 80
    xyz = b"XYZ \0\0\0\0" + _fixed(*D50)
    tags = [(b"desc", description), (b"cprt", b"text\0\0\0\0none\0\0\0\0"), (b"wtpt", xyz), *tags]
    table, data = b"", b""
    for name, value in tags:
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(data), len(value))
        data += value
    size = 132 + len(table) + len(data)
    date = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02200000, kind, channels, space) + date + b"acsp"
    return (head + b"\0" * 28 + _fixed(*D50)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def rgb_profile(colorants: tuple[tuple[float, ...], ...], gamma: float = 0) -> bytes:
    """A profile of three colorants; gamma: 0 for the curve of sRGB."""
    names = zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)
    tags = [(name, b"XYZ \0\0\0\0" + _fixed(*colorant)) for name, colorant in names]
    return _profile(b"RGB ", tags + [(name, _curve(gamma)) for name in (b"rTRC", b"gTRC", b"bTRC")])


def grey_profile(gamma: float) -> bytes:
    """A grey profile with a power function."""
    return _profile(b"GRAY", [(b"kTRC", _curve(gamma))])


def cmyk_profile() -> bytes:
    """A profile of inks with a table of two levels for each, to CIELAB: cyan, magenta and yellow that darken evenly."""
    lab = b""
    for corner in range(16):
        cyan, magenta, yellow, black = (corner >> 3) & 1, (corner >> 2) & 1, (corner >> 1) & 1, corner & 1
        light = (1 - 0.9 * black) * (1 - 0.25 * (cyan + magenta + yellow))
        tint = 40 * (1 - black)
        lab += bytes([round(255 * light), 128 + tint * (magenta - cyan), 128 + tint * (yellow - cyan)])
    ramp = bytes(range(256))
    unity = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + unity + ramp * 4 + lab + ramp * 3
    return _profile(b"CMYK", [(b"A2B0", table)], b"prtr", b"Lab ")
