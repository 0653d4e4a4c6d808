"""Compiled stages: optimizer, schedule, loss."""

from __future__ import annotations

import pytest

from tests.training.trainers import same, trainer
from transfercli.config.schema import OptimizerConfig
from transfercli.training.phases import Phase


def test_gradients_of_several_batches_are_one_update(digits) -> None:
    job = trainer(digits, [Phase("all", 1, 1e-2)], optimizer=OptimizerConfig(accumulate=2))
    job.run()
    assert int(job.setup.model.optimizer.iterations) == 2  # of four batches


def test_the_state_of_an_optimizer_is_restored_by_name(digits) -> None:
    from transfercli.training.compiling import optimizer_tensors, restore_optimizer

    trained, fresh = (trainer(digits, [Phase("all", 1, 1e-2)]) for _ in range(2))
    trained.run()
    model = trained.setup.model
    state = optimizer_tensors(model)
    assert list(state) == sorted(state)
    other = fresh.begin_phase().model
    assert not same(optimizer_tensors(other), state)
    restore_optimizer(other, state)
    assert same(optimizer_tensors(other), state)


def test_the_state_of_an_optimizer_with_other_variables_is_an_artefact_error(digits) -> None:
    from transfercli.errors import ArtefactError
    from transfercli.training.compiling import optimizer_tensors, restore_optimizer

    model = trainer(digits, [Phase("all", 1, 1e-2)]).begin_phase().model
    state = optimizer_tensors(model)
    state.pop(max(state))
    with pytest.raises(ArtefactError, match="has other variables"):
        restore_optimizer(model, state)
