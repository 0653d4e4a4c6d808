"""Does a model that knows the digits 0 to 4 notice what it has never seen?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from transfercli.data.load import load_folder_split
from transfercli.rows import TransformedRows
from transfercli.runs.lookup import find_run
from transfercli.workflows.stored_run import StoredRun


def test_other_digits_and_inverted_images_are_strange_far_more_often_than_own_ones(
    source: Any, digits_folder: Path
) -> None:
    world, _ = source
    trained = StoredRun(find_run("digits-source", world.runs))
    reading = trained.reading
    own = trained.split("test")
    others = load_folder_split(digits_folder / "digits-target" / "test", "test", tuple("56789"), reading)
    inverted = replace(own, images=TransformedRows(own.images, lambda images, _: 255 - images))
    assert trained.stored_trust is not None
    judged = [trained.trust.assess(trained.logits(split)) for split in (own, others, inverted)]
    shares = [judgement.strange.mean() for judgement in judged]
    areas = [
        roc_auc_score(np.repeat([0, 1], [len(own), len(one.energy)]), np.r_[judged[0].energy, one.energy])
        for one in judged[1:]
    ]
    assert shares[0] < 0.1  # one in twenty of the validation images, by construction
    assert shares[1] > 3 * shares[0]
    assert shares[2] > 2 * shares[0]
    assert areas[0] > 0.7
    assert areas[1] > 0.55
