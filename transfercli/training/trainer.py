"""Train a classifier phase by phase; an epoch is the atom.

Every epoch is a function of (weights and optimizer state before it, data, seed, its number): the data order and all
random layers are keyed by seed and epoch. So a run that goes on from an epoch's checkpoint ends with the bits of a
run that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from transfercli.config.schema import TrainingConfig
from transfercli.data.batches import Batches
from transfercli.errors import ConfigError, no_room
from transfercli.events import Events, counted
from transfercli.models.classifier import Classifier, depths, freeze_below
from transfercli.models.forward import computing_in, forward
from transfercli.models.tensors import assign_tensors, named_variables, read_tensors
from transfercli.training.averaging import PREFIX, TrainingWeights, restore
from transfercli.training.backend import pipeline
from transfercli.training.batchnorm import fit_momentum, momenta_of
from transfercli.training.checkpoints import Checkpoint
from transfercli.training.frozen import never_changing
from transfercli.training.losses import build_accuracy, build_loss
from transfercli.training.optimizers import build_optimizer, regularize, slow_down
from transfercli.training.phases import Phase
from transfercli.training.room import no_memory
from transfercli.training.schedules import build_schedule
from transfercli.training.stage import Stage, Stages
from transfercli.training.validation import validation_metrics

Line = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a training does. precision: of its steps; batchnorm_trains: BatchNorm learns its statistics."""

    phases: tuple[Phase, ...]
    training: TrainingConfig
    seed: int
    precision: str = "float32"
    batchnorm_trains: bool = False

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases if phase.kind == "train")


@dataclass
class Progress:
    """The trainer's counters after an epoch; epochs and phases count from 1, `waited` epochs brought no gain."""

    phase: int = 1
    epoch: int = 0
    in_phase: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    waited: int = 0
    phase_best: float | None = None
    line: Line = field(default_factory=dict)


Keep = Callable[[Progress, Checkpoint, bool], None]


