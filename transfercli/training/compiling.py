"""Compilation of a phase's model: optimizer, schedule, loss and metric; and the optimizer's state in a checkpoint."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from transfercli.config.schema import TrainingConfig
from transfercli.errors import ArtefactError
from transfercli.models.classifier import Classifier
from transfercli.models.trainable.freezing import stage_depths
from transfercli.training.objectives import OBJECTIVES
from transfercli.training.optim.accumulation import UpdateGroups
from transfercli.training.optim.ema import PREFIX, restore_training_weights
from transfercli.training.optim.optimizers import build_optimizer, regularize, scale_learning_rates
from transfercli.training.optim.schedules import PLATEAU, REDUCTION, build_schedule
from transfercli.training.phases import Phase, PhaseSetup


def update_groups(setup: PhaseSetup, training: TrainingConfig) -> UpdateGroups:
    """Return the division of an epoch's batches into updates."""
    return UpdateGroups(setup.batches.rows_per_epoch, setup.batches.batch_size, training.optimizer.accumulate)


def compile_phase(
    setup: PhaseSetup, phase: Phase, training: TrainingConfig, classifier: Classifier, schedule: Any = None
) -> Any:
    """Compile the phase's model: penalties, optimizer, schedule, loss and accuracy of the variables that train.

    schedule: number of updates so far -> learning rate of the next; None: that of the config, a `PhaseSchedule`. Return
    the schedule.
    """
    model = setup.model
    regularize(model, training.regularization)
    groups, objective = update_groups(setup, training), OBJECTIVES[classifier.task]
    if schedule is None:
        epochs, start = phase.schedule_epochs, phase.schedule_start
        schedule = build_schedule(training.schedule, phase.learning_rate, epochs, groups.updates, start)
    model.compile(
        build_optimizer(training.optimizer, schedule, groups),
        loss=objective.loss(setup, training),
        **{"weighted_metrics" if setup.batches.padding else "metrics": objective.accuracy(setup)},
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)
    if training.schedule.name == PLATEAU:
        schedule.reduction = model.optimizer.add_variable((), "ones", name=REDUCTION)
    if phase.decay != 1:
        scale_learning_rates(
            model.optimizer, [phase.decay**n for n in stage_depths(classifier, model.trainable_variables)]
        )
    return schedule


def optimizer_tensors(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the optimizer's variables by name; the names sort in their order."""
    variables = model.optimizer.variables
    return {f"{i:05d}/{v.name}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}


def restore_optimizer(model: keras.Model, state: dict[str, np.ndarray]) -> None:
    """Assign what `optimizer_tensors` returned to a model compiled for the same phase.

    With a moving average, also restore the training weights that `state` contains (see `ema.py`). Raises
    `ArtefactError` if the optimizer of this version has other variables.
    """
    names, variables = sorted(name for name in state if not name.startswith(PREFIX)), model.optimizer.variables
    if [state[name].shape for name in names] != [tuple(variable.shape) for variable in variables]:
        raise ArtefactError(
            "the checkpoint's optimizer has other variables than that of this version of the program",
            "train again with a new --run-id, or resume the run with the version that started it",
        )
    for name, variable in zip(names, variables, strict=True):
        variable.assign(state[name])
    restore_training_weights(model, state)
