"""Strategy `auto`: a solved head chosen by cross-validation, then fine-tuning if it fits into the budget and gains.

Solved heads cost one pass over the images, and share it. Fine-tuning starts from the chosen head, from the deepest
stage that the number of images and the budget allow, and ends with the best interpolation between the weights of both
(WiSE-FT, Wortsman et al. 2022). It is kept only if it lowers the loss of the validation images by more than two
standard errors of that difference; else the head is solved again on training and validation images together.

A budget in multiples of the probe counts work, at the speeds below, so that the phases are the same on any machine
under any load; only a budget in seconds counts measured seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from transfercli.text import counted
from transfercli.training.phases import FINE_TUNING_FACTOR, PROBE, REFIT, STAGE_DECAY, Phase

MIN_EPOCHS = 3  # fewer are not worth computing features for
MIN_VALIDATION = 100  # images: on fewer no gain of fine-tuning could be shown
STEP_PASSES = 3.0  # time of a training step, in forward passes of the same layers
SLOWDOWN = 2.0  # time of a forward pass in float32 over one in bfloat16, if bfloat16 is native
ENDING_SOLUTIONS = 4.0  # of a head, one of them cross-validated twice: in the blend, the comparison and the refit
ENDING_VALIDATIONS = 8.0  # passes over the validation images there
SAFETY = 0.8  # fraction of the remaining seconds to plan with, as estimates may be too low
# (images per class, stages): with fewer images per class, train at most that many stages; None for all.
MAX_STAGES: tuple[tuple[float, int | None], ...] = ((10, 1), (100, 2), (500, 3), (float("inf"), None))


@dataclass(frozen=True)
class Measurements:
    """Counts of a training, and times, measured on this machine or at nominal speeds.

    images_per_class: training images per class, on average; images: number of training and validation images;
    validation: of validation images.
    batches: number of batches in one pass over training and validation images.
    batch_seconds: of the base's forward pass, in the precision of features; start_seconds: of the first one, with
    compilation and the check of the precision; compile_seconds: of one compilation.
    shares: stage -> the fraction of a forward pass spent in it and above, from the input to the top.
    slowdown: time of a float32 pass over a pass in the precision of features. solve_seconds: of the probe's solution,
    which is computed again for a blend. budget: seconds, including the probe.
    aligned: the head is aligned with a target of another domain than the labelled images.
    spent: seconds of the budget that are gone, on features and candidates; None if the times are nominal, and so is the
    budget.
    """

    images_per_class: float
    images: int
    validation: int
    batches: int
    batch_seconds: float
    start_seconds: float
    compile_seconds: float
    shares: Mapping[str, float]
    slowdown: float
    solve_seconds: float
    budget: float
    spent: float | None = None
    aligned: bool = False

    @property
    def pass_seconds(self) -> float:
        """Seconds of one pass over all images."""
        return self.batches * self.batch_seconds

    @property
    def probe_seconds(self) -> float:
        """Seconds of a probe: the first batch, one pass, and the solution."""
        return self.start_seconds + self.pass_seconds + self.solve_seconds

    @property
    def remaining(self) -> float:
        """Seconds after the probe to plan with."""
        if self.spent is None:
            return self.budget - self.probe_seconds
        return SAFETY * (self.budget - self.spent - self.solve_seconds)

    def ending_seconds(self, stage: str) -> float:
        """Return the seconds of blend, comparison and refit after training from `stage` upwards."""
        validations = ENDING_VALIDATIONS * self.validation / self.images * self.pass_seconds
        return ENDING_SOLUTIONS * self.solve_seconds + validations * self.shares[stage] * self.slowdown


def epochs_within_budget(measured: Measurements, stage: str) -> int:
    """Return the number of epochs of training from `stage` upwards that fit into the budget, on cached features."""
    share = measured.shares[stage]
    compiling = (STEP_PASSES + 1) * share * measured.compile_seconds  # of the training step and of validation
    features = measured.compile_seconds + (1 - share) * measured.pass_seconds
    remaining = measured.remaining - features - compiling - measured.ending_seconds(stage)
    epoch = measured.pass_seconds * share * measured.slowdown * STEP_PASSES
    return max(0, int(remaining / epoch)) if epoch > 0 else 0


def phases_within_budget(
    measured: Measurements, epochs: int, learning_rate: float, *, refit: bool, head: str = ""
) -> list[Phase]:
    """Return the chosen head's phases, with those that fit into the budget after it, of at most `epochs` epochs each.

    refit: the head may be solved on the validation images too. head: the row of `HEADS` that was chosen.
    """
    probe = replace(PROBE, head=head)
    alone = [replace(REFIT, head=head)] if refit else [probe]
    if measured.aligned or measured.validation < MIN_VALIDATION:
        return alone
    count = next(stages for fewer_than, stages in MAX_STAGES if measured.images_per_class < fewer_than)
    for stage in reversed(list(measured.shares)[::-1][:count]):
        fitting = min(epochs, epochs_within_budget(measured, stage))
        if fitting >= min(MIN_EPOCHS, epochs):
            tuned = Phase(stage, fitting, FINE_TUNING_FACTOR * learning_rate, decay=STAGE_DECAY)
            blend = Phase(stage, fitting, 0.0, "blend", head=head)
            return [probe, tuned, blend, *([replace(blend, kind="refit")] if refit else [])]
    return alone


def explanation(measured: Measurements, phases: list[Phase]) -> str:
    """Return a line that explains the phases by the counts and the budget."""
    if measured.spent is not None:
        cost = f"features and solved heads took {measured.spent:.1f} s of {measured.budget:.1f} s"
    else:
        cost = f"the budget is {measured.budget / measured.probe_seconds:.3g} times the probe's work"
    facts = f"auto: {measured.images_per_class:.0f} images per class, {cost}"
    tuned = next((phase for phase in phases if phase.kind == "train"), None)
    if tuned is None and measured.aligned:
        return f"{facts}: a solved head alone, as no labelled image is of the target, which it is aligned with"
    if tuned is None and measured.validation < MIN_VALIDATION:
        few = f"{counted(measured.validation, 'validation image')} could not show a gain of fine-tuning"
        return f"{facts}: a solved head alone, as {few} (at least {MIN_VALIDATION})"
    if tuned is None:
        return f"{facts}: a solved head alone, as no stage can be trained within the budget (transfer.budget)"
    return f"{facts}: then {counted(tuned.epochs, 'epoch')} of {tuned.unfreeze} and above, then the best blend of both"
