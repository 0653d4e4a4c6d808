"""`auto`: what to do with the data at hand, from how many images there are and what this machine takes for them.

A probe first, since it costs one pass of the images. Then the deepest part of the base that so many images can teach
and that the budget lets train for a few epochs; then the best point on the line between the two (WiSE-FT, Wortsman et
al. 2022). What wins on the validation images is kept, so each step can only help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transfercli.text import counted
from transfercli.training.phases import DECAY, FINE_TUNING, PROBE, Phase

LEAST_EPOCHS = 3  # fewer would not be worth the cut
STEP = 3.0  # a training step's time, in forward passes of the same layers
SLOWDOWN = 2.0  # of a forward pass in float32 against one in bfloat16, where the processor has it
SAFETY = 0.8  # of what is left of the budget, planned with; the rest is for what was estimated too low
# Fewer images of each class than the first number: at most so many stages are trained (None: all).
DEPTHS: tuple[tuple[float, int | None], ...] = ((10, 1), (100, 2), (500, 3), (float("inf"), None))


@dataclass(frozen=True)
class Measured:
    """What was counted and timed before anything is trained.

    images: of training and validation; images_per_class: training images, on average.
    batches: steps that one pass of the images takes; batch_seconds: of the whole base's forward pass, in the precision
    of features; start_seconds: of its first one, with compilation and check; compile_seconds: of one compilation.
    shares: stage -> the part of a forward pass that is in it and above, from the input to the top.
    slowdown: of float32 steps against the precision of features. budget: seconds, the probe's included.
    """

    images_per_class: float
    batches: int
    batch_seconds: float
    start_seconds: float
    compile_seconds: float
    shares: Mapping[str, float]
    slowdown: float
    budget: float

    @property
    def pass_seconds(self) -> float:
        return self.batches * self.batch_seconds

    @property
    def probe_seconds(self) -> float:
        return self.start_seconds + self.pass_seconds


def epochs_within(measured: Measured, stage: str) -> int:
    """Epochs of training from `stage` upwards that fit into the budget, behind a cut below it."""
    share = measured.shares[stage]
    compiling = (STEP + 1) * share * measured.compile_seconds  # of the training step, and of judging
    features = measured.compile_seconds + (1 - share) * measured.pass_seconds
    left = SAFETY * (measured.budget - measured.probe_seconds) - features - compiling
    epoch = measured.pass_seconds * share * measured.slowdown * STEP
    return max(0, int(left / epoch)) if epoch > 0 else 0


def phases_within(measured: Measured, epochs: int, learning_rate: float) -> list[Phase]:
    """The probe, and the phases that its budget allows beside it, of at most `epochs` epochs."""
    most = next(depth for fewer_than, depth in DEPTHS if measured.images_per_class < fewer_than)
    for stage in reversed(list(measured.shares)[::-1][:most]):
        fitting = min(epochs, epochs_within(measured, stage))
        if fitting >= min(LEAST_EPOCHS, epochs):
            tuned = Phase(stage, fitting, FINE_TUNING * learning_rate, decay=DECAY)
            return [PROBE, tuned, Phase(stage, fitting, 0.0, "blend")]
    return [PROBE]


def why(measured: Measured, phases: list[Phase]) -> str:
    """One line for a person: what was found, and what follows."""
    found = (
        f"auto: {measured.images_per_class:.0f} images a class, a probe takes {measured.probe_seconds:.1f} s"
        f" of {measured.budget:.1f} s"
    )
    tuned = next((phase for phase in phases if phase.kind == "train"), None)
    if tuned is None:
        return f"{found}: a probe alone, as no stage could be trained in the rest (transfer.budget)"
    return f"{found}: then {counted(tuned.epochs, 'epoch')} of {tuned.unfreeze} and above, and the best blend of both"
