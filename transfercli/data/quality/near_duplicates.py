"""Near-duplicate images, by 64-bit perceptual hashes that are not all compared with each other.

The DCT hash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions") stays nearly the same
if an image is re-encoded, resized or made brighter. Two hashes that differ in at most four of 64 bits agree in at least
two of six bands of bits, so only images that share two bands are compared: fifteen sorts instead of N^2 / 2
comparisons. A hash loses much detail, so that the 16x16 thumbnails of a pair must also agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from transfercli.data.image import FLAT_LEVELS, Geometry
from transfercli.data.quality.picture_quality import MEASURES, measure
from transfercli.rows import Rows

MAX_BITS = 4  # in which the hashes of near duplicates may differ
BANDS = 6
ROWS = 64  # images read at once
NEIGHBOURS = 64  # comparisons per image of a bucket; bounds the time if thousands of images are alike
SAME_THUMBNAIL = 0.985  # smallest correlation of the thumbnails of near duplicates

_HASHED, _LOW, _THUMBNAIL = 32, 8, 16

UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

# Fingerprint of an image: its hash, a grey thumbnail, True if it is blank, so that its hash is noise, and its quality.
# Fingerprints are cached: increase the version if they are computed in another way.
VERSION = 2
FINGERPRINT = np.dtype(
    [("hash", "<u8"), ("thumbnail", "u1", (_THUMBNAIL, _THUMBNAIL)), ("blank", "?"), ("measures", MEASURES)]
)
Fingerprints = npt.NDArray[np.void]  # of dtype FINGERPRINT, [N]


def fingerprints_of(images: Sequence[np.ndarray]) -> Fingerprints:
    """Return the fingerprints of at least one image, each uint8 [h, w, 3]."""
    from PIL import Image

    fingerprints, box = np.zeros(len(images), FINGERPRINT), Image.Resampling.BOX
    grey = [Image.fromarray(image).convert("L") for image in images]
    small = np.stack([np.asarray(image.resize((_HASHED, _HASHED), box)) for image in grey])
    fingerprints["hash"] = perceptual_hash(small)
    fingerprints["thumbnail"] = [np.asarray(image.resize((_THUMBNAIL, _THUMBNAIL), box)) for image in grey]
    fingerprints["blank"] = [np.ptp(image.reshape(-1, 3), axis=0).max() <= FLAT_LEVELS for image in images]
    fingerprints["measures"] = [measure(image) for image in images]
    return fingerprints


def crop_padding(image: np.ndarray, geometry: Geometry, width: int, height: int) -> np.ndarray:
    """Return an image without its padding, which would make images of one shape alike and blank ones not blank.

    One more pixel is cut next to the padding, because a JPEG decoded at a reduced size may be rounded by one.

    width, height: size in pixels of the original.
    """
    left, top, inner_width, inner_height = geometry.content_box(width, height)
    x = int(2 < inner_width < geometry.width)
    y = int(2 < inner_height < geometry.height)
    return image[top + y : top + inner_height - y, left + x : left + inner_width - x]


def perceptual_hash(grey: npt.NDArray[np.uint8]) -> UInt64:
    """Return the DCT hashes of uint8 [n, 32, 32] as uint64 [n].

    A bit is set if one of the 64 lowest non-constant frequencies is above their median.
    """
    from scipy.fft import dctn

    low = dctn(grey.astype(np.float32), axes=(1, 2), norm="ortho")[:, 1 : _LOW + 1, 1 : _LOW + 1].reshape(-1, 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def near_duplicates(fingerprints: Fingerprints, distinct: Int64) -> list[tuple[int, int]]:
    """Return pairs of rows (lower first) that are near duplicates.

    The pairs connect all images of a set of near duplicates; not every pair of the set is listed.

    Args:
        distinct: rows to compare, such as one per content; blank images are left out.
    """
    rows = distinct[~fingerprints["blank"][distinct]]
    hashes, first, inverse = np.unique(fingerprints["hash"][rows], return_index=True, return_inverse=True)
    equal = np.stack([first[inverse], np.arange(len(rows))], axis=1)
    equal = equal[equal[:, 0] != equal[:, 1]]
    close = first[close_pairs(hashes)].reshape(-1, 2)
    pairs = rows[np.concatenate([equal, close])]
    return _spanning_forest(np.sort(_confirmed(pairs, fingerprints["thumbnail"]), axis=1))


def copy_groups(
    images: Rows, pixel_hashes: Sequence[str], geometry: Geometry, sizes: Sequence[tuple[int, int]]
) -> Int64:
    """Return a number for each image, int [N], the same for images that are exact or near duplicates.

    Args:
        images: uint8 [H, W, 3] each.
        pixel_hashes: SHA-256 of the pixels of each.
        sizes: (width, height) of the originals, to leave out the padding of `resize: pad`.
    """
    from scipy.cluster.hierarchy import DisjointSet

    _, first, group_of = np.unique(np.array(pixel_hashes), return_index=True, return_inverse=True)
    fingerprints = np.zeros(len(first), FINGERPRINT)
    for start in range(0, len(first), ROWS):
        rows = first[start : start + ROWS]
        pixels = images.read(rows)
        parts = [crop_padding(image, geometry, *sizes[row]) for image, row in zip(pixels, rows, strict=True)]
        fingerprints[start : start + ROWS] = fingerprints_of(parts)
    sets = DisjointSet(range(len(first)))
    for a, b in near_duplicates(fingerprints, np.arange(len(first))):
        sets.merge(a, b)
    return np.array([sets[number] for number in group_of], np.int64)


def close_pairs(hashes: UInt64) -> Int64:
    """Return the pairs of different hashes that differ in at most four bits, each once, int64 [m, 2]."""
    edges = np.linspace(0, 64, BANDS + 1).astype(int)
    masks = [sum(1 << bit for bit in range(low, high)) for low, high in pairwise(edges)]
    codes = np.concatenate([_within_buckets(hashes, np.uint64(a | b)) for a, b in combinations(masks, 2)])
    codes = np.unique(codes)
    return np.stack(np.divmod(codes, max(1, len(hashes))), axis=1)


def _within_buckets(hashes: UInt64, mask: np.uint64) -> Int64:
    """Return close pairs among hashes that agree under a mask; each is compared with the next in its sorted bucket.

    A pair is encoded as the lower row times N plus the higher row, int64 [m].
    """
    keys = hashes & mask
    order = np.lexsort((hashes, keys))
    keys, hashes = keys[order], hashes[order]
    left, codes = np.arange(len(keys)), []
    for step in range(1, NEIGHBOURS + 1):
        left = left[left + step < len(keys)]
        left = left[keys[left] == keys[left + step]]
        if not len(left):
            break
        near = left[np.bitwise_count(hashes[left] ^ hashes[left + step]) <= MAX_BITS]
        a, b = order[near], order[near + step]
        codes.append(np.minimum(a, b) * len(hashes) + np.maximum(a, b))
    return np.concatenate(codes) if codes else np.zeros(0, np.int64)


def _confirmed(pairs: Int64, thumbnails: npt.NDArray[np.uint8], chunk: int = 65536) -> Int64:
    """Return the pairs whose thumbnails correlate."""
    kept = []
    for start in range(0, len(pairs), chunk):
        part = pairs[start : start + chunk]
        a, b = (_standardized(thumbnails[part[:, column]]) for column in (0, 1))
        kept.append(part[(a * b).mean(axis=1) >= SAME_THUMBNAIL])
    return np.concatenate(kept) if kept else pairs


def _standardized(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(flat.std(axis=1, keepdims=True), 1e-6)


def _spanning_forest(pairs: Int64) -> list[tuple[int, int]]:
    """Return a spanning forest of the pairs, which connects the same images with fewer pairs."""
    from scipy.cluster.hierarchy import DisjointSet

    sets = DisjointSet(np.unique(pairs).tolist())
    return [(a, b) for a, b in sorted(map(tuple, pairs.tolist())) if sets.merge(a, b)]
