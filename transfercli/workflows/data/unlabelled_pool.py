"""Images of a folder that may be labelled for a run: new ones, each once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from transfercli.data.dataset import Split
from transfercli.data.quality.near_duplicates import copy_groups
from transfercli.data.unlabelled_images import list_unlabelled, load_unlabelled
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.known_images import uses_of
from transfercli.workflows.learnt_images import LEARNT
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.stored_run import StoredRun

KNOWN = (*LEARNT, "test")  # splits whose images a run has a label for


@dataclass(frozen=True, eq=False)
class UnlabelledPool:
    """Images that may be labelled.

    Attributes:
        images: number of images in the folder.
        split: those that may be labelled; their targets have no meaning.
        copies: int [M], a number for each set of exact and near duplicates among them.
        left_out: number of images by the reason why they may not: `unreadable`; `known`, of the run or an ancestor; and
            `copies`, those beyond the first of each set.
    """

    images: int
    split: Split
    copies: npt.NDArray[np.int64]
    left_out: dict[str, int]


def read_pool(run: StoredRun, folder: Path, reporter: Reporter) -> UnlabelledPool:
    """Read the images of a folder, without those that the run or its ancestors know.

    Known are their training, validation and test images, and changed copies of these. Raises `DataError` if there is no
    image, or if too many are unreadable.
    """
    items = list_unlabelled(folder, run.reading)
    split = load_unlabelled(items, run.reading)
    uses = uses_of(split, learnt_from(run, reporter=reporter, splits=KNOWN), run.reading.geometry, run.descriptors)
    new = np.flatnonzero((uses == "") | (uses == "alike"))
    kept = split.at(new)
    copies = copy_groups(kept.images, kept.pixel_hashes, run.reading.geometry, kept.sizes)
    left_out = {
        "unreadable": len(items) - len(split),
        "known": len(split) - len(new),
        "copies": len(copies) - len(np.unique(copies)),
    }
    if alike := int((uses == "alike").sum()):
        reporter.warning(
            f"{counted(alike, 'image')} may be changed copies of images that the run knows; they are not left out,"
            " because the images of this data are too much alike to be sure"
        )
    return UnlabelledPool(len(items), kept, copies, left_out)
