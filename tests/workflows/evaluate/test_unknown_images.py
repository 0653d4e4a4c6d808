"""Does a model that knows the digits 0 to 4 notice what it has never seen?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from transfercli.data.load import load_folder_split
from transfercli.runs.lookup import find_run
from transfercli.workflows.stored_run import StoredRun


def test_other_digits_are_strange_far_more_often_than_own_ones(source: Any, digits_folder: Path) -> None:
    world, _ = source
    trained = StoredRun(find_run("digits-source", world.runs))
    own = trained.split("test")
    others = load_folder_split(digits_folder / "digits-target" / "test", "test", tuple("56789"), trained.reading)
    assert trained.stored_trust is not None
    known, unknown = (trained.trust.assess(trained.logits(split)) for split in (own, others))
    assert known.strange.mean() < 0.1  # one in twenty of the validation images, by construction
    assert unknown.strange.mean() > 3 * known.strange.mean()
    is_unknown = np.repeat([0, 1], [len(own), len(others)])
    assert roc_auc_score(is_unknown, np.r_[known.energy, unknown.energy]) > 0.7
