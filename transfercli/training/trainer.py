"""Train a classifier phase by phase; an epoch is the atom.

Every epoch is a function of (weights and optimizer state before it, data, seed, its number): the data order and all
random layers are keyed by seed and epoch. So a run that goes on from an epoch's checkpoint ends with the bits of a
run that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import keras
import numpy as np

from transfercli.data.batching.batches import Batches
from transfercli.errors import ConfigError, is_out_of_space
from transfercli.models.classifier import Classifier
from transfercli.models.forward import computing_in, forward, probabilities
from transfercli.models.freezing import freeze_below
from transfercli.models.tensor_names import assign_tensors, named_variables, read_tensors
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.training.backend import pipeline
from transfercli.training.checkpoints import Checkpoint
from transfercli.training.compiling import compile_stage, optimizer_tensors, restore_optimizer
from transfercli.training.frozen import never_changing
from transfercli.training.memory import no_memory
from transfercli.training.optim.batchnorm import fit_momentum, momenta_of
from transfercli.training.optim.ema import TrainingWeights, restore
from transfercli.training.phases import Phase, Stage, Stages
from transfercli.training.progress import Line, Plan, Progress

Keep = Callable[[Progress, Checkpoint, bool], None]


class Trainer:
    """One training of `classifier`, judged on validation images with `targets` after every epoch.

    stages: sets a phase up, once its layers are frozen.
    keep: called after every epoch with the counters, the checkpoint and whether it is the best so far; then `validated`
        holds the epoch's float32 logits of the validation images.
    """

    def __init__(
        self, classifier: Classifier, stages: Stages, targets: np.ndarray, plan: Plan, reporter: Reporter, keep: Keep
    ) -> None:
        self.classifier, self.stages, self.targets = classifier, stages, targets
        self.plan, self.reporter, self.keep = plan, reporter, keep
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
        if self.progress.is_over(self.plan):
            self._next_phase()
        else:
            restore_optimizer(self.begin_phase().model, last.state)

    def run(self) -> Progress:
        """Train what is left of the plan. Raises `ConfigError` where the loss stops being a number."""
        if self._stage is None and self.progress.phase <= len(self.plan.phases):
            self.begin_phase()
        while self.progress.phase <= len(self.plan.phases):
            self._step()
            if self.progress.is_over(self.plan):
                self._next_phase()
        return self.progress

    # -- phases

    @property
    def _phase(self) -> Phase:
        return self.plan.phases[self.progress.phase - 1]

    def _next_phase(self) -> None:
        if self._phase.kind == "train" and self.progress.in_phase < self._phase.epochs:
            waited = counted(self.progress.waited, "epoch")
            self.reporter.info(f"phase {self.progress.phase} stopped early: no gain for {waited}")
        self.progress.next_phase()
        if self.progress.phase > len(self.plan.phases):
            return
        blends = self._phase.kind == "blend"  # with the best of what was trained: epoch 0, the probe, is its other end
        if self._best and (self.progress.best_epoch if blends else self.plan.training.early_stopping):
            assign_tensors(self.classifier, self._best)
        self.begin_phase()

    def begin_phase(self) -> Stage:
        """Freeze, cut and compile what the phase trains."""
        phase = self._phase
        self._weights = TrainingWeights()
        freeze_below(self.classifier, phase.unfreeze)
        self._stage = stage = self.stages(phase)
        if stage.solve is not None:
            return stage
        self._rows = pipeline(stage.batches)
        if self.plan.batchnorm_trains:
            fit_momentum(self._momenta, len(stage.batches), phase.epochs)
        compile_stage(stage, phase, self.plan.training, self.classifier)
        trained = sum(math.prod(v.shape) for v in stage.model.trainable_variables)
        self.reporter.info(
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
        line["learning_rate"] = 0.0 if stage.solve else _number(stage.model.optimizer.learning_rate)
        line["seconds"] = round(time.perf_counter() - started, 3)
        line["images_per_second"] = round(len(stage.batches.targets) / fit_seconds, 1)
        line["val_recall"] = line.pop("val_recall")  # what is not in the contract stands last
        is_best = progress.count(line, self.plan.monitor)
        if is_best:
            self._best = model
        state = ({} if stage.solve else optimizer_tensors(stage.model)) | self._weights.state
        self.keep(progress, Checkpoint(model, state, asdict(progress)), is_best)
        self.reporter.epoch(line, self.plan.epochs)

    def _fit(self, epoch: int) -> dict[str, float]:
        model, batches = self.stage.model, self.stage.batches
        restore(model, self._weights.state)
        reseed(self.classifier.model, (self.plan.seed, epoch))
        batches.set_epoch(epoch)

        def tell(step: int, logs: Any) -> None:
            self.reporter.progress(f"epoch {epoch}", step + 1, len(batches), "steps")

        told = keras.callbacks.LambdaCallback(on_train_batch_end=tell)
        try:
            with computing_in(self.plan.precision, model):
                trained = model.fit(self._rows, epochs=1, shuffle=False, verbose=0, callbacks=[told, self._weights])
        except Exception as error:
            if is_out_of_space(error):
                raise no_memory(f"in epoch {epoch}", batches.batch_size, partial(_first, model, batches)) from error
            raise
        return {name: float(trained.history[name][0]) for name in ("loss", "accuracy")}

    def _solve(self, solve: Callable[[], None]) -> dict[str, float]:
        """Put a solution into the model; its log loss and accuracy on the training images."""
        solve()
        stage = self.stage
        logits = forward(stage.model, stage.batches.source, stage.batches.batch_size, self.reporter, "measure")
        found = validation_metrics(logits, stage.batches.targets, self.classifier.labels)
        return {"loss": found["val_loss"], "accuracy": found["val_accuracy"]}

    def _validate(self, stage: Stage) -> dict[str, Any]:
        """Log loss, accuracy and recalls, without regularisation or smoothing, by float32 steps on the rows."""
        self.validated = forward(stage.model, stage.validation, stage.batches.batch_size, self.reporter, "validate")
        return validation_metrics(self.validated, self.targets, self.classifier.labels)

    def _tensors(self) -> dict[str, np.ndarray]:
        """Every weight by name; those that no phase changes are copied once."""
        names = never_changing(self.classifier, self.plan)
        if self._still is None:
            self._still = read_tensors(self.classifier, names)
        return self._still | read_tensors(self.classifier, named_variables(self.classifier).keys() - names)


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


def _number(variable: Any) -> float:
    return float(keras.ops.convert_to_numpy(variable))


def reseed(model: keras.Model, key: tuple[int, ...]) -> None:
    """Set every random layer's generator to a state that follows from `key` alone."""
    seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
    for number, variable in enumerate(seeds):
        state = np.random.SeedSequence([*key, number]).generate_state(2, "uint32")
        variable.assign(state.astype(str(variable.dtype)))


def validation_metrics(logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Of float logits [N, C] or [N, 1] for targets [N], indices into `labels`.

    `val_loss` is the mean log loss, `val_accuracy` the share that is right, and `val_recall` the same for the images
    of each class by itself: {label: share}, in index order, without classes that have no image here.
    """
    chances = probabilities(logits)
    likelihood = np.maximum(chances[np.arange(len(targets)), targets], np.finfo("float64").tiny)
    right = chances.argmax(axis=1) == targets
    images = np.bincount(targets, minlength=len(labels))
    found = np.bincount(targets[right], minlength=len(labels))
    return {
        "val_loss": float(-np.log(likelihood).mean()),
        "val_accuracy": float(right.mean()),
        "val_recall": {label: round(int(found[i]) / int(images[i]), 4) for i, label in enumerate(labels) if images[i]},
    }
