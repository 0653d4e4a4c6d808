"""Parameter transfer: tensors with the same name and shape are copied, and each result is recorded with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from transfercli.errors import ArtefactError
from transfercli.models.bases import BASES
from transfercli.models.classifier import Classifier
from transfercli.models.normalization import finalise_classifier
from transfercli.models.tensor_names import named_variables, with_stable_numbers
from transfercli.models.weights.foreign.layouts import resampled

Tensors = dict[str, np.ndarray]
HeadInit = Literal["new", "keep", "extend"]


@dataclass(frozen=True)
class TensorResult:
    """Result for one tensor. action: copied, fresh (random weights kept) or unused (only the donor has it)."""

    tensor: str
    action: str
    reason: str


@dataclass(frozen=True)
class Transplant:
    """Report of a parameter transfer, tensor by tensor."""

    lines: tuple[TensorResult, ...]

    def count(self, action: str) -> int:
        """Return the number of tensors with this action."""
        return sum(line.action == action for line in self.lines)

    @property
    def fresh_layers(self) -> tuple[str, ...]:
        """Base layers with a tensor that was not copied."""
        names = (line.tensor for line in self.lines if line.action == "fresh")
        return tuple(dict.fromkeys(name.split("/")[1] for name in names if name.startswith("base/")))

    def as_json(self) -> list[dict[str, str]]:
        return [asdict(line) for line in self.lines]

    def summary(self) -> str:
        """Return the counts as text for a person."""
        return (
            f"{self.count('copied')} tensors copied, {self.count('fresh')} fresh,"
            f" {self.count('unused')} of the source unused"
        )


NOT_REQUESTED = "not to be copied (model.weights.until, model.head.init)"
OUTPUT_KERNEL = "head/logits/kernel"
POSITIONS = "base/positions/embeddings"  # of a transformer's patches [patches, d], row by row
HEAD_OUTPUT = (OUTPUT_KERNEL, "head/logits/bias")


def transplant(
    classifier: Classifier,
    donor: Tensors,
    *,
    until: str | None = None,
    head: HeadInit = "new",
    donor_labels: tuple[str, ...] = (),
    donor_image_size: tuple[int, int] | None = None,
) -> Transplant:
    """Copy the tensors of `donor` (name -> array) whose name and shape match into the classifier.

    until: the last stage that is copied; None copies all. head: `new` leaves the head fresh, `keep` and `extend` copy
    it. The output layer is copied class by class, by label: classes may be reordered, fewer or more.
    Output weights of new classes are zero (as in BiT, Kolesnikov et al. 2020): with random ones, the large features of
    a base give confident errors at first, which a short training hardly corrects (benchmarks/RESULTS.md).
    donor_image_size: (height, width) of the donor's images; positions of patches are resampled from their grid. None
    takes the grid for a square.
    Raises `ArtefactError` if no tensor of the base matches, or positions of patches cannot be resampled.
    """
    fresh_layers = _layers_above(classifier, until)
    lines = []
    variables = named_variables(classifier)
    donor = with_stable_numbers(donor, variables.keys())
    donor, resampling = _with_positions(donor, classifier, donor_image_size)
    for name, variable in variables.items():
        part, layer, _ = name.split("/", 2)
        if layer in fresh_layers or (part == "head" and head == "new"):
            if name == OUTPUT_KERNEL:
                variable.assign(np.zeros(variable.shape, "float32"))
            lines.append(TensorResult(name, "fresh", NOT_REQUESTED))
            continue
        value, reason = _matching(name, np.asarray(variable), donor.get(name), donor_labels, classifier.labels)
        if value is None:
            lines.append(TensorResult(name, "fresh", reason))
        else:
            variable.assign(value.astype("float32"))
            lines.append(TensorResult(name, "copied", resampling if resampling and name == POSITIONS else reason))
    finalise_classifier(classifier)
    lines += [
        TensorResult(name, "unused", "the model has no such tensor") for name in sorted(donor.keys() - variables.keys())
    ]
    report = Transplant(tuple(lines))
    if not any(line.action == "copied" and line.tensor.startswith("base/") for line in lines):
        raise ArtefactError(
            f"model.weights: no tensor of the source fits the base {classifier.name}",
            "use the base the weights were trained with, or model.base: {run: RUN} for the architecture of that run",
        )
    return report


def _with_positions(donor: Tensors, classifier: Classifier, image_size: tuple[int, int] | None) -> tuple[Tensors, str]:
    """Return the donor with positions for the classifier's grid of patches, and the reason; "" if nothing changes.

    Raises `ArtefactError` if the grid of the donor's positions is not known.
    """
    positions, row = donor.get(POSITIONS), BASES[classifier.name]
    after = row.grid(tuple(classifier.base.input.shape[1:3]))
    if positions is None or after is None or positions.ndim != 2:
        return donor, ""
    count = len(positions)
    before = row.grid(image_size) if image_size else (math.isqrt(count), math.isqrt(count))
    if before == after or (image_size is None and count == math.prod(after)):
        return donor, ""
    if before is None or math.prod(before) != count:
        raise ArtefactError(
            f"model.weights: the source has positions of {count} patches, and their rows and columns are not known;"
            f" {classifier.name} has {after[0]} x {after[1]} patches in an image of this size",
            "set data.image_size to that of the source",
        )
    fitted = resampled(positions.reshape(*before, -1), after)
    reason = f"resampled from {before[0]} x {before[1]} to {after[0]} x {after[1]} patches"
    return {**donor, POSITIONS: fitted}, reason


def with_sources(report: Transplant, sources: Mapping[str, tuple[str, ...]], unused: Mapping[str, str]) -> Transplant:
    """Return the report of a file of another library, with its own names.

    sources: tensor -> the names in the file that it was made of; unused: name in the file -> reason.
    """
    lines = [
        replace(line, reason=f"from {' and '.join(sources[line.tensor])}")
        if line.action == "copied" and line.tensor in sources
        else line
        for line in report.lines
    ]
    return Transplant((*lines, *(TensorResult(name, "unused", reason) for name, reason in sorted(unused.items()))))


def _layers_above(classifier: Classifier, until: str | None) -> set[str]:
    """Return the names of the base's layers above the stage `until`. Raises `ArtefactError` for an unknown stage."""
    if until is None:
        return set()
    stages = classifier.stages
    if until not in stages:
        raise ArtefactError(
            f"model.weights.until: {classifier.name} has no stage {until!r}", f"its stages are {', '.join(stages)}"
        )
    order = list(stages)
    return {layer for stage in order[order.index(until) + 1 :] for layer in stages[stage]}