class Trainer:
    """One training of `classifier`, judged on validation images with `targets` after every epoch.

    stages: sets a phase up, once its layers are frozen.
    keep: called after every epoch with the counters, the checkpoint and whether it is the best so far; then `validated`
        holds the epoch's float32 logits of the validation images.
    """

    def __init__(
        self, classifier: Classifier, stages: Stages, targets: np.ndarray, plan: Plan, events: Events, keep: Keep
    ) -> None:
        self.classifier, self.stages, self.targets = classifier, stages, targets
        self.plan, self.events, self.keep = plan, events, keep
        self.progress = Progress()
        self.validated = np.empty((0, 0), "float32")
        self._stage: Stage | None = None
        self._best: dict[str, np.ndarray] | None = None
        self._still: dict[str, np.ndarray] | None = None
        self._rows: Any = None
        self._weights = TrainingWeights()
        self._momenta = momenta_of(classifier.base)

    def resume(self, last: Checkpoint, best: Checkpoint) -> None:
        """Go on after the epoch of `last`."""
        assign_tensors(self.classifier, last.model)
        self.progress = Progress(**last.progress)
        self._best = best.model
        if self._phase_is_over():
            self._next_phase()
        else:
            self.begin_phase()
            self._assign_optimizer(last.state)

    def run(self) -> Progress:
        """Train what is left of the plan. Raises `ConfigError` where the loss stops being a number."""
        if self._stage is None and self.progress.phase <= len(self.plan.phases):
            self.begin_phase()
        while self.progress.phase <= len(self.plan.phases):
            self._step()
            if self._phase_is_over():
                self._next_phase()
        return self.progress

    # -- phases

    @property
    def _phase(self) -> Phase:
        return self.plan.phases[self.progress.phase - 1]

    def _phase_is_over(self) -> bool:
        stopping = self.plan.training.early_stopping
        solved = self._phase.kind != "train"
        stopped = stopping and self.progress.waited >= stopping.patience
        return solved or self.progress.in_phase >= self._phase.epochs or bool(stopped)

    def _next_phase(self) -> None:
        if self._phase.kind == "train" and self.progress.in_phase < self._phase.epochs:
            waited = counted(self.progress.waited, "epoch")
            self.events.info(f"phase {self.progress.phase} stopped early: no gain for {waited}")
        self.progress.phase += 1
        self.progress.in_phase, self.progress.waited, self.progress.phase_best = 0, 0, None
        if self.progress.phase > len(self.plan.phases):
            return
        blends = self._phase.kind == "blend"  # with the best of what was trained: epoch 0, the probe, is its other end
        if self._best and (self.progress.best_epoch if blends else self.plan.training.early_stopping):
            assign_tensors(self.classifier, self._best)
        self.begin_phase()

    def begin_phase(self) -> Stage:
        """Freeze, cut and compile what the phase trains."""
        phase, training = self._phase, self.plan.training
        self._weights = TrainingWeights()
        freeze_below(self.classifier, phase.unfreeze)
        self._stage = stage = self.stages(phase)
        if stage.solve is not None:
            return stage
        self._rows = pipeline(stage.batches)
        if self.plan.batchnorm_trains:
            fit_momentum(self._momenta, len(stage.batches), phase.epochs)
        model, units = stage.model, stage.model.output.shape[-1]
        regularize(model, training.regularization)
        updates = -(-len(stage.batches) // training.optimizer.accumulate)
        schedule = build_schedule(training.schedule, phase.learning_rate, phase.epochs, updates)
        soft = stage.batches.soft
        model.compile(
            build_optimizer(training.optimizer, schedule),
            loss=build_loss(units, training.regularization.label_smoothing, training.loss, soft=soft),
            metrics=[build_accuracy(units, soft=soft)],
            jit_compile=keras.backend.backend() == "jax",
        )
        model.optimizer.build(model.trainable_variables)
        if phase.decay != 1:
            slow_down(model.optimizer, [phase.decay**n for n in depths(self.classifier, model.trainable_variables)])
        trained = sum(math.prod(v.shape) for v in model.trainable_variables)
        self.events.info(
            f"phase {self.progress.phase} of {len(self.plan.phases)}: unfreeze {phase.unfreeze},"
            f" {counted(phase.epochs, 'epoch')}, learning rate {phase.learning_rate:g},"
            f" {trained:,} of {self.classifier.model.count_params():,} parameters train"
        )
        return stage

    # -- epochs

    @property
    def stage(self) -> Stage:
        """The phase that is going on, as it was set up."""
        return self._stage or self.begin_phase()

    def _step(self) -> None:
        """One epoch of gradients, or a solution: trained, judged, counted and kept."""
        progress, stage, started = self.progress, self.stage, time.perf_counter()
        epoch = progress.epoch + 1 if progress.line or stage.solve is None else 0
        fitted = self._fit(epoch) if stage.solve is None else self._solve(stage.solve)
        fit_seconds = time.perf_counter() - started
        judged, model = self._validate(stage), self._tensors()
        line: Line = {"phase": progress.phase, "epoch": epoch, **fitted, **judged}
        _check_finite(line)
        line["learning_rate"] = 0.0 if stage.solve else float(_value(stage.model.optimizer.learning_rate))
        line["seconds"] = round(time.perf_counter() - started, 3)
        line["images_per_second"] = round(len(stage.batches.targets) / fit_seconds, 1)
        line["val_recall"] = line.pop("val_recall")  # what is not in the contract stands last
        is_best = self._count(line)
        if is_best:
            self._best = model
        state = self._optimizer_tensors() | self._weights.state
        self.keep(progress, Checkpoint(model, state, asdict(progress)), is_best)
        self.events.epoch(line, self.plan.epochs)

    def _fit(self, epoch: int) -> dict[str, float]:
        model, batches = self.stage.model, self.stage.batches
        restore(model, self._weights.state)
        reseed(self.classifier.model, (self.plan.seed, epoch))
        batches.set_epoch(epoch)

        def tell(step: int, logs: Any) -> None:
            self.events.progress(f"epoch {epoch}", step + 1, len(batches), "steps")

        told = keras.callbacks.LambdaCallback(on_train_batch_end=tell)
        try:
            with computing_in(self.plan.precision, model):
                trained = model.fit(self._rows, epochs=1, shuffle=False, verbose=0, callbacks=[told, self._weights])
        except Exception as error:
            if no_room(error):
                raise no_memory(f"in epoch {epoch}", batches.batch_size, partial(_first, model, batches)) from error
            raise
        return {name: float(trained.history[name][0]) for name in ("loss", "accuracy")}

    def _solve(self, solve: Callable[[], None]) -> dict[str, float]:
        """Put a solution into the model; its log loss and accuracy on the training images."""
        solve()
        stage = self.stage
        logits = forward(stage.model, stage.batches.source, stage.batches.batch_size, self.events, "measure")
        found = validation_metrics(logits, stage.batches.targets, self.classifier.labels)
        return {"loss": found["val_loss"], "accuracy": found["val_accuracy"]}

    def _validate(self, stage: Stage) -> dict[str, Any]:
        """Log loss, accuracy and recalls, without regularisation or smoothing, by float32 steps on the rows."""
        self.validated = forward(stage.model, stage.validation, stage.batches.batch_size, self.events, "validate")
        return validation_metrics(self.validated, self.targets, self.classifier.labels)

    def _tensors(self) -> dict[str, np.ndarray]:
        """Every weight by name; those that no phase changes are copied once."""
        names = never_changing(self.classifier, self.plan)
        if self._still is None:
            self._still = read_tensors(self.classifier, names)
        return self._still | read_tensors(self.classifier, named_variables(self.classifier).keys() - names)

    def _count(self, line: Line) -> bool:
        """Update the counters with an epoch's line; whether it is the best epoch so far."""
        progress, stopping = self.progress, self.plan.training.early_stopping
        monitor = stopping.monitor if stopping else "val_loss"
        sign = 1.0 if monitor.endswith("accuracy") else -1.0
        value = sign * line[monitor]
        progress.epoch, progress.in_phase, progress.line = line["epoch"], progress.in_phase + 1, line
        if progress.phase_best is None or value > progress.phase_best:
            progress.phase_best, progress.waited = value, 0
        else:
            progress.waited += 1
        if progress.best_value is not None and value <= progress.best_value:
            return False
        progress.best_value, progress.best_epoch = value, line["epoch"]
        return True

    # -- the optimizer's state

    def _optimizer_tensors(self) -> dict[str, np.ndarray]:
        if self.stage.solve:
            return {}
        variables = self.stage.model.optimizer.variables
        return {f"{i:05d}/{v.name}": _value(v) for i, v in enumerate(variables)}

    def _assign_optimizer(self, state: dict[str, np.ndarray]) -> None:
        names = sorted(name for name in state if not name.startswith(PREFIX))
        for name, variable in zip(names, self.stage.model.optimizer.variables, strict=True):
            variable.assign(state[name])
        restore(self.stage.model, state)


def _first(model: keras.Model, batches: Batches, size: int) -> None:
    """A training step on the first `size` rows of a batch."""
    model.train_on_batch(*(part[:size] for part in batches[0]))


def _check_finite(line: Line) -> None:
    for name, kind in (("loss", "training"), ("val_loss", "validation")):  # the last update alone may spoil the second
        if not math.isfinite(line[name]):
            raise ConfigError(
                f"the {kind} loss became {line[name]} in epoch {line['epoch']}",
                "lower training.optimizer.learning_rate, or add a warm-up; the epochs before are kept",
            )


def _value(variable: Any) -> np.ndarray:
    value: np.ndarray = keras.ops.convert_to_numpy(variable)
    return value


def reseed(model: keras.Model, key: tuple[int, ...]) -> None:
    """Set every random layer's generator to a state that follows from `key` alone."""
    seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
    for number, variable in enumerate(seeds):
        state = np.random.SeedSequence([*key, number]).generate_state(2, "uint32")
        variable.assign(state.astype(str(variable.dtype)))
