"""Images of an evaluation that the run or one of its ancestors learnt from, which its honest metrics leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from transfercli.data.dataset import KNOWN_BY
from transfercli.data.image import Geometry
from transfercli.data.quality.image_descriptors import Descriptors, describe, select
from transfercli.reporting import Reporter
from transfercli.rows import SelectedRows
from transfercli.text import counted, decimal
from transfercli.workflows.learnt_images import LEARNT, LearntImages
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Record, Split
    from transfercli.evaluation.result import Evaluation

VALIDATION = "validation"


@dataclass(frozen=True)
class KnownImages:
    """Images of a split that were learnt from.

    Attributes:
        counts: number of images by use: `train`, `validation`, `unlabelled` (their pixels only), `near` (a changed copy
            of an image that was learnt from), and `alike` (perhaps such a copy, in data of images that are much alike);
            without zeros.
        left_out: bool [N], True for the images that honest metrics leave out.
        gaps: a sentence for each run whose images are not, or not fully, known.
    """

    counts: dict[str, int]
    left_out: npt.NDArray[np.bool_]
    gaps: tuple[str, ...] = ()


def learnt_splits(split: str) -> tuple[str, ...]:
    """Return the splits whose images count as learnt (see `learnt_from`) for a split of the run's own images.

    An evaluation on its validation images leaves out images that were trained on only: it or an ancestor chose an epoch
    or a strength by each of them, so no other rule would leave an image.
    """
    return ("train",) if split == VALIDATION else LEARNT


def known_images(run: StoredRun, split: Split, reporter: Reporter, *, own: bool) -> KnownImages:
    """Return the images of a split that the run or an ancestor trained on, or chose an epoch or the penalty by.

    Images of the run's own validation split are not left out if no run trained on them.

    own: the split is one of the run's own, not of other images.
    """
    splits = learnt_splits(split.name) if own else LEARNT
    learnt = learnt_from(run, reporter=reporter, splits=splits)
    uses = uses_of(split, learnt, run.reading.geometry, run.descriptors)
    left_out = (uses != "") & (uses != "alike")
    if VALIDATION not in splits:
        uses[uses == ""] = VALIDATION
    counts = Counter(uses.tolist())
    names = ("train", VALIDATION, "unlabelled", "near", "alike")
    return KnownImages({name: counts[name] for name in names if counts[name]}, left_out, learnt.gaps)


def uses_of(split: Split, learnt: LearntImages, geometry: Geometry, stored: Descriptors | None) -> npt.NDArray[np.str_]:
    """Return how each image was learnt from, [N]: a use of `KnownImages.counts`, or "" if it was not.

    geometry: of the split's pixels. stored: descriptors of some of its images.
    """
    pixels = split.pixel_hashes or ("",) * len(split)
    uses = np.array([learnt.use_of(*hashes) for hashes in zip(split.sha256s, pixels, strict=True)], "U10")
    others = np.flatnonzero(uses == "")
    if len(others) and len(learnt.descriptors):
        sha256s = [split.sha256s[index] for index in others]
        sizes = [split.sizes[index] for index in others] if split.sizes else ()
        images = describe(SelectedRows(split.images, others), sha256s, geometry, sizes, stored)
        copies, sure = learnt.changed_copies(images)
        uses[others[copies]] = "near" if sure else "alike"
    return uses


def report_known(evaluation: Evaluation, reporter: Reporter) -> None:
    """Warn of images that were learnt from, with the accuracy, or another headline metric, with and without them."""
    if alike := evaluation.known.get("alike"):
        reporter.warning(
            f"{counted(alike, 'image')} may be changed copies of images that were learnt from; they count, because the"
            " images of this data are too much alike to be sure"
        )
    if known := known_in_words(evaluation.known):
        total, honest = counted(evaluation.examples, "image"), evaluation.honest_examples
        if honest == evaluation.examples:
            reporter.info(f"the run or an ancestor {known} these {total}: the metrics are a little too optimistic")
            return
        name = evaluation.headline
        text = f"the run or an ancestor {known} these {total}: the metrics are too optimistic; {name} is"
        text += f" {decimal(evaluation.metrics[name])} on all, "
        if not honest:
            text += "and no other image is left, so no gate can be met: evaluate on new images"
        else:
            others = counted(honest, "image")
            text += f"and {decimal(evaluation.honest[name])} on the other {others}; gates hold against the latter"
        reporter.warning(text)


def known_in_words(known: Mapping[str, int]) -> str:
    """Return how many images were learnt from, such as `trained on 3 and chose an epoch or the penalty by 5 of`."""
    parts = [f"{KNOWN_BY[use]} {count}" for use, count in known.items() if use in KNOWN_BY]
    return f"{' and '.join(parts)} of" if parts else ""


def not_learnt(run: StoredRun, images: Iterable[Record], learnt: LearntImages) -> list[Record]:
    """Return those of a run's own images that were not learnt from, neither in this file nor in a copy."""
    unknown = [image for image in images if not learnt.has(image.sha256)]
    changed = changed_copies(run, [image.sha256 for image in unknown], learnt)
    return [image for image in unknown if image.sha256 not in changed]


def changed_copies(run: StoredRun, sha256s: list[str], learnt: LearntImages) -> set[str]:
    """Return those of the run's own images, by SHA-256, that are surely changed copies of images learnt from.

    Only images whose descriptors the run stored are searched.
    """
    if run.descriptors is None or not sha256s:
        return set()
    rows, found = select(run.descriptors, sha256s)
    copies, sure = learnt.changed_copies(run.descriptors[rows[found]])
    return set(np.array(sha256s)[found][copies].tolist()) if sure else set()