def _matching(
    name: str, fresh: np.ndarray, value: np.ndarray | None, old: tuple[str, ...], new: tuple[str, ...]
) -> tuple[np.ndarray | None, str]:
    """Return (value to copy, or None to leave it fresh; reason) for the tensor `name`; old, new: labels."""
    if value is None:
        return None, "the source has no such tensor"
    if (
        name.startswith("head/logits/")
        and old != new
        and value.shape[-1:] == (len(old),)
        and fresh.shape[-1] == len(new)
    ):
        return _output_by_label(value, fresh, old, new)
    if value.shape != fresh.shape:
        return None, f"shape {list(value.shape)} does not fit {list(fresh.shape)}"
    return value, "same name and shape"


def _output_by_label(
    value: np.ndarray, fresh: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]
) -> tuple[np.ndarray | None, str]:
    """Return the output layer's kernel [d, C] or bias [C], with the weights of known labels at their new indices."""
    if value.shape[:-1] != fresh.shape[:-1]:
        return None, f"shape {list(value.shape)} does not fit {list(fresh.shape)}"
    merged = np.zeros_like(fresh)
    known = [label for label in new if label in old]
    merged[..., [new.index(label) for label in known]] = value[..., [old.index(label) for label in known]]
    return merged, f"weights of {len(known)} known labels kept, {len(new) - len(known)} new"
