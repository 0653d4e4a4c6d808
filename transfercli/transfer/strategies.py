"""Table of strategies: each row returns the phases of a training, in order.

A row is a pure function, without Keras or data. Later phases train at a fraction of the optimizer's learning rate:
pretrained weights must change less than a new head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from transfercli.config.schema import ExperimentConfig, HeadConfig
from transfercli.config.types import REGRESSION
from transfercli.errors import ConfigError
from transfercli.training.phases import FINE_TUNING_FACTOR, PROBE, REFIT, STAGE_DECAY, Lora, Phase, Unfreeze
from transfercli.transfer.auto import Measurements, phases_within_budget


@dataclass(frozen=True)
class Request:
    """Arguments of a strategy.

    epochs, learning_rate: of the config. stages: of the base, from the input to the top.
    unfreeze: for partial and lora, the lowest part of the base that trains; lora: for lora.
    solvable: the head is new and linear, on a base with pretrained weights, so a probe can be solved for it, and later
    phases start from the probe. refit: solve the head on training and validation images together in the end.
    measured, head: for auto, the counts, and the row of `HEADS` that was chosen.
    """

    epochs: int
    learning_rate: float
    stages: tuple[str, ...]
    unfreeze: Unfreeze | None = None
    solvable: bool = False
    refit: bool = False
    pretrained: bool = True
    measured: Measurements | None = None
    lora: Lora | None = None
    head: str = ""


def share_out(epochs: int, weights: list[float]) -> list[int]:
    """Split `epochs` in proportion to `weights`, by largest remainder; if too few, the last parts get one each.

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
    """Return phases from steps of (unfreeze, weight of its share of epochs, fraction of the learning rate).

    The first step trains the head alone: if the request is solvable, a probe replaces it, and the others share all
    epochs.
    """
    if request.solvable:
        return [PROBE, *_phases(request, steps[1:])]
    return _phases(request, steps)


def _phases(request: Request, steps: list[tuple[Unfreeze, float, float]]) -> list[Phase]:
    """Return one phase for each step that gets an epoch."""
    shares = share_out(request.epochs, [weight for _, weight, _ in steps])
    return [
        Phase(unfreeze, share, request.learning_rate * fraction)
        for (unfreeze, _, fraction), share in zip(steps, shares, strict=True)
        if share
    ]


def linear_probe(request: Request) -> list[Phase]:
    """Solve for a linear head on a frozen base; train it if the request is not solvable."""
    if not request.solvable:
        return feature_extraction(request)
    return [REFIT] if request.refit else [PROBE]


def multilayer_probe(request: Request) -> list[Phase]:
    """Solve for a linear head on the features of several layers of a frozen base; train it if that is not possible."""
    return linear_probe(request)


def feature_extraction(request: Request) -> list[Phase]:
    """Train a head on a frozen base by gradients."""
    return [Phase("none", request.epochs, request.learning_rate)]


def partial(request: Request) -> list[Phase]:
    """Train the head first, then the base from `unfreeze` upwards with it."""
    unfreeze = request.unfreeze if request.unfreeze is not None else request.stages[-1]
    if unfreeze in ("none", 0):
        return feature_extraction(request)
    return _after_the_head(request, [("none", 1, 1.0), (unfreeze, 2, FINE_TUNING_FACTOR)])


def gradual(request: Request) -> list[Phase]:
    """Train the head, then one more stage per phase, from the top; each stage learns slower than the one above it."""
    steps: list[tuple[Unfreeze, float, float]] = [("none", 2, 1.0)]
    steps += [(stage, 1, FINE_TUNING_FACTOR) for stage in reversed(request.stages)]
    return [
        replace(phase, decay=STAGE_DECAY) if phase.unfreeze != "none" else phase
        for phase in _after_the_head(request, steps)
    ]


def full(request: Request) -> list[Phase]:
    """Train the head first, then everything: LP-FT, which distorts pretrained features less (Kumar et al. 2022)."""
    return _after_the_head(request, [("none", 1, 1.0), ("all", 2, FINE_TUNING_FACTOR)])


def lora(request: Request) -> list[Phase]:
    """Train the head first, then low-rank changes of the base's kernels with it, at the full rate (Hu et al. 2022)."""
    unfreeze = request.unfreeze if request.unfreeze is not None else "all"
    if unfreeze in ("none", 0):
        return feature_extraction(request)
    return [
        replace(phase, lora=request.lora) if phase.unfreeze == unfreeze else phase
        for phase in _after_the_head(request, [("none", 1, 1.0), (unfreeze, 2, 1.0)])
    ]


