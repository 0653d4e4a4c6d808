"""Warnings about a training that cannot learn what its config asks for, or whose result cannot be judged.

`warn_of_plan` checks a plan before it trains, `warn_of_result` the lines of `metrics.jsonl` after it has trained. Every
warning names the keys that mend it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.training.optim.accumulation import UpdateGroups
from transfercli.training.optim.schedules import PLATEAU, build_schedule, check_warmup
from transfercli.training.phases import Phase
from transfercli.training.progress import Line, Plan

FEW_IMAGES = 10  # with fewer, one image changes the accuracy of a split by more than a tenth
CLEAR_FALL = 0.01  # fall of the validation loss in the last epoch, as a fraction: more epochs may lower it further
DIVERGED = 10.0  # a training loss this many times its lowest, and that of guessing, has diverged


def warn_of_plan(plan: Plan, batch_size: int, images: Mapping[str, int], reporter: Reporter) -> None:
    """Warn of a plan whose schedule, warm-up, accumulation or splits cannot do what they are for.

    images: number of images in each split, by its name. Raises `ConfigError` if the warm-up is longer than the whole
    training.
    """
    groups = UpdateGroups(images["train"], batch_size, plan.training.optimizer.accumulate)
    phases = {number: phase for number, phase in enumerate(plan.phases, start=1) if phase.kind == "train"}
    if phases:
        check_warmup(plan.training)
        for text in (*_accumulation(groups), *_warmup(plan, phases), *_schedule(plan, phases, groups)):
            reporter.warning(text)
    for text in _few_images(images):
        reporter.warning(text)


def _accumulation(groups: UpdateGroups) -> Iterator[str]:
    if groups.accumulate > groups.batches:
        yield (
            f"training.optimizer.accumulate is {groups.accumulate}, but an epoch has"
            f" {groups.batches} batch{'es' * (groups.batches != 1)}: every epoch is a single update of"
            f" {counted(groups.images, 'image')}; lower accumulate or data.batch_size"
        )


def _warmup(plan: Plan, phases: Mapping[int, Phase]) -> Iterator[str]:
    warmup = plan.training.schedule.warmup_epochs
    short = {number: phase for number, phase in phases.items() if warmup and warmup >= phase.schedule_epochs}
    if short:
        shortest = min(phase.schedule_epochs for phase in short.values())
        listed = ", ".join(
            f"phase {number} ({counted(phase.schedule_epochs, 'epoch')})" for number, phase in short.items()
        )
        yield (
            f"training.schedule.warmup_epochs is {warmup:g}, which takes all of {listed}: the learning rate is reached"
            f" at the last update only; set warmup_epochs below {shortest}, or raise training.epochs"
        )


def _schedule(plan: Plan, phases: Mapping[int, Phase], groups: UpdateGroups) -> Iterator[str]:
    """Yield a warning if the learning rate after the warm-up is the same in all updates of every phase."""
    config = plan.training.schedule
    if config.name in ("constant", PLATEAU):
        return
    for phase in phases.values():
        total = phase.schedule_epochs * groups.updates
        schedule = build_schedule(config, phase.learning_rate, phase.schedule_epochs, groups.updates)
        first = min(round(config.warmup_epochs * groups.updates), total - 1)
        if float(schedule(first)) != float(schedule(total - 1)):
            return
    longest = max(phase.schedule_epochs for phase in phases.values())
    if config.name == "step" and config.step_epochs + config.warmup_epochs >= longest:
        mend = f"set training.schedule.step_epochs ({config.step_epochs:g}) below {longest}, or raise training.epochs"
    else:
        mend = "raise training.epochs, or lower data.batch_size or training.optimizer.accumulate"
    yield (
        f"the learning rate never changes by the schedule {config.name}: its phases are too short"
        f" (at most {counted(longest, 'epoch')} of {counted(groups.updates, 'update')}); {mend}"
    )


def _few_images(images: Mapping[str, int]) -> Iterator[str]:
    few = {split: count for split, count in images.items() if 0 < count < FEW_IMAGES}
    effects = {
        "train": "nothing general can be learnt from so few",
        "validation": "the best epoch is chosen by chance",
        "test": "evaluate measures chance",
    }
    keys = [f"data.{split}" for split in few if split != "train"]
    if few:
        counts = ", ".join(f"{count} {'training' if split == 'train' else split}" for split, count in few.items())
        raised = f", raise {' and '.join(keys)}" * bool(keys)
        yield (
            f"there are only {counts} images: {'; '.join(effects[split] for split in few)}"
            f" (add images{raised}, or use data.folds)"
        )


def warn_of_result(
    plan: Plan, lines: Sequence[Line], best_epoch: int, guess: tuple[float, str], reporter: Reporter
) -> None:
    """Warn of a finished training that diverged, learnt nothing, or is worse than guessing.

    lines: of `metrics.jsonl`. guess: log loss of guessing, and its name, as `Objective.guessing` returns them.
    """
    trained = [line for line in lines if plan.phases[line["phase"] - 1].kind == "train"]
    best = next(line for line in lines if line["epoch"] == best_epoch)
    for text in (*_worse_than_guessing(best, trained, *guess), *_diverged(trained, guess[0], best_epoch)):
        reporter.warning(text)
        return
    if len(trained) > 1 and len({(line["phase"], line["val_loss"]) for line in trained}) == len(
        {line["phase"] for line in trained}
    ):
        reporter.warning(
            f"the validation loss was {trained[0]['val_loss']:.4g} after every epoch: the weights hardly changed;"
            " raise training.optimizer.learning_rate"
        )


def still_improving(plan: Plan, lines: Sequence[Line]) -> bool:
    """Return True if the last epoch, one of gradients, has a validation loss clearly below all others of its phase."""
    last = lines[-1]
    if plan.phases[last["phase"] - 1].kind != "train":
        return False
    earlier = [line["val_loss"] for line in lines[:-1] if line["phase"] == last["phase"]]
    return bool(earlier) and last["val_loss"] < (1 - CLEAR_FALL) * min(earlier)


def _worse_than_guessing(best: Line, trained: Sequence[Line], guessing: float, name: str) -> Iterator[str]:
    if best["val_loss"] <= guessing:
        return
    last = trained[-1] if trained else best
    if last["loss"] > guessing:
        falls = len(trained) > 1 and last["loss"] < trained[0]["loss"] < DIVERGED * guessing
        mend = "raise training.epochs" if falls else "lower training.optimizer.learning_rate"
    else:
        mend = "set training.early_stopping or training.regularization, or check the labels of the validation images"
    accuracy = f", at a validation accuracy of {best['val_accuracy']:.4f}" if "val_accuracy" in best else ""
    yield (
        f"the best validation loss, {best['val_loss']:.4g} in epoch {best['epoch']}, is worse than that of guessing"
        f" ({guessing:.2f}, {name}){accuracy}: {mend}"
    )


def _diverged(trained: Sequence[Line], guessing: float, best_epoch: int) -> Iterator[str]:
    if not trained:
        return
    lowest, last = min(trained, key=lambda line: line["loss"]), trained[-1]
    if last["loss"] > DIVERGED * max(lowest["loss"], guessing):
        yield (
            f"the training diverged: its loss rose from {lowest['loss']:.4g} in epoch {lowest['epoch']} to"
            f" {last['loss']:.4g} in epoch {last['epoch']}, and epoch {best_epoch} is kept; lower"
            " training.optimizer.learning_rate, or set training.optimizer.clip_norm or training.schedule.warmup_epochs"
        )
