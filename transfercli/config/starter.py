"""Starter config for a data set: few keys, each with a comment that gives the reason for its value."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from transfercli.config import registries
from transfercli.config.dump import quoted
from transfercli.config.types import NAME
from transfercli.text import first_of

SMALL_IMAGE = 48  # pixels; images whose height and width are below it get a small network
LARGE_FROM_SCRATCH = 128  # pixels; largest size proposed for a base whose own size is smaller and which has no weights
SIZE_STEP = 32  # pixels; proposed image sizes are multiples of it
FEW_FROM_SCRATCH, MANY_FROM_SCRATCH = 200, 2000  # images per class
IMBALANCE = 3.0  # images of the largest class over those of the smallest: from here, weights are balanced
PLACEHOLDER = "path/to/images"


@dataclass(frozen=True)
class Survey:
    """Summary of a data set.

    Attributes:
        data: the value of `data.train`.
        counts: training images per class; empty if unknown.
        size: typical (height, width) in pixels, or None if unknown.
        splits: those of validation and test that the data brings itself.
        grey: True if no image has colour.
    """

    data: str
    counts: dict[str, int]
    size: tuple[int, int] | None = None
    splits: tuple[str, ...] = ()
    grey: bool = False

    @property
    def images(self) -> int:
        """Number of training images."""
        return sum(self.counts.values())

    @property
    def per_class(self) -> float:
        """Mean number of training images per class."""
        return self.images / max(1, len(self.counts))


UNKNOWN = Survey(PLACEHOLDER, {})


@dataclass(frozen=True)
class Plan:
    """Training settings for one kind of data set.

    Attributes:
        applies: gets True if the base has published weights, and the mean number of images per class.
        reason: the comment in the config.
    """

    applies: Callable[[bool, float], bool]
    strategy: str
    epochs: int
    augmentation: str
    reason: str


# The first plan that applies is used.
PLANS = (
    Plan(
        lambda published, _: not published, "scratch", 20, "none",
        "no published weights: every layer is trained; for a base from a run: weights {run: RUN}, feature_extraction",
    ),
    Plan(
        lambda _, images: images < 50, "feature_extraction", 30, "light",
        "few images per class: the base stays frozen, only the head is trained",
    ),
    Plan(
        lambda _, images: images < 1000, "partial", 20, "light",
        "enough images per class to train the last stage of the base as well",
    ),
    Plan(lambda *_: True, "full", 10, "light", "many images per class: every layer is trained"),
)  # fmt: skip


def starter(survey: Survey = UNKNOWN, base: str | None = None, file: str | None = None) -> str:
    """Return a commented config for the data that `survey` describes; it loads without changes.

    file: the path it will be written to; the experiment is named after it, or after the data if it is None.
    """
    known = bool(survey.counts)
    base = base or ("small_cnn" if survey.size and max(survey.size) < SMALL_IMAGE else "resnet50")
    row = registries.rows("base")[base]
    plan = next(p for p in PLANS if p.applies(row.has_imagenet, survey.per_class if known else 100))
    preset, reason = _augmentation(survey, plan) if known else (plan.augmentation, "none, light, medium or strong")
    blocks = [
        _opening(survey, known, file or "THIS_FILE"),
        f"name: {quoted(_name_of_file(file) or _name(survey.data, base))}  # the experiment: the folder under runs/",
        "seed: 0",
        _data(survey, base, known),
        f"augmentation: {{preset: {preset}}}  # {reason}",
        _model(survey, base, row.has_imagenet),
        f"transfer:\n  # {plan.reason}\n  strategy: {plan.strategy}",
        _training(survey, plan),
        "evaluation:\n  metrics: [accuracy, macro_f1]\n  gates: {}  # {accuracy: 0.9}: evaluate exits 5 below it",
        "export: {formats: [saved_model]}",
    ]
    return "\n".join(blocks) + "\n"


def _opening(survey: Survey, known: bool, file: str) -> str:
    lines = [f"Launch: {shlex.join(['transfercli', 'finetune', file])}"]
    if known:
        counts = survey.counts.values()
        few = min(survey.counts, key=lambda label: survey.counts[label])
        lines.append(f"{survey.images} images of {len(survey.counts)} classes: {_listed(list(survey.counts))}")
        lines.append(f"{min(counts)} ({few!r}) to {max(counts)} images per class")
    else:
        lines.append("Put the path of your images under data.train: a folder with one sub-folder a class.")
        lines.append("The values below are guesses for photographs; with --data they are chosen by your images.")
    shown = shlex.join(["transfercli", "config", "show", file])
    lines.append(f"Every key and its default: docs/reference/config.md, or {shown}")
    return "\n".join(f"# {_one_line(line)}" for line in lines)


def _listed(labels: list[str]) -> str:
    return first_of(labels, 10)


def _one_line(text: str) -> str:
    """Replace line breaks and control characters, which a class name may hold, so that a comment stays one line."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _name_of_file(file: str | None) -> str | None:
    """Return the file's name without its ending if it can name an experiment, or None."""
    stem = PurePosixPath(file).stem if file else ""
    return stem if NAME.fullmatch(stem) and not stem.startswith(".") else None


