"""Clusters: the units that are independent of each other, which are groups of images, or single images.

Images of one subject resemble each other. Statistics that took them for independent would be far too sure, so they
resample, swap, permute and fold whole groups (`data.group`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def cluster_indices(groups: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """Return the cluster of each image, int64 [N], from 0; None if every image is independent.

    groups: the name of each image's group, empty if no image has one. An image without a group ("") is a cluster of its
    own. Clusters are numbered in the order of their first images.
    """
    index_of: dict[str | int, int] = {}
    found = [index_of.setdefault(group or image, len(index_of)) for image, group in enumerate(groups)]
    return None if len(index_of) == len(found) else np.array(found, np.int64)


def count_clusters(groups: Sequence[str]) -> int | None:
    """Return the number of independent groups of images, counting an image without one; None if no image has one."""
    return len({group or image for image, group in enumerate(groups)}) if any(groups) else None
