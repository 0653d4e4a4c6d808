"""Descriptors of images that find re-encoded and resized copies among many other images.

A descriptor holds the 63 lowest frequencies of the luminance (DCT-II), of unit length, and the mean chroma. They hardly
change if an image is compressed again, resized or made brighter, whatever the size of the pixels they come from.

No fixed distance separates copies from other images: different digits are nearer to each other than a photograph is to
its compressed copy. A copy is therefore an image that is much nearer to one image, or to a few, than to all others
(the ratio test of Lowe 2004, "Distinctive Image Features from Scale-Invariant Keypoints").
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt

from transfercli.data.image import Geometry
from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.rows import Rows

FREQUENCIES = 8  # of rows and of columns
MIN_CONTRAST = 2.0  # grey levels, root mean square; without it an image has no shape to compare
MAX_DISTANCE = 0.01  # 1 - correlation of the shapes of an image and its copy
MAX_RATIO = 0.2  # of the distances to the copied image and to the nearest image that is no copy
MAX_COPIES = 3  # of one image among the images that are searched
MAX_COLOUR_DIFFERENCE = 6.0  # levels of each mean chroma
MAX_CHANCE = 0.02  # share of images that look like copies of others of their own data, above which copies are unsure

_BLOCK = 1 << 24  # distances that are held in memory at once
_ROWS = 256  # images that are read at once
_VALUES = 1 << 19  # of the pixels that are transformed at once: they fit the processor's cache
_SAMPLE = 500
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CHROMA = np.array([[-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], np.float32)  # Cb and Cr of JPEG

# sha256: of the file, 32 bytes. shape: zeros for an image of too little contrast.
DESCRIPTOR = np.dtype([("sha256", "V32"), ("shape", "<f2", (FREQUENCIES**2 - 1,)), ("colour", "<f2", (2,))])
Descriptors = npt.NDArray[np.void]  # of dtype DESCRIPTOR, [N]


def describe(
    images: Rows,
    sha256s: Sequence[str],
    geometry: Geometry,
    sizes: Sequence[tuple[int, int]] = (),
    stored: Descriptors | None = None,
) -> Descriptors:
    """Return the descriptors of images, uint8 [H, W, 3] each.

    sizes: (width, height) of the originals, to leave out the padding of `resize: pad`; empty if unknown.
    stored: descriptors that were computed before.
    """
    found = np.zeros(len(sha256s), DESCRIPTOR)
    found["sha256"] = keys_of(sha256s)
    missing = np.arange(len(sha256s))
    if stored is not None:
        rows, present = select(stored, sha256s)
        found[present], missing = stored[rows[present]], missing[~present]
    boxes = _content_boxes(geometry, sizes, len(sha256s))
    for start in range(0, len(missing), _ROWS):
        _describe_rows(images, missing[start : start + _ROWS], boxes, found)
    return found


def _describe_rows(
    images: Rows, rows: npt.NDArray[np.int64], boxes: Sequence[tuple[int, int, int, int]], found: Descriptors
) -> None:
    pixels = images.read(rows)
    members_of: defaultdict[tuple[int, int, int, int], list[int]] = defaultdict(list)
    for member, row in enumerate(rows):
        members_of[boxes[row]].append(member)
    for (left, top, width, height), members in members_of.items():
        step = max(1, _VALUES // (3 * width * height))
        for start in range(0, len(members), step):
            some = members[start : start + step]
            part = pixels[some, top : top + height, left : left + width]
            found["shape"][rows[some]], found["colour"][rows[some]] = _shapes_and_colours(part)


def keys_of(sha256s: Sequence[str]) -> npt.NDArray[np.void]:
    """Return hexadecimal SHA-256s as V32 [N]. Raises `ArtefactError` if one is damaged."""
    try:
        keys = [bytes.fromhex(sha256) for sha256 in sha256s]
    except ValueError as error:
        raise ArtefactError(f"a SHA-256 in dataset.csv is damaged: {error}", "restore the run") from error
    if any(len(key) != 32 for key in keys):
        raise ArtefactError("a SHA-256 in dataset.csv is damaged: it has not 64 digits", "restore the run")
    return np.frombuffer(b"".join(keys), "V32")


def select(descriptors: Descriptors, sha256s: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the row of each file, int64 [N], and bool [N], False for a file without a descriptor (its row is 0)."""
    row_of = {key.tobytes(): row for row, key in enumerate(descriptors["sha256"])}
    rows = [row_of.get(key.tobytes(), -1) for key in keys_of(sha256s)]
    found = np.array(rows, np.int64)
    return np.maximum(found, 0), found >= 0


def write_descriptors(path: Path, descriptors: Descriptors) -> None:
    """Write descriptors as a NumPy file, atomically."""
    content = BytesIO()
    np.save(content, descriptors, allow_pickle=False)
    atomic.write_bytes(path, content.getvalue())


