"""Starter config for a data set: few keys, each with a comment that gives the reason for its value."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from transfercli.config import registries
from transfercli.config.dump import dump_values, quoted
from transfercli.config.paths import TABLE_SUFFIXES
from transfercli.config.types import NAME
from transfercli.io.addresses import is_remote
from transfercli.text import first_of

SMALL_IMAGE = 48  # pixels; images whose height and width are below it get a small network
LARGE_FROM_SCRATCH = 128  # pixels; largest size proposed for a base whose own size is smaller and which has no weights
FEWEST_PATCHES = 6  # per side: smaller images are enlarged to as many, if the network splits them into patches
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
        settings: further keys of the section `data`, such as the columns of a table.
        several: number of training images, if an image may have several labels; `counts` is per label then.
    """

    data: str
    counts: dict[str, int]
    size: tuple[int, int] | None = None
    splits: tuple[str, ...] = ()
    grey: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    several: int | None = None

    @property
    def images(self) -> int:
        """Number of training images."""
        return sum(self.counts.values()) if self.several is None else self.several

    @property
    def per_class(self) -> float:
        """Mean number of training images per class, or with each label."""
        return sum(self.counts.values()) / max(1, len(self.counts))

    @property
    def nouns(self) -> tuple[str, str]:
        """Word for one class or label in comments, and for more than one."""
        return ("class", "classes") if self.several is None else ("label", "labels")


UNKNOWN = Survey(PLACEHOLDER, {})
DEFAULT_BASE, SMALL_BASE = "resnet50", "small_cnn"


@dataclass(frozen=True)
class ChosenBase:
    """Base of a starter config.

    Attributes:
        name: its row.
        reason: why it was chosen; "" if the user named it.
        weights: `model.weights` with the key path or hub, if the user named the base by a weight file or by a
            repository of the Hugging Face Hub whose weights `imagenet` does not mean.
    """

    name: str
    reason: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_weights(self) -> bool:
        """True if the training starts from published weights."""
        return bool(self.weights) or registries.rows("base")[self.name].has_imagenet


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
        "few images: the base stays frozen, only the head is trained",
    ),
    Plan(
        lambda _, images: images < 1000, "partial", 20, "light",
        "enough images to train the last stage of the base as well",
    ),
    Plan(lambda *_: True, "full", 10, "light", "many images: every layer is trained"),
)  # fmt: skip


def default_base(survey: Survey) -> ChosenBase:
    """Return the base for the images that `survey` describes."""
    if survey.size and max(survey.size) < SMALL_IMAGE:
        return ChosenBase(SMALL_BASE, f"images below {SMALL_IMAGE} pixels: a small network, which needs no weights")
    return ChosenBase(DEFAULT_BASE)


def starter(survey: Survey = UNKNOWN, chosen: ChosenBase | None = None, file: str | None = None) -> str:
    """Return a commented config for the data that `survey` describes; it loads without changes.

    file: the path it will be written to; the experiment is named after it, or after the data if it is None.
    """
    known = bool(survey.counts)
    chosen = chosen or default_base(survey)
    base, row = chosen.name, registries.rows("base")[chosen.name]
    plan = next(p for p in PLANS if p.applies(chosen.has_weights, survey.per_class if known else 100))
    preset, reason = _augmentation(survey, plan) if known else (plan.augmentation, "none, light, medium or strong")
    blocks = [
        _opening(survey, known, file or "THIS_FILE"),
        f"name: {quoted(_name_of_file(file) or _name(survey.data, base))}  # the experiment: the folder under runs/",
        *(["task: multilabel  # an image may have several labels, or none"] if survey.several is not None else []),
        "seed: 0",
        _data(survey, chosen, known),
        f"augmentation: {{preset: {preset}}}  # {reason}",
        _model(survey, chosen, row),
        f"transfer:\n  # {plan.reason}\n  strategy: {plan.strategy}",
        _training(survey, plan),
        _evaluation(survey),
        "export: {formats: [saved_model]}",
    ]
    return "\n".join(blocks) + "\n"


