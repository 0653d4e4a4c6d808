"""Held-out images of a run that an ancestor learnt from: its answers to them are too good to choose or score a model.

They are left out of whatever chooses among runs or scores a choice, as `evaluate` leaves them out of honest metrics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.workflows.known_images import VALIDATION, changed_copies, learnt_splits
from transfercli.workflows.learnt_images import LearntImages
from transfercli.workflows.lineage import ancestors, learnt_from
from transfercli.workflows.stored_run import StoredRun

FEWEST = 10  # images that can score a model after others were left out


def not_learnt_before(run: StoredRun, paths: Sequence[str], reporter: Reporter) -> npt.NDArray[np.bool_]:
    """Return bool [N], True for each image that no weights behind the run's held-out answers learnt from.

    paths: of N of the run's own images. Warns of ancestors that do not exist any more. Raises as `sha256s_of`.
    """
    learnt, pixels = learnt_behind_answers(run, reporter), run.pixel_hashes or {}
    sha256s = sha256s_of(run, paths)
    known = {sha256 for sha256 in sha256s if learnt.use_of(sha256, pixels.get(sha256, ""))}
    known |= changed_copies(run, [sha256 for sha256 in sha256s if sha256 not in known], learnt)
    return np.array([sha256 not in known for sha256 in sha256s], bool)


def sha256s_of(run: StoredRun, paths: Sequence[str]) -> list[str]:
    """Return the SHA-256 of images with held-out answers. Raises `ArtefactError` if one is not the run's own."""
    hashes = {image.path: image.sha256 for image in run.images}
    if unknown := [path for path in paths if path not in hashes]:
        raise ArtefactError(
            f"{run.folder.held_out.name} of {run.label} is damaged: {unknown[0]} is not in dataset.csv",
            "restore the run, or train it again",
        )
    return [hashes[path] for path in paths]


def learnt_behind_answers(run: StoredRun, reporter: Reporter) -> LearntImages:
    """Return the images that the weights which gave a run's held-out answers learnt from.

    A run that answered out of fold did not learn from its own images then, but an ancestor may have.
    """
    sources = ancestors(run, reporter) if run.record.refitted else [run]
    return learnt_from(*sources, reporter=reporter, splits=learnt_splits(VALIDATION))
