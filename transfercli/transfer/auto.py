"""Strategy `auto`: phases chosen by the number of images and by measured times, within a budget.

First a probe, which costs one pass over the images. Then fine-tuning from the deepest stage that the number of images
and the budget allow; then the best interpolation between the weights of both (WiSE-FT, Wortsman et al. 2022). The best
epoch on the validation images is kept, so no phase makes the result worse there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transfercli.text import counted
from transfercli.training.phases import FINE_TUNING_FACTOR, PROBE, STAGE_DECAY, Phase

MIN_EPOCHS = 3  # fewer are not worth computing features for
STEP_PASSES = 3.0  # time of a training step, in forward passes of the same layers
SLOWDOWN = 2.0  # time of a forward pass in float32 over one in bfloat16, if bfloat16 is native
SAFETY = 0.8  # fraction of the remaining budget to plan with, as estimates may be too low
# (images per class, stages): with fewer images per class, train at most that many stages; None for all.
MAX_STAGES: tuple[tuple[float, int | None], ...] = ((10, 1), (100, 2), (500, 3), (float("inf"), None))


@dataclass(frozen=True)
class Measurements:
    """Counts and times measured before training.

    images_per_class: training images per class, on average.
    batches: number of batches in one pass over training and validation images.
    batch_seconds: of the base's forward pass, in the precision of features; start_seconds: of the first one, with
    compilation and the check of the precision; compile_seconds: of one compilation.
    shares: stage -> the fraction of a forward pass spent in it and above, from the input to the top.
    slowdown: time of a float32 pass over a pass in the precision of features. solve_seconds: of the probe's solution,
    which is computed again for a blend. budget: seconds, including the probe.
    """

    images_per_class: float
    batches: int
    batch_seconds: float
    start_seconds: float
    compile_seconds: float
    shares: Mapping[str, float]
    slowdown: float
    solve_seconds: float
    budget: float

    @property
    def pass_seconds(self) -> float:
        """Seconds of one pass over all images."""
        return self.batches * self.batch_seconds

    @property
    def probe_seconds(self) -> float:
        """Seconds of a probe: the first batch, one pass, and the solution."""
        return self.start_seconds + self.pass_seconds + self.solve_seconds


def epochs_within_budget(measured: Measurements, stage: str) -> int:
    """Return the number of epochs of training from `stage` upwards that fit into the budget, on cached features."""
    share = measured.shares[stage]
    compiling = (STEP_PASSES + 1) * share * measured.compile_seconds  # of the training step and of validation
    features = measured.compile_seconds + (1 - share) * measured.pass_seconds
    blend = measured.solve_seconds
    remaining = SAFETY * (measured.budget - measured.probe_seconds) - features - compiling - blend
    epoch = measured.pass_seconds * share * measured.slowdown * STEP_PASSES
    return max(0, int(remaining / epoch)) if epoch > 0 else 0


def phases_within_budget(measured: Measurements, epochs: int, learning_rate: float) -> list[Phase]:
    """Return the probe and the phases that fit into the budget after it, of at most `epochs` epochs each."""
    count = next(stages for fewer_than, stages in MAX_STAGES if measured.images_per_class < fewer_than)
    for stage in reversed(list(measured.shares)[::-1][:count]):
        fitting = min(epochs, epochs_within_budget(measured, stage))
        if fitting >= min(MIN_EPOCHS, epochs):
            tuned = Phase(stage, fitting, FINE_TUNING_FACTOR * learning_rate, decay=STAGE_DECAY)
            return [PROBE, tuned, Phase(stage, fitting, 0.0, "blend")]
    return [PROBE]


def explanation(measured: Measurements, phases: list[Phase]) -> str:
    """Return a line that explains the phases by the measurements."""
    facts = (
        f"auto: {measured.images_per_class:.0f} images per class, the probe takes {measured.probe_seconds:.1f} s"
        f" of {measured.budget:.1f} s"
    )
    tuned = next((phase for phase in phases if phase.kind == "train"), None)
    if tuned is None:
        return f"{facts}: a probe alone, as no stage can be trained in the remaining time (transfer.budget)"
    return f"{facts}: then {counted(tuned.epochs, 'epoch')} of {tuned.unfreeze} and above, then the best blend of both"