def read_descriptors(path: Path) -> Descriptors | None:
    """Read descriptors; None if an older run has none. Raises `ArtefactError` if the file is damaged.

    No more memory is taken than the file has bytes, whatever its header says.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            found = np.fromfile(file, DESCRIPTOR, _count_of(file))
        if not all(np.isfinite(found[name]).all() for name in ("shape", "colour")):
            raise ValueError("it has values that are not finite")
    except (OSError, ValueError, MemoryError) as error:
        raise ArtefactError(f"{path.name} in {path.parent.name} is damaged: {error}", "restore the run") from error
    return found


def _count_of(file: BinaryIO) -> int:
    """Read the header of a file of descriptors and return their number. Raises `ValueError` if it is damaged."""
    if (version := npy.read_magic(file)) != (1, 0):
        raise ValueError(f"its format is {version[0]}.{version[1]}; expected 1.0")
    try:
        shape, _, dtype = npy.read_array_header_1_0(file)
    except (SyntaxError, TokenError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError("its header is not that of a NumPy file") from error
    if dtype != DESCRIPTOR or len(shape) != 1:
        raise ValueError("it does not hold image descriptors")
    expected, size = shape[0] * DESCRIPTOR.itemsize, os.fstat(file.fileno()).st_size - file.tell()
    if size != expected:
        raise ValueError(f"it has {size} bytes of descriptors; its header says {expected}")
    return int(shape[0])


def has_copy(
    images: Descriptors, others: Descriptors, own_rows: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.bool_]:
    """Return bool [N]: True for each of N images that is a re-encoded or resized copy of one of `others`.

    own_rows: int64 [N], the row of each image among the others, if it is one of them: it is no copy of itself.
    """
    found = np.zeros(len(images), bool)
    if not len(others):
        return found
    shapes, step = others["shape"].astype(np.float32), max(1, _BLOCK // len(others))
    for start in range(0, len(images), step):
        part = images[start : start + step]
        rows = np.arange(len(part))
        distances = 1 - part["shape"].astype(np.float32) @ shapes.T
        if own_rows is not None:
            distances[rows, own_rows[start : start + step]] = 1
        nearest = distances.argmin(axis=1)
        colours = np.abs(part["colour"].astype(np.float32) - others["colour"][nearest]).max(axis=1)
        near = (distances[rows, nearest] <= MAX_DISTANCE) & (colours <= MAX_COLOUR_DIFFERENCE)
        found[start : start + step][near] = _far_from_the_rest(distances[near])
    return found


def copies_are_sure(images: Descriptors) -> bool:
    """Return False if copies cannot be told from other images in data like this.

    In pictures of one unchanging scene, for example, many are much nearer to one other than to all others.
    """
    distinct = images[np.unique(images["shape"], axis=0, return_index=True)[1]]
    rows = np.unique(np.linspace(0, len(distinct) - 1, min(_SAMPLE, len(distinct))).astype(np.int64))
    return not len(rows) or float(has_copy(distinct[rows], distinct, rows).mean()) <= MAX_CHANCE


def _far_from_the_rest(distances: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return bool [n]: True for each row of distances [n, M] with a gap after its first, second or third."""
    count = min(MAX_COPIES + 1, distances.shape[1])
    first = np.ones((len(distances), MAX_COPIES + 1), np.float32)
    first[:, :count] = np.sort(np.partition(distances, count - 1, axis=1)[:, :count], axis=1)
    inner, outer = first[:, :-1], first[:, 1:]
    gaps = (inner <= MAX_DISTANCE) & (inner <= MAX_RATIO * outer)
    return np.asarray(gaps.any(axis=1))


def _shapes_and_colours(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return float32 [n, 63] and [n, 2] for uint8 [n, h, w, 3]."""
    count, height, width, channels = pixels.shape
    rows = _cosines(height) @ pixels.reshape(count, height, width * channels).astype(np.float32)
    low = _cosines(width) @ rows.reshape(count, FREQUENCIES, width, channels)
    shapes = (low @ _LUMA).reshape(count, -1)[:, 1:]
    length = np.linalg.norm(shapes, axis=1, keepdims=True)
    shapes = shapes / np.maximum(length, MIN_CONTRAST) * (length >= MIN_CONTRAST)
    return shapes.astype(np.float32), (low[:, 0, 0] @ _CHROMA.T).astype(np.float32)


def _cosines(size: int) -> npt.NDArray[np.float32]:
    """Return float32 [8, size]: the lowest frequencies, scaled so that the length of a shape is in grey levels."""
    positions = (2 * np.arange(size) + 1) * np.pi / (2 * size)
    waves = np.cos(np.arange(FREQUENCIES)[:, None] * positions) / size
    return (waves * np.where(np.arange(FREQUENCIES), np.sqrt(2), 1)[:, None]).astype(np.float32)


def _content_boxes(geometry: Geometry, sizes: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int, int, int]]:
    """Return left, top, width and height of each picture without its padding."""
    whole = (0, 0, geometry.width, geometry.height)
    if geometry.resize != "pad" or not sizes:
        return [whole] * count
    return [geometry.content_box(*size) if all(size) else whole for size in sizes]
