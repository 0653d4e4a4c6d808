"""Out-of-distribution score of a merged run: that of its first member, if it reads the same features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from transfercli.evaluation.confidence.temperature import class_logits
from transfercli.models.unknown.score import UnknownScore, energies
from transfercli.rows import ArrayRows
from transfercli.workflows.merge.networks import same
from transfercli.workflows.merge.scoring import MergedModel
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.unknown import MOST_IMAGES

if TYPE_CHECKING:
    from transfercli.transfer.unknown.fit import Known


def score_of_merged(run: StoredRun, model: MergedModel) -> UnknownScore | None:
    """Return the score of a merged run; None if its first member has none, so that the energy of the logits is used.

    An average keeps the base of its first member, and so the score of it. A soup of runs that trained their base has
    features of its own, to which a score is fitted. The threshold of the energy follows from the new logits.
    """
    score = model.members[0].unknown
    if score is None:
        return None
    if score.space is None:
        from transfercli.transfer.unknown.fit import familiar_limit

        return replace(score, threshold=familiar_limit(energies(class_logits(model.logits)), model.answers.groups))
    return score if _keeps_base(model) else _fitted(run)


def _keeps_base(model: MergedModel) -> bool:
    first = model.members[0].read_checkpoint().model
    return all(same(value, model.tensors.get(name)) for name, value in first.items() if name.startswith("base/"))


def _fitted(run: StoredRun) -> UnknownScore:
    from transfercli.transfer.unknown.choice import choose_score

    seed = run.config.seed
    return choose_score(_known(run, "train", seed), _known(run, "validation", seed), seed)


def _known(run: StoredRun, name: str, seed: int) -> Known:
    """Return features, energies and targets of a split, or of a sample of it."""
    from transfercli.models.forward import forward
    from transfercli.transfer.unknown.fit import Known, stratified_sample
    from transfercli.workflows.data.image_features import ImageFeatures

    split, network = run.split(name), ImageFeatures(run)
    sample = split.at(stratified_sample(split.targets, MOST_IMAGES, seed))
    pooled = network.pooled(sample)
    rows = pooled.read(np.arange(len(sample)))
    logits = forward(network.cut.top, ArrayRows(rows), len(rows), run.reporter, "features")
    return Known(network.of_pooled(rows), energies(class_logits(logits)), sample.targets, sample.groups)
