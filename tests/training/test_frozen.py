"""Tensors that a training never changes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.trainers import tensors, trainer
from transfercli.training.phases import Phase


@pytest.mark.parametrize(
    "unfreeze, fresh, moves",
    [pytest.param("all", False, False, marks=pytest.mark.slow), ("none", True, False), ("all", True, True)],
)
def test_batchnorm_statistics_move_only_where_a_fresh_base_trains(digits, unfreeze, fresh, moves) -> None:
    from transfercli.training.frozen import constant_tensors

    job = trainer(digits, [Phase(unfreeze, 1, 1e-3)], base="resnet18", fresh=fresh)
    before = tensors(job)
    job.run()
    now = tensors(job)
    statistics = [name for name in now if "moving_" in name]
    changed = {name for name in now if not np.array_equal(now[name], before[name])}
    assert bool(set(statistics) & changed) is moves
    assert not changed & constant_tensors(job.classifier, job.plan)
    if unfreeze == "all" and not fresh:
        assert any("_bn/gamma" in name for name in changed)  # they train, their statistics do not
