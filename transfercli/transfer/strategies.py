"""The table of strategies: from what a config says to the phases that train, in order.

A row is a pure function; it needs neither Keras nor data. Learning rates of later phases are fractions of the
optimizer's, because weights that already know something must move less than a head that knows nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ConfigError
from transfercli.training.phases import DECAY, FINE_TUNING, PROBE, Phase, Unfreeze
from transfercli.transfer.auto import Measured, phases_within


@dataclass(frozen=True)
class Request:
    """What a strategy is given.

    stages: of the base, from the input to the top. solvable: the head is linear, new, and on a base that knows
    something: a probe can be solved for, and later phases start from it. measured: for auto.
    """

    epochs: int
    learning_rate: float
    stages: tuple[str, ...]
    unfreeze: Unfreeze | None = None
    solvable: bool = False
    pretrained: bool = True
    measured: Measured | None = None


def share_out(epochs: int, weights: list[float]) -> list[int]:
    """Split `epochs` in proportion to `weights`, by largest remainder; with too few epochs the last parts get them.

    >>> share_out(20, [1, 2])
    [7, 13]
    >>> share_out(1, [1, 2])
    [0, 1]
    """
    if epochs < len(weights):
        return [0] * (len(weights) - epochs) + [1] * epochs
    spare = epochs - len(weights)  # every part gets one
    exact = [spare * weight / sum(weights) for weight in weights]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for index in by_remainder[: spare - sum(shares)]:
        shares[index] += 1
    return [1 + share for share in shares]


def _after_the_head(request: Request, steps: list[tuple[Unfreeze, float, float]]) -> list[Phase]:
    """Phases from (unfreeze, weight of its share of epochs, fraction of the learning rate).

    The first is the head's own: a solvable one is solved for, and the others share all epochs.
    """
    if request.solvable:
        return [PROBE, *_phases(request, steps[1:])]
    return _phases(request, steps)


def _phases(request: Request, steps: list[tuple[Unfreeze, float, float]]) -> list[Phase]:
    shares = share_out(request.epochs, [weight for _, weight, _ in steps])
    return [
        Phase(unfreeze, share, request.learning_rate * fraction)
        for (unfreeze, _, fraction), share in zip(steps, shares, strict=True)
        if share
    ]


def linear_probe(request: Request) -> list[Phase]:
    """A linear head on a frozen base, solved for; trained where there is nothing to solve on."""
    return [PROBE] if request.solvable else feature_extraction(request)


def feature_extraction(request: Request) -> list[Phase]:
    """A head on a frozen base, trained by gradients."""
    return [Phase("none", request.epochs, request.learning_rate)]


def partial(request: Request) -> list[Phase]:
    """The head first, then the base from `unfreeze` upwards with it."""
    unfreeze = request.unfreeze if request.unfreeze is not None else request.stages[-1]
    if unfreeze in ("none", 0):
        return feature_extraction(request)
    return _after_the_head(request, [("none", 1, 1.0), (unfreeze, 2, FINE_TUNING)])


def gradual(request: Request) -> list[Phase]:
    """The head, then stage by stage from the top; within a phase each stage is slower than the one above."""
    steps: list[tuple[Unfreeze, float, float]] = [("none", 2, 1.0)]
    steps += [(stage, 1, FINE_TUNING) for stage in reversed(request.stages)]
    return [
        replace(phase, decay=DECAY) if phase.unfreeze != "none" else phase for phase in _after_the_head(request, steps)
    ]


def full(request: Request) -> list[Phase]:
    """The head first, then everything: LP-FT, which keeps pretrained features whole (Kumar et al. 2022)."""
    return _after_the_head(request, [("none", 1, 1.0), ("all", 2, FINE_TUNING)])


def scratch(request: Request) -> list[Phase]:
    """Everything from the start, at the full learning rate."""
    return [Phase("all", request.epochs, request.learning_rate)]


def auto(request: Request) -> list[Phase]:
    """A probe, then what the data and the budget allow; from scratch, or partly, where no probe can be solved."""
    if not request.solvable:
        return partial(request) if request.pretrained else scratch(request)
    assert request.measured is not None, "auto measures first"
    return phases_within(request.measured, request.epochs, request.learning_rate)


STRATEGIES: dict[str, Callable[[Request], list[Phase]]] = {
    "linear_probe": linear_probe,
    "feature_extraction": feature_extraction,
    "partial": partial,
    "gradual": gradual,
    "full": full,
    "scratch": scratch,
    "auto": auto,
}


def needs_measuring(config: ExperimentConfig) -> bool:
    """Whether the phases of a config follow from what things take on this machine."""
    return config.transfer.strategy == "auto" and _solvable(config)


def _solvable(config: ExperimentConfig) -> bool:
    head = config.model.head
    return config.model.weights != "none" and not head.hidden and head.init == "new"


def phases_of(config: ExperimentConfig, stages: tuple[str, ...], measured: Measured | None = None) -> list[Phase]:
    """The phases that a config asks for; raises `ConfigError` where it asks for none.

    stages: of its base. measured: where `needs_measuring`.
    """
    transfer, training = config.transfer, config.training
    rate = training.optimizer.learning_rate
    if transfer.phases:
        return [Phase(phase.unfreeze, phase.epochs, phase.learning_rate or rate) for phase in transfer.phases]
    if transfer.strategy is None:
        raise ConfigError("transfer.strategy: is not resolved", "name a strategy, or give phases")
    solvable, pretrained = _solvable(config), config.model.weights != "none"
    request = Request(training.epochs, rate, stages, transfer.unfreeze, solvable, pretrained, measured)
    return STRATEGIES[transfer.strategy](request)
