"""From a phase that is set up to a model that is ready to fit, and what its optimizer holds."""

from __future__ import annotations

import keras
import numpy as np

from transfercli.config.schema import TrainingConfig
from transfercli.models.classifier import Classifier
from transfercli.models.freezing import stage_depths
from transfercli.training.optim.ema import PREFIX, restore
from transfercli.training.optim.losses import build_accuracy, build_loss
from transfercli.training.optim.optimizers import build_optimizer, regularize, slow_down
from transfercli.training.optim.schedules import build_schedule
from transfercli.training.phases import Phase, Stage


def compile_stage(stage: Stage, phase: Phase, training: TrainingConfig, classifier: Classifier) -> None:
    """Penalties, optimizer, schedule, loss and accuracy, for the variables that train in this phase."""
    model, units, soft = stage.model, stage.model.output.shape[-1], stage.batches.soft
    regularize(model, training.regularization)
    updates = -(-len(stage.batches) // training.optimizer.accumulate)
    schedule = build_schedule(training.schedule, phase.learning_rate, phase.epochs, updates)
    model.compile(
        build_optimizer(training.optimizer, schedule),
        loss=build_loss(units, training.regularization.label_smoothing, training.loss, soft=soft),
        metrics=[build_accuracy(units, soft=soft)],
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)
    if phase.decay != 1:
        slow_down(model.optimizer, [phase.decay**n for n in stage_depths(classifier, model.trainable_variables)])


def optimizer_tensors(model: keras.Model) -> dict[str, np.ndarray]:
    """The optimizer's variables, by names that sort in their order."""
    variables = model.optimizer.variables
    return {f"{i:05d}/{v.name}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}


def restore_optimizer(model: keras.Model, state: dict[str, np.ndarray]) -> None:
    """The inverse, for a model compiled for the same phase; with the weights that an average goes on from."""
    names = sorted(name for name in state if not name.startswith(PREFIX))
    for name, variable in zip(names, model.optimizer.variables, strict=True):
        variable.assign(state[name])
    restore(model, state)
