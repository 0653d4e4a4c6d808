"""Images that look the same: 64-bit perceptual hashes, and which of them are close without comparing all with all.

The hash is the DCT hash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions"): it stays
where an image was re-encoded, resized or made brighter. Two hashes that differ in at most four of 64 bits agree in at
least two of six bands of bits, so only images that share two bands are compared: fifteen sorts instead of N^2 / 2
comparisons. A hash forgets much, so a pair must also agree as a 16x16 thumbnail.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from transfercli.data.image import Geometry

MOST_BITS = 4
BANDS = 6
NEIGHBOURS = 64  # compared at most with each image of a bucket: bounds the work where thousands look the same
SAME_THUMBNAIL = 0.985  # correlation of two thumbnails, brightness and contrast apart
FLAT = 2  # grey levels; an image with less between its darkest and brightest pixel shows nothing

_HASHED, _LOW, _THUMBNAIL = 32, 8, 16

UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]

# What an image looks like: its hash, a grey thumbnail, and whether it has one colour only, so that its hash is noise.
# Looks are kept: where they are computed differently, or look otherwise, the version changes.
VERSION = 1
LOOK = np.dtype([("hash", "<u8"), ("thumbnail", "u1", (_THUMBNAIL, _THUMBNAIL)), ("blank", "?")])
Looks = npt.NDArray[np.void]  # of that type, [N]


def look_at(images: Sequence[np.ndarray]) -> Looks:
    """The looks of some uint8 [h, w, 3] images, at least one."""
    from PIL import Image

    looks, box = np.zeros(len(images), LOOK), Image.Resampling.BOX
    grey = [Image.fromarray(image).convert("L") for image in images]
    looks["hash"] = perceptual_hash(np.stack([np.asarray(one.resize((_HASHED, _HASHED), box)) for one in grey]))
    looks["thumbnail"] = [np.asarray(one.resize((_THUMBNAIL, _THUMBNAIL), box)) for one in grey]
    looks["blank"] = [np.ptp(image.reshape(-1, 3), axis=0).max() <= FLAT for image in images]
    return looks


def without_bars(image: np.ndarray, geometry: Geometry, width: int, height: int) -> np.ndarray:
    """The picture alone: bars would make a flat image look like something, and all images of one shape alike.

    A pixel more is taken off beside them, because a JPEG that was decoded at a reduced size may be rounded to it.
    """
    left, top, wide, high = geometry.inside(width, height)
    across, down = int(wide < geometry.width and wide > 2), int(high < geometry.height and high > 2)
    return image[top + down : top + high - down, left + across : left + wide - across]


def perceptual_hash(grey: npt.NDArray[np.uint8]) -> UInt64:
    """uint8 [n, 32, 32] -> uint64 [n]: which of the 64 lowest frequencies but the constant ones exceed their median."""
    from scipy.fft import dctn

    low = dctn(grey.astype(np.float32), axes=(1, 2), norm="ortho")[:, 1 : _LOW + 1, 1 : _LOW + 1].reshape(-1, 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def near_duplicates(looks: Looks, distinct: Int64) -> list[tuple[int, int]]:
    """Pairs of rows (lower first) that look the same; enough to join all that do, not every pair of a crowd.

    Args:
        distinct: rows to compare, such as one of each content; blank ones are left out.
    """
    rows = distinct[~looks["blank"][distinct]]
    hashes, first, where = np.unique(looks["hash"][rows], return_index=True, return_inverse=True)
    equal = np.stack([first[where], np.arange(len(rows))], axis=1)
    equal = equal[equal[:, 0] != equal[:, 1]]
    close = first[close_pairs(hashes)].reshape(-1, 2)
    pairs = rows[np.concatenate([equal, close])]
    return _joining(np.sort(_confirmed(pairs, looks["thumbnail"]), axis=1))


def close_pairs(hashes: UInt64) -> Int64:
    """int64 [m, 2]: the pairs of different hashes at most four bits apart, each once."""
    edges = np.linspace(0, 64, BANDS + 1).astype(int)
    masks = [sum(1 << bit for bit in range(low, high)) for low, high in pairwise(edges)]
    found = [_within_buckets(hashes, np.uint64(one | other)) for one, other in combinations(masks, 2)]
    codes = np.unique(np.concatenate(found))
    return np.stack(np.divmod(codes, max(1, len(hashes))), axis=1)


def _within_buckets(hashes: UInt64, mask: np.uint64) -> Int64:
    """Close pairs among hashes that agree under a mask, each with those that follow it in its sorted bucket.

    int64 [m]: the lower row times N plus the higher one.
    """
    keys = hashes & mask
    order = np.lexsort((hashes, keys))
    keys, hashes = keys[order], hashes[order]
    left, found = np.arange(len(keys)), []
    for step in range(1, NEIGHBOURS + 1):
        left = left[left + step < len(keys)]
        left = left[keys[left] == keys[left + step]]
        if not len(left):
            break
        near = left[np.bitwise_count(hashes[left] ^ hashes[left + step]) <= MOST_BITS]
        one, other = order[near], order[near + step]
        found.append(np.minimum(one, other) * len(hashes) + np.maximum(one, other))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _confirmed(pairs: Int64, thumbnails: npt.NDArray[np.uint8], chunk: int = 65536) -> Int64:
    kept = []
    for start in range(0, len(pairs), chunk):
        part = pairs[start : start + chunk]
        one, other = (_standardized(thumbnails[part[:, side]]) for side in (0, 1))
        kept.append(part[(one * other).mean(axis=1) >= SAME_THUMBNAIL])
    return np.concatenate(kept) if kept else pairs


def _standardized(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(flat.std(axis=1, keepdims=True), 1e-6)


def _joining(pairs: Int64) -> list[tuple[int, int]]:
    """A spanning forest of the pairs: at most one pair fewer than there are images."""
    from scipy.cluster.hierarchy import DisjointSet

    joined = DisjointSet(np.unique(pairs).tolist())
    return [(one, other) for one, other in sorted(map(tuple, pairs.tolist())) if joined.merge(one, other)]
