"""Does a model that knows the digits 0 to 4 notice what it has never seen?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from transfercli.data.load import load_folder_split
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run
from transfercli.workflows.stored_run import StoredRun


def test_other_digits_are_strange_far_more_often_than_own_ones(source: Any, digits_folder: Path) -> None:
    world, _ = source
    from transfercli.models.forward import forward

    trained = StoredRun(find_run("digits-source", world.runs))
    own = trained.split("test")
    others = load_folder_split(digits_folder / "digits-target" / "test", "test", tuple("56789"), trained.reading)
    assert trained.stored_trust is not None
    known, unknown = (
        trained.judge(forward(trained.scored_model, split.images, 32, Reporter()))[1] for split in (own, others)
    )
    assert known.strange.mean() < 0.1  # at most one in twenty of such images, by construction
    assert unknown.strange.mean() > 0.5
    is_unknown = np.repeat([0, 1], [len(own), len(others)])
    assert roc_auc_score(is_unknown, np.r_[known.unknown, unknown.unknown]) > 0.93
    energies = [trained.trust.assess(trained.logits(split)).unknown for split in (own, others)]
    assert roc_auc_score(is_unknown, np.concatenate(energies)) < 0.9  # what a run without the score can do