def _opening(survey: Survey, known: bool, file: str) -> str:
    lines = [f"Launch: {shlex.join(['transfercli', 'finetune', file])}"]
    if known:
        counts = survey.counts.values()
        few = min(survey.counts, key=lambda label: survey.counts[label])
        lines.append(
            f"{survey.images} images of {len(survey.counts)} {survey.nouns[1]}: {_listed(list(survey.counts))}"
        )
        spread = f"{min(counts)} ({few!r}) to " if min(counts) < max(counts) else ""
        lines.append(f"{spread}{max(counts)} images per {survey.nouns[0]}")
    elif survey.data != PLACEHOLDER and PurePosixPath(survey.data).suffix.lower() in TABLE_SUFFIXES:
        lines.append("The table could not be read with these keys: correct data.columns or the table, then run")
        lines.append(f"{shlex.join(['transfercli', 'data', 'check', file])}. The other values are guesses.")
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


def _data(survey: Survey, chosen: ChosenBase, known: bool) -> str:
    row = registries.rows("base")[chosen.name]
    size, reason = _image_size(survey, chosen)
    lines = ["data:", f"  train: {quoted(survey.data)}{'' if is_remote(survey.data) else '  # relative to this file'}"]
    is_table = PurePosixPath(survey.data).suffix.lower() in TABLE_SUFFIXES
    lines += dump_values({"data": dict(survey.settings)}).splitlines()[1:] if survey.settings else []
    if "label_separator" in survey.settings:
        lines.append("  # label_separator: the labels of the table look separated by it; correct it if they are not")
    for split in ("validation", "test"):
        if split in survey.splits:
            place = "that the table gives" if is_table else f"of the folder {split}/ inside"
            lines.append(f"  # {split}: the images {place} are used")
        else:
            lines.append(f"  {split}: 0.15  # a fraction of the training images set aside, or the path of a folder")
    if chosen.has_weights and survey.several is None:  # a head is solved for on pretrained features
        lines.append(
            "  # unlabelled: path/to/folder  # more such images without labels; strategies auto, multilayer_probe"
        )
        lines.append(
            "  # related: [path/to/images]  # labelled ones of these classes from elsewhere; the same strategies"
        )
    lines.append(f"  image_size: {size}  # {reason}")
    if row.crop:
        lines.append(
            f"  # resize: crop  # the published network is given the central {row.crop:g} of the shorter side"
            f" ({row.interpolation}); stretch, the default, shows all of an image"
        )
    if survey.grey and not chosen.has_weights:  # published weights need colour images
        lines.append("  channels: 1  # no image has colour")
    batch, reason = _batch(survey.images) if known else (32, "images per training step")
    lines.append(f"  batch_size: {batch}  # {reason}")
    return "\n".join(lines)


def _image_size(survey: Survey, chosen: ChosenBase) -> tuple[int, str]:
    base, row = chosen.name, registries.rows("base")[chosen.name]
    if survey.size is None:
        return row.size, f"pixels; the size that {base} was published with"
    height, width = survey.size
    step = row.patch * max(1, round(SIZE_STEP / row.patch)) if row.patch else SIZE_STEP  # a whole number of patches
    fitting = max(row.minimum, step * max(1, round(max(height, width) / step)))
    least = min(FEWEST_PATCHES * row.patch, row.size) if row.patch else 0
    wanted = max(fitting, least)
    if not chosen.has_weights and row.size < wanted:  # no weights tie the base to its own size
        size = min(wanted, LARGE_FROM_SCRATCH)
        return size, f"pixels; images are about {height}x{width} (height x width); larger is slower, smaller shows less"
    if wanted >= row.size:
        return (
            row.size,
            f"pixels; images are about {height}x{width} (height x width), {base} was published with {row.size}",
        )
    slower = f"{row.size}, the size of {base}, is slower and sometimes more accurate"
    if wanted > fitting:
        sides = f"{wanted // row.patch}x{wanted // row.patch} patches of {row.patch}"
        return wanted, f"pixels; images of about {height}x{width} are enlarged to {sides}; {slower}"
    return wanted, f"pixels; images are about {height}x{width}: {slower}"


