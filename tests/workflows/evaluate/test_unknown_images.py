"""Does a model that knows the digits 0 to 4 notice what it has never seen?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from transfercli.data.load import load_folder_split
from transfercli.reporting import Reporter
from transfercli.runs.lookup import find_run
from transfercli.workflows.evaluate.evaluate import read_split, reading_for
from transfercli.workflows.evaluate.inference import split_logits
from transfercli.workflows.model import load_run


class Inverted:
    """The same images, dark where they were bright."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return 255 - self.images.read(indices)


def test_other_digits_and_inverted_images_are_strange_far_more_often_than_own_ones(
    source: Any, digits_folder: Path
) -> None:
    world, _ = source
    trained = load_run(find_run("digits-source", world.runs), Reporter())
    reading = reading_for(trained.config, Reporter())
    own = read_split(trained.run, trained.config, trained.labels, "test", Reporter())
    others = load_folder_split(digits_folder / "digits-target" / "test", "test", tuple("56789"), reading)
    inverted = replace(own, images=Inverted(own.images))
    assert trained.trust is not None
    judged = [trained.trust.judge(split_logits(trained, split, Reporter())) for split in (own, others, inverted)]
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