def _name(data: str, base: str) -> str:
    stem = PurePosixPath(data.removeprefix("keras:")).name.partition(".")[0] if data != PLACEHOLDER else "my-images"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "images"
    name = f"{stem[: 63 - len(base)]}-{base}"
    return name if NAME.fullmatch(name) else "my-experiment"


def _data(survey: Survey, base: str, known: bool) -> str:
    size, reason = _image_size(survey, base)
    lines = ["data:", f"  train: {quoted(survey.data)}  # relative to this file"]
    for split in ("validation", "test"):
        if split in survey.splits:
            lines.append(f"  # {split}: the images of the folder {split}/ inside are used")
        else:
            lines.append(f"  {split}: 0.15  # a fraction of the training images set aside, or the path of a folder")
    lines.append(f"  image_size: {size}  # {reason}")
    if survey.grey and not registries.rows("base")[base].has_imagenet:  # published weights need colour images
        lines.append("  channels: 1  # no image has colour")
    batch, reason = _batch(survey.images) if known else (32, "images per training step")
    lines.append(f"  batch_size: {batch}  # {reason}")
    return "\n".join(lines)


def _image_size(survey: Survey, base: str) -> tuple[int, str]:
    row = registries.rows("base")[base]
    if survey.size is None:
        return row.size, f"pixels; the size that {base} was published with"
    height, width = survey.size
    wanted = max(row.minimum, SIZE_STEP * max(1, round(max(height, width) / SIZE_STEP)))
    if not row.has_imagenet and row.size < wanted:  # no weights tie the base to its own size
        size = min(wanted, LARGE_FROM_SCRATCH)
        return size, f"pixels; images are about {height}x{width} (height x width); larger is slower, smaller shows less"
    if wanted >= row.size:
        return (
            row.size,
            f"pixels; images are about {height}x{width} (height x width), {base} was published with {row.size}",
        )
    return (
        wanted,
        f"pixels; images are about {height}x{width}: {row.size}, the size of {base}, would be slower and show no more",
    )


def _augmentation(survey: Survey, plan: Plan) -> tuple[str, str]:
    """Return the preset and its reason: the fewer images a network learns all its weights from, the stronger."""
    if plan.strategy != "scratch":
        return plan.augmentation, "none, light, medium or strong"
    if survey.grey and survey.size and max(survey.size) < SMALL_IMAGE:
        return "none", "small grey images may be digits or letters, which mirroring would change"
    if survey.per_class >= MANY_FROM_SCRATCH:
        return "none", "many images per class; light, medium and strong are the others"
    preset = "medium" if survey.per_class < FEW_FROM_SCRATCH else "light"
    return preset, f"about {survey.per_class:.0f} images per class; none, light, medium or strong"


def _batch(images: int) -> tuple[int, str]:
    if images < 320:
        return 16, "few images: small batches, so that an epoch has enough steps"
    if images > 20000:
        return 64, "many images"
    return 32, "images per training step"


def _model(survey: Survey, base: str, published: bool) -> str:
    output = "softmax  # or sigmoid: one unit, for two classes" if len(survey.counts) == 2 else "softmax"
    weights = "imagenet" if published else "none"
    return "\n".join(
        [
            "model:",
            f"  base: {base}",
            f"  weights: {weights}  # or {{run: RUN}} for the base of an earlier run",
            "  head:",
            "    pooling: avg",
            "    hidden: []  # units of hidden layers, such as [256]",
            "    dropout: 0.2",
            f"    output: {output}",
        ]
    )


def _training(survey: Survey, plan: Plan) -> str:
    lines = ["training:", f"  epochs: {plan.epochs}"]
    slower = "  # a tenth of it for layers of the base" if plan.strategy in ("partial", "full") else ""
    lines.append(f"  optimizer: {{name: adam, learning_rate: 1e-3}}{slower}")
    counts = survey.counts.values()
    if counts and max(counts) >= IMBALANCE * max(1, min(counts)):
        lines.append(
            f"  class_weights: balanced  # the largest class has {IMBALANCE:g} or more times the images of the smallest"
        )
    lines.append("  early_stopping: {monitor: val_loss, patience: 5}")
    return "\n".join(lines)
