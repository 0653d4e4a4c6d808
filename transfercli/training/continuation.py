"""More epochs after the end of a training: its phases, and the checkpoint that the further epochs start from.

If the optimizer is the same, its last phase goes on with the weights of the last epoch and the optimizer's state. The
random draws and the schedules `constant`, `step`, `inverse_sqrt` and `plateau` go on too, so the result is that of a
training which had as many epochs from the start. `cosine` and `exponential` end with their phase, so they begin again
(a warm restart, Loshchilov & Hutter 2017), as any schedule whose settings are changed. Another optimizer has no state
of the earlier epochs: it trains a new phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from transfercli.config.schema import ScheduleConfig, TrainingConfig
from transfercli.training.checkpoints import Checkpoint
from transfercli.training.optim.schedules import ENDING, PLATEAU, REDUCTION
from transfercli.training.phases import Phase
from transfercli.training.progress import Line, Progress, monitored

State = dict[str, np.ndarray]


@dataclass(frozen=True)
class Continuation:
    """Plan of further epochs. phases: those of the earlier training and of the further epochs.

    keeps_optimizer: the optimizer's state goes on, and with it the last phase; otherwise a new phase is the last.
    restarts_schedule: the schedule of the learning rate begins again.
    """

    phases: tuple[Phase, ...]
    keeps_optimizer: bool
    restarts_schedule: bool


def continued(
    phases: Sequence[Phase], last: Checkpoint, before: TrainingConfig, after: TrainingConfig, rate: float, epochs: int
) -> Continuation:
    """Return the plan of `epochs` more epochs like those of the last phase of `phases` that trains by gradients.

    last: checkpoint of the last epoch. before, after: settings of the earlier and the further epochs. rate: peak
    learning rate of the further epochs.
    """
    trained = next(phase for phase in reversed(phases) if phase.kind == "train")
    earlier = tuple(phases[:-1])
    keeps = phases[-1].kind == "train" and bool(last.state) and same_state(before, after)
    if not keeps:
        ended = replace(phases[-1], epochs=last.progress["in_phase"]) if phases[-1].kind == "train" else phases[-1]
        return Continuation(
            (*earlier, ended, replace(trained, epochs=epochs, learning_rate=rate, schedule_start=0)),
            keeps_optimizer=False,
            restarts_schedule=True,
        )
    done = last.progress["in_phase"]
    restarts = after.schedule.name in ENDING or after.schedule != before.schedule or rate != trained.learning_rate
    start = done if restarts else trained.schedule_start
    longer = replace(trained, epochs=done + epochs, learning_rate=rate, schedule_start=start)
    return Continuation((*earlier, longer), keeps_optimizer=True, restarts_schedule=restarts)


def same_state(before: TrainingConfig, after: TrainingConfig) -> bool:
    """Return True if the optimizers of two settings have the same variables, and these mean the same."""
    ours, theirs = before.optimizer, after.optimizer
    return (ours.name, ours.accumulate, ours.ema is None) == (theirs.name, theirs.accumulate, theirs.ema is None) and (
        ours.name != "sgd" or (ours.momentum == 0) == (theirs.momentum == 0)
    )


def continued_checkpoint(
    last: Checkpoint, best_line: Line, plan: Continuation, before: TrainingConfig, after: TrainingConfig
) -> Checkpoint:
    """Return the checkpoint of the last epoch as the further epochs resume from it.

    Epochs without improvement are counted anew. If another metric is monitored, the best epoch so far is compared by
    that one. best_line: the line of the best epoch.
    """
    progress = Progress(**last.progress)
    progress.waited, progress.out_of_time = 0, False
    if plan.restarts_schedule:
        progress.level = 0
    monitor = after.monitor
    if monitor != before.monitor:
        progress.best_value = monitored(best_line, monitor) if monitor in best_line else None
        progress.phase_best = None
    state = _with_reduction(last.state, after.schedule, plan.restarts_schedule) if plan.keeps_optimizer else {}
    return Checkpoint(last.model, state, asdict(progress))


def _with_reduction(state: State, schedule: ScheduleConfig, restarts: bool) -> State:
    """Return the optimizer's state with the factor of `plateau` if that is the schedule; 1 if it begins again."""
    stored = {name: value for name, value in state.items() if name.endswith(f"/{REDUCTION}")}
    others = {name: value for name, value in state.items() if name not in stored}
    if schedule.name != PLATEAU:
        return others
    if stored and not restarts:
        return state
    number = sum(name[:1].isdigit() for name in others)
    return others | {f"{number:05d}/{REDUCTION}": np.ones((), "float32")}
