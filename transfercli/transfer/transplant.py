"""Parameter transfer: copy what matches by name and shape, leave the rest fresh, and say which and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from transfercli.errors import ArtefactError
from transfercli.models.classifier import Classifier
from transfercli.models.tensor_names import named_variables

Tensors = dict[str, np.ndarray]
HeadInit = Literal["new", "keep", "extend"]


@dataclass(frozen=True)
class Line:
    """What became of one tensor. action: copied, fresh (kept its random start) or unused (only the donor has it)."""

    tensor: str
    action: str
    reason: str


@dataclass(frozen=True)
class Transplant:
    """The report of a parameter transfer, tensor by tensor in name order."""

    lines: tuple[Line, ...]

    def count(self, action: str) -> int:
        return sum(line.action == action for line in self.lines)

    @property
    def fresh_layers(self) -> tuple[str, ...]:
        """Base layers with a tensor that was not copied."""
        names = (line.tensor for line in self.lines if line.action == "fresh")
        return tuple(dict.fromkeys(name.split("/")[1] for name in names if name.startswith("base/")))

    def as_json(self) -> list[dict[str, str]]:
        return [asdict(line) for line in self.lines]

    def summary(self) -> str:
        return (
            f"{self.count('copied')} tensors copied, {self.count('fresh')} fresh,"
            f" {self.count('unused')} of the source unused"
        )


WANTED_FRESH = "asked to start fresh"
OUTPUT_KERNEL = "head/logits/kernel"


def transplant(
    classifier: Classifier,
    donor: Tensors,
    *,
    until: str | None = None,
    head: HeadInit = "new",
    donor_labels: tuple[str, ...] = (),
) -> Transplant:
    """Copy `donor` (name -> array) into the classifier where name and shape agree.

    until: the last stage that is copied; None copies all. head: `new` leaves the head fresh, `keep` copies it,
    `extend` copies it too; the output layer's rows go by label, so classes may be reordered, fewer or more.
    Output rows that start fresh start at zero (as in BiT, Kolesnikov et al. 2020): on the large features of a base
    random rows open with confident errors that a short training spends itself on (benchmarks/RESULTS.md).
    Raises `ArtefactError` where nothing of the base fits.
    """
    fresh_layers = _above(classifier, until)
    lines = []
    variables = named_variables(classifier)
    for name, variable in variables.items():
        part, layer, _ = name.split("/", 2)
        if layer in fresh_layers or (part == "head" and head == "new"):
            if name == OUTPUT_KERNEL:
                variable.assign(np.zeros(variable.shape, "float32"))
            lines.append(Line(name, "fresh", WANTED_FRESH))
            continue
        value, reason = _matching(name, np.asarray(variable), donor.get(name), donor_labels, classifier.labels)
        if value is None:
            lines.append(Line(name, "fresh", reason))
        else:
            variable.assign(value.astype("float32"))
            lines.append(Line(name, "copied", reason))
    lines += [Line(name, "unused", "the model has no such tensor") for name in sorted(donor.keys() - variables.keys())]
    report = Transplant(tuple(lines))
    if not any(line.action == "copied" and line.tensor.startswith("base/") for line in lines):
        raise ArtefactError(
            f"model.weights: no tensor of the source fits the base {classifier.name}",
            "use the base the weights were trained with, or model.base: {run: RUN} for the architecture of that run",
        )
    return report


def _above(classifier: Classifier, until: str | None) -> set[str]:
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
    """What the tensor `name` takes from the source, and why; None leaves it `fresh`."""
    if value is None:
        return None, "the source has no such tensor"
    if name.startswith("head/logits/") and old != new and value.shape[-1] == len(old) and fresh.shape[-1] == len(new):
        return _rows_by_label(value, fresh, old, new)
    if value.shape != fresh.shape:
        return None, f"shape {list(value.shape)} does not fit {list(fresh.shape)}"
    return value, "same name and shape"


def _rows_by_label(
    value: np.ndarray, fresh: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]
) -> tuple[np.ndarray | None, str]:
    """The output layer's kernel [d, C] or bias [C] with the rows of known labels moved to where they now stand."""
    if value.shape[:-1] != fresh.shape[:-1]:
        return None, f"shape {list(value.shape)} does not fit {list(fresh.shape)}"
    merged = np.zeros_like(fresh)
    known = [label for label in new if label in old]
    merged[..., [new.index(label) for label in known]] = value[..., [old.index(label) for label in known]]
    return merged, f"rows of {len(known)} known labels kept, {len(new) - len(known)} new"