def _augmentation(survey: Survey, plan: Plan) -> tuple[str, str]:
    """Return the preset and its reason: for a network from scratch, the fewer images, the stronger.

    Small grey images get none, with any base.
    """
    if survey.grey and survey.size and max(survey.size) < SMALL_IMAGE:
        return "none", "small grey images may be digits or letters, which mirroring would change"
    if plan.strategy != "scratch":
        return plan.augmentation, "none, light, medium or strong"
    if survey.per_class >= MANY_FROM_SCRATCH:
        return "none", f"many images per {survey.nouns[0]}; light, medium and strong are the others"
    preset = "medium" if survey.per_class < FEW_FROM_SCRATCH else "light"
    return preset, f"about {survey.per_class:.0f} images per {survey.nouns[0]}; none, light, medium or strong"


def _batch(images: int) -> tuple[int, str]:
    if images < 320:
        return 16, "few images: small batches, so that an epoch has enough steps"
    if images > 20000:
        return 64, "many images"
    return 32, "images per training step"


def _model(survey: Survey, chosen: ChosenBase, row: Any) -> str:
    output = "softmax  # or sigmoid: one unit, for two classes" if len(survey.counts) == 2 else "softmax"
    output = output if survey.several is None else "sigmoid  # one unit per label"
    return "\n".join(
        [
            "model:",
            f"  base: {chosen.name}" + (f"  # {chosen.reason}" if chosen.reason else ""),
            *_weights(chosen, row),
            "  head:",
            f"    pooling: {row.pooling}",
            "    hidden: []  # units of hidden layers, such as [256]",
            "    dropout: 0.2",
            f"    output: {output}",
        ]
    )


def _evaluation(survey: Survey) -> str:
    metrics, gate = ("accuracy, macro_f1", "accuracy: 0.9") if survey.several is None else ("map, macro_f1", "map: 0.8")
    return f"evaluation:\n  metrics: [{metrics}]\n  gates: {{}}  # {{{gate}}}: evaluate exits 5 below it"


def _weights(chosen: ChosenBase, row: Any) -> list[str]:
    """Return the line of `model.weights` with its licence; for weights on the Hub, also one that pins them."""
    earlier_run = "or {run: RUN} for the base of an earlier run"
    if chosen.weights:
        items = [f"{key}: {quoted(value)}" for key, value in chosen.weights.items()]
        comment = "the file whose names show the base"
        if "hub" in chosen.weights:
            items += [] if "revision" in chosen.weights else ["revision: null"]
            comment = "a commit for revision pins them; their licence is on the repository's page"
        return [f"  weights: {{{', '.join(items)}}}  # {comment}"]
    if not row.has_imagenet:
        return [f"  weights: none  # {earlier_run}"]
    lines = [f"  weights: imagenet  # {_one_line(row.weights_licence)}; {earlier_run}"]
    if row.repository:
        hub = f"{{hub: {quoted(row.repository.repository)}, revision: COMMIT}}"
        lines.append(f"  # weights: {hub}  # the same, pinned: put the commit's name for COMMIT")
    return lines


def _training(survey: Survey, plan: Plan) -> str:
    lines = ["training:", f"  epochs: {plan.epochs}"]
    slower = "  # a tenth of it for layers of the base" if plan.strategy in ("partial", "full") else ""
    lines.append(f"  optimizer: {{name: adam, learning_rate: 1e-3}}{slower}")
    counts = survey.counts.values()
    if survey.several is None and counts and max(counts) >= IMBALANCE * max(1, min(counts)):
        lines.append(
            f"  class_weights: balanced  # the largest class has {IMBALANCE:g} or more times the images of the smallest"
        )
    lines.append("  early_stopping: {monitor: val_loss, patience: 5}")
    return "\n".join(lines)
