"""Trainer of a classifier, phase by phase; an epoch is the smallest unit that is kept.

Every epoch is a function of (weights and optimizer state before it, data, seed, its number): the data order and all
random layers are seeded by seed and epoch. So a run that continues from an epoch's checkpoint ends with the same
weights, to the bit, as a run that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import keras
import numpy as np

from transfercli.data.batching.batches import Batches
from transfercli.errors import ArtefactError, ConfigError, is_out_of_space
from transfercli.io.bounded import RESTORE_HINT
from transfercli.models.classifier import Classifier
from transfercli.models.forward import computing_in, forward
from transfercli.models.tensor_names import assign_tensors, named_variables, read_tensors
from transfercli.models.trainable.freezing import freeze_below
from transfercli.models.trainable.lora import adapt, assign_separate_tensors, merge, separate_tensors
from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.training.backend import input_pipeline, reading, steps_in_flight
from transfercli.training.checkpoints import Checkpoint
from transfercli.training.compiling import compile_phase, optimizer_tensors, restore_optimizer, update_groups
from transfercli.training.distribution.agreement import from_chief, meet
from transfercli.training.distribution.batches import mean_without_padding, own_batches
from transfercli.training.distribution.processes import processes
from transfercli.training.distribution.weights import share_weights
from transfercli.training.frozen import constant_tensors, layers_of
from transfercli.training.losses_of_steps import LossesOfSteps
from transfercli.training.memory import out_of_memory_error
from transfercli.training.objectives import OBJECTIVES
from transfercli.training.optim.batchnorm import fit_momentum, momenta_of
from transfercli.training.optim.ema import PREFIX as RAW
from transfercli.training.optim.ema import State, assign_average, restore_training_weights
from transfercli.training.optim.schedules import PLATEAU
from transfercli.training.phases import HeldOut, Phase, PhaseSetup, SetUpPhase, Solved
from transfercli.training.precision.loss_check import check_loss
from transfercli.training.progress import Line, Plan, Progress

Keep = Callable[[Progress, Checkpoint, bool], None]
# Keys of an epoch that are not in the contract; they come last.
ADAPTATION = f"{RAW}lora/"  # names in a checkpoint's state
LAST = (
    *("val_mae", "val_r2", "val_map", "val_micro_f1", "val_macro_f1", "val_balanced_accuracy", "val_recall"),
    *("strength", "strengths", "layers"),
    *("val_accuracy_error", "val_loss_error", "cross_validated", "gain", "gain_error"),
)


class Trainer:
    """One training of `classifier`, with metrics of the validation images after every epoch.

    targets: of the validation images, as in `Split`; groups: their groups, as in `Split`.
    set_up_phase: called at the start of every phase, when its layers are frozen.
    keep: called after every epoch with the counters, the checkpoint and a flag, True if the epoch is the best so far.
    precision_checks: comparisons of the first loss with float32, by the number of the phase; those of a run that goes
        on are not made again. precision_checked: called after a new one.
    validated: the predictions that the last epoch is scored by, of the validation images or cross-validated; None
        before the first epoch, also of a run that goes on.
    """

    def __init__(
        self,
        classifier: Classifier,
        set_up_phase: SetUpPhase,
        targets: np.ndarray,
        plan: Plan,
        reporter: Reporter,
        keep: Keep,
        groups: Sequence[str] = (),
    ) -> None:
        self.classifier, self.set_up_phase, self.targets, self.groups = classifier, set_up_phase, targets, groups
        self.plan, self.reporter, self.keep = plan, reporter, keep
        self._objective = OBJECTIVES[classifier.task]
        self.progress = Progress()
        self.validated: HeldOut | None = None
        self.precision_checks: dict[int, dict[str, Any]] = {}
        self.precision_checked: Callable[[], None] = lambda: None
        self._setup: PhaseSetup | None = None
        self._best: dict[str, np.ndarray] | None = None
        self._constant: dict[str, np.ndarray] | None = None
        self._pipeline: Any = None
        self._schedule: Any = None  # of the current phase
        self._training_weights: State = {}
        self._momenta = momenta_of(classifier.base)

    def resume(self, last: Checkpoint, best: Checkpoint) -> None:
        """Continue after the epoch of `last`."""
        assign_tensors(self.classifier, last.model)
        self.progress = Progress(**last.progress)
        self._best = best.model
        if self.progress.is_over(self.plan):
            self._next_phase()
        else:
            model = self.begin_phase().model
            if self._phase.lora:
                _restore_adaptation(self.classifier, last.state)
            restore_optimizer(model, last.state)

    def run(self) -> Progress:
        """Train the rest of the plan. Raises `ConfigError` if the loss becomes NaN or infinite."""
        if self._setup is None and self.progress.phase <= len(self.plan.phases):
            self.begin_phase()
        while self.progress.phase <= len(self.plan.phases):
            self._run_epoch()
            if self.progress.is_over(self.plan):
                self._next_phase()
        return self.progress

    def assign_best(self) -> None:
        """Assign the weights of the best epoch to the classifier."""
        if self._best is not None:
            assign_tensors(self.classifier, self._best)

    # -- phases

    @property
    def _phase(self) -> Phase:
        return self.plan.phases[self.progress.phase - 1]

    def _next_phase(self) -> None:
        if self._phase.kind == "train" and self.progress.in_phase < self._phase.epochs:
            waited = f"no improvement for {counted(self.progress.waited, 'epoch')}"
            reason = "another epoch would exceed transfer.budget" if self.progress.out_of_time else waited
            self.reporter.info(f"phase {self.progress.phase} stopped early: {reason}")
        self.progress.next_phase()
        if self.progress.phase > len(self.plan.phases):
            return
        # A blend uses the best gradient epoch; if the best is epoch 0, the probe (its other end), it uses the last one.
        kind = self._phase.kind
        starts_at_best = self.plan.training.early_stopping or kind == "refit"
        if self._best and (self.progress.best_epoch if kind == "blend" else starts_at_best):
            assign_tensors(self.classifier, self._best)
        self.begin_phase()

    def begin_phase(self) -> PhaseSetup:
        """Freeze layers, set up and compile the current phase."""
        phase = self._phase
        self._training_weights = {}
        self._freeze(phase)
        self._setup = setup = self.set_up_phase(phase)
        number = f"phase {self.progress.phase} of {len(self.plan.phases)}"
        if setup.solve is not None:
            if len(self.plan.phases) > 1:
                self.reporter.info(f"{number}: {phase.kind}, without epochs")
            return setup
        self._pipeline = input_pipeline(setup.batches)
        if self.plan.batchnorm_trains:
            fit_momentum(self._momenta, len(setup.batches), phase.epochs)
        self._schedule = compile_phase(setup, phase, self.plan.training, self.classifier)
        self._check_precision(setup)
        trained = sum(math.prod(v.shape) for v in setup.model.trainable_variables)
        self.reporter.info(
            f"{number}: unfreeze {phase.unfreeze},{self._adaptation(phase)}"
            f" {counted(phase.epochs, 'epoch')}, learning rate {phase.learning_rate:g},"
            f" {trained:,} of {self.classifier.model.count_params():,} parameters train{self._effective_batch(setup)}"
        )
        return setup

    def _check_precision(self, setup: PhaseSetup) -> None:
        """Go on in float32 if the first loss of the phase differs too much from that in float32."""
        phase, plan = self.progress.phase, self.plan
        if not plan.checks_precision or plan.precision == "float32" or phase in self.precision_checks:
            return
        check = check_loss(setup, plan.precision)
        if not check.passed:
            self.plan = replace(plan, precision="float32")
            self.reporter.warning(
                f"phase {phase}: the first loss is {check.loss:.4g} in {plan.precision} and {check.float32:.4g} in"
                f" float32, which is more than {check.limit:.2g} apart: float32 is used"
            )
        self.precision_checks[phase] = check.as_json()
        self.precision_checked()

    def _freeze(self, phase: Phase) -> None:
        """Make the layers of a phase trainable, or with LoRA the factors of its adapted layers, and no others."""
        if phase.lora is None:
            freeze_below(self.classifier, phase.unfreeze)
            merge(self.classifier)
        else:
            names = layers_of(self.classifier, phase)
            adapt(self.classifier, names, phase.lora.rank, phase.lora.alpha, self.plan.seed)

    def _adaptation(self, phase: Phase) -> str:
        """Return the rank and the number of layers of LoRA, in words; "" without it."""
        if phase.lora is None:
            return ""
        return f" LoRA of rank {phase.lora.rank} in {counted(len(layers_of(self.classifier, phase)), 'layer')},"

    def _effective_batch(self, setup: PhaseSetup) -> str:
        """Return the number of images of an update, in words; "" if every batch is an update."""
        groups = update_groups(setup, self.plan.training)
        if groups.accumulate == 1:
            return ""
        return (
            f", {counted(groups.images_per_update, 'image')} per update, {counted(groups.updates, 'update')} per epoch"
        )

    # -- epochs

    @property
    def setup(self) -> PhaseSetup:
        """Set-up of the current phase."""
        return self._setup or self.begin_phase()

    def _run_epoch(self) -> None:
        """Run one epoch, or solve the phase; validate, count and keep the result."""
        progress, setup, started = self.progress, self.setup, time.perf_counter()
        epoch = progress.epoch + 1 if progress.line or setup.solve is None else 0
        fitted, held_out = (self._fit(epoch), None) if setup.solve is None else self._solve(setup.solve)
        fit_seconds = time.perf_counter() - started
        validation, model = self._validate(setup, held_out), self._tensors()
        line: Line = {"phase": progress.phase, "epoch": epoch, **fitted, **validation}
        _check_finite(line)
        line["learning_rate"] = 0.0 if setup.solve else self._last_rate(setup.model.optimizer)
        line["seconds"] = round(time.perf_counter() - started, 3)
        line["images_per_second"] = round(len(setup.batches.targets) / fit_seconds, 1)
        for key in LAST:
            if key in line:
                line[key] = line.pop(key)
        line = from_chief(partial(dict, line))
        decides = self._phase.kind == "refit"
        is_best = progress.count(line, self.plan.monitor, self.plan.min_delta, decides=decides)
        if is_best:
            self._best = model
        self._lower_rate_on_plateau(line["val_loss"])
        limit = self.plan.limit
        progress.out_of_time = from_chief(lambda: limit is not None and not limit.allows(line["seconds"]))
        state = ({} if setup.solve else optimizer_tensors(setup.model)) | self._training_weights
        if self._phase.lora:
            state |= {ADAPTATION + name: value for name, value in separate_tensors(self.classifier).items()}
        self.keep(progress, Checkpoint(model, state, asdict(progress)), is_best)
        meet(self._waiting)
        self.reporter.epoch(line, self.plan.epochs)

    def _waiting(self) -> None:
        self.reporter.progress("waiting for another process", 0, 0, "")

    def _fit(self, epoch: int) -> dict[str, float]:
        """Train one epoch by gradients; return its loss and accuracy on the training images."""
        model, batches = self.setup.model, self.setup.batches
        restore_training_weights(model, self._training_weights)
        reseed(self.classifier.model, (self.plan.seed, epoch))
        batches.set_epoch(epoch)

        before_last = 0.0  # mean loss of all batches but the last

        def report(step: int, loss: float) -> None:
            nonlocal before_last
            if step == len(batches) - 2:
                before_last = loss
            self.reporter.progress(f"epoch {epoch}", step + 1, len(batches), f"steps, loss {loss:.4f}")

        losses = LossesOfSteps(model, report, steps_in_flight())
        try:
            with computing_in(self.plan.precision, model), reading(self._pipeline) as pipeline:
                history = model.fit(pipeline, epochs=1, shuffle=False, verbose=0, callbacks=losses)
        except Exception as error:
            if is_out_of_space(error):
                step = partial(_train_step, model, batches) if processes().count == 1 else None
                raise out_of_memory_error(f"in epoch {epoch}", batches.batch_size, step) from error
            raise
        self._training_weights = assign_average(model)
        means = {name: float(history.history[name][0]) for name in ("loss", "accuracy") if name in history.history}
        return means | {"loss": mean_without_padding(batches, means["loss"], before_last)}

    def _last_rate(self, optimizer: keras.optimizers.Optimizer) -> float:
        """Return the learning rate of the last update."""
        return _number(self._schedule(optimizer.iterations - 1))

    def _lower_rate_on_plateau(self, loss: float) -> None:
        """Lower the learning rate of the next epochs if the schedule is `plateau` and the loss has not fallen."""
        config = self.plan.training.schedule
        if config.name != PLATEAU or self._phase.kind != "train":
            return
        if not self.progress.on_plateau(loss, config.patience):
            return
        reduction = self._schedule.reduction
        reduction.assign(reduction * config.gamma)  # after the last epoch too: the phase may go on later
        if not self.progress.is_over(self.plan):
            self.reporter.info(
                f"no lower validation loss for {counted(config.patience, 'epoch')}:"
                f" the learning rate is multiplied by {config.gamma:g}"
            )

    def _solve(self, solve: Callable[[], Solved]) -> tuple[Line, HeldOut | None]:
        """Solve the phase; return its log loss and accuracy on the training images, with facts, and what scores it."""
        solved = solve()
        share_weights(self.classifier)
        setup = self.setup
        logits = forward(setup.model, setup.batches.source, setup.batches.batch_size, self.reporter, "measure")
        targets = setup.batches.targets
        metrics = self._objective.validation_metrics(logits, targets, self.classifier.labels, targets)
        own = {name: metrics[f"val_{name}"] for name in ("loss", "accuracy") if f"val_{name}" in metrics}
        return own | solved.facts, solved.held_out

    def _validate(self, setup: PhaseSetup, held_out: HeldOut | None) -> dict[str, Any]:
        """Return log loss, accuracy and recalls, in float32, without regularisation.

        held_out: the predictions that they are of; None for those of the validation images by the current weights.
        """
        if held_out is None:
            logits = forward(setup.model, setup.validation, setup.batches.batch_size, self.reporter, "validate")
            held_out = HeldOut(logits, self.targets, self.groups)
        self.validated = held_out
        labels, learnt = self.classifier.labels, setup.batches.targets
        return self._objective.validation_metrics(held_out.logits, held_out.targets, labels, learnt)

    def _tensors(self) -> dict[str, np.ndarray]:
        """Return all weights by name; those that no phase changes are copied once."""
        names = constant_tensors(self.classifier, self.plan)
        if self._constant is None:
            self._constant = read_tensors(self.classifier, names)
        return self._constant | read_tensors(self.classifier, named_variables(self.classifier).keys() - names)


def _restore_adaptation(classifier: Classifier, state: State) -> None:
    """Assign the frozen kernels and the factors in a checkpoint's state to the adapted layers.

    Raises `ArtefactError` if the state is of other layers.
    """
    start = len(ADAPTATION)
    tensors = {name[start:]: value for name, value in state.items() if name.startswith(ADAPTATION)}
    try:
        assign_separate_tensors(classifier, tensors)
    except (KeyError, ValueError) as error:
        raise ArtefactError(f"the checkpoint's state does not fit the adapted layers: {error}", RESTORE_HINT) from None


def _train_step(model: keras.Model, batches: Batches, size: int) -> None:
    """Run a training step on the first `size` rows of a batch."""
    model.train_on_batch(*keras.tree.map_structure(lambda part: part[:size], own_batches(batches)[0]))


def _check_finite(line: Line) -> None:
    """Raise `ConfigError` if a loss is not finite."""
    # After a bad last update of an epoch, only the validation loss is not finite.
    for name, kind in (("loss", "training"), ("val_loss", "validation")):
        if not math.isfinite(line[name]):
            raise ConfigError(
                f"the {kind} loss became {line[name]} in epoch {line['epoch']}",
                "lower training.optimizer.learning_rate, or add a warm-up; earlier epochs are kept",
            )


def _number(variable: Any) -> float:
    return float(keras.ops.convert_to_numpy(variable))


def reseed(model: keras.Model, key: tuple[int, ...]) -> None:
    """Set the generator of every random layer to a state that depends only on `key`."""
    seeds = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
    for number, variable in enumerate(seeds):
        state = np.random.SeedSequence([*key, number]).generate_state(2, "uint32")
        variable.assign(state.astype(str(variable.dtype)))