def scratch(request: Request) -> list[Phase]:
    """Train everything from the start, at the full learning rate."""
    return [Phase("all", request.epochs, request.learning_rate)]


def auto(request: Request) -> list[Phase]:
    """Return the chosen head and the phases that fit into the budget.

    If no probe can be solved for, return the phases of `partial`, or of `scratch` without pretrained weights.
    """
    if not request.solvable:
        return partial(request) if request.pretrained else scratch(request)
    assert request.measured is not None, "auto needs measurements"
    return phases_within_budget(
        request.measured, request.epochs, request.learning_rate, refit=request.refit, head=request.head
    )


STRATEGIES: dict[str, Callable[[Request], list[Phase]]] = {
    "linear_probe": linear_probe,
    "multilayer_probe": multilayer_probe,
    "feature_extraction": feature_extraction,
    "partial": partial,
    "gradual": gradual,
    "full": full,
    "lora": lora,
    "scratch": scratch,
    "auto": auto,
}


REFITTED = ("linear_probe", "multilayer_probe", "auto")  # strategies whose head may be solved at the end


def needs_measuring(config: ExperimentConfig) -> bool:
    """Return True if the phases depend on the images, and with a budget in seconds on times measured here."""
    return config.transfer.strategy == "auto" and is_solvable(config)


def chooses_normalisation(config: ExperimentConfig, head: HeadConfig) -> bool:
    """Return True if cross-validation chooses the normalisation of the features that a probe's head reads.

    Several layers always have one; of a single layer it is left to strategies that end with a head on a frozen base.

    head: as the model is built with it, so that its taps are known.
    """
    transfer = config.transfer
    if config.task == REGRESSION or head.normalisation is not None or transfer.phases or not is_solvable(config):
        return False
    probes = transfer.strategy in ("linear_probe", "multilayer_probe", "auto")
    return probes or (bool(head.taps) and transfer.strategy not in ("feature_extraction", "scratch"))


def is_solvable(config: ExperimentConfig) -> bool:
    """Return True if the head is new and linear, on a base with pretrained weights."""
    head = config.model.head
    return config.model.weights != "none" and not head.hidden and head.init == "new"


def refits(config: ExperimentConfig) -> bool:
    """Return True if the head of a config is solved again on training and validation images together.

    With `data.folds`, the run measures its fold, so the default is not to learn from it. Raises `ConfigError` if the
    config sets `training.refit: true` and has no solved head.
    """
    solved = config.transfer.strategy in REFITTED and is_solvable(config) and config.task != REGRESSION
    if config.training.refit and not solved:
        raise ConfigError(
            f"training.refit: true needs a head that is solved at the end, and transfer.strategy is"
            f" {config.transfer.strategy or 'null'}{'' if is_solvable(config) else ' without a new linear head'}",
            f"use one of {', '.join(REFITTED)}, with a new head without hidden layers on pretrained weights; or leave"
            " training.refit out",
        )
    if config.training.refit is None:
        return solved and not config.data.folds
    return config.training.refit


def phases_of(
    config: ExperimentConfig, stages: tuple[str, ...], measured: Measurements | None = None, head: str = ""
) -> list[Phase]:
    """Return the phases of a config. Raises `ConfigError` if it has neither a strategy nor phases.

    stages: of its base. measured, head: if `needs_measuring`, as in `Request`.
    """
    transfer, training = config.transfer, config.training
    rate = training.optimizer.learning_rate
    if transfer.phases:
        return [
            Phase(phase.unfreeze, phase.epochs, phase.learning_rate or rate, decay=phase.decay)
            for phase in transfer.phases
        ]
    if transfer.strategy is None:
        raise ConfigError("transfer.strategy: is not resolved", "name a strategy, or give phases")
    solvable, pretrained = is_solvable(config), config.model.weights != "none"
    kinds = transfer.lora.layers
    low_rank = Lora(transfer.lora.rank, transfer.lora.alpha, None if kinds is None else tuple(kinds))
    request = Request(
        training.epochs,
        rate,
        stages,
        unfreeze=transfer.unfreeze,
        solvable=solvable,
        refit=refits(config),
        pretrained=pretrained,
        measured=measured,
        lora=low_rank,
        head=head,
    )
    return STRATEGIES[transfer.strategy](request)
