"""Weights of merged models: several networks side by side in one, or the mean of the weights of equal ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from transfercli.config.schema import MemberConfig, ModelConfig
from transfercli.models.architecture import Architecture
from transfercli.models.tasks.calibration import Calibration
from transfercli.workflows.resolved_config import architecture, members_of
from transfercli.workflows.stored_run import StoredRun

Tensors = Mapping[str, np.ndarray]
OUTPUT = ("head/logits/kernel", "head/logits/bias")
MEMBER = re.compile(r"(base|head)/member(\d+)_([^/]+)/(.+)")
UNNAMED = re.compile(r"variable(?:_(\d+))?")  # of a weight to which Keras gives no name of its own


def average_config(members: Sequence[StoredRun]) -> ModelConfig:
    """Return the section `model` of an average: that of the first member, with the others as its `members`."""
    first, *others = (member.config.model for member in members)
    networks = [MemberConfig(base=str(model.base), head=model.head) for model in others]
    return first.model_copy(update={"members": networks})


def average_tensors(members: Sequence[StoredRun], model: ModelConfig) -> dict[str, np.ndarray]:
    """Return the weights of an average by name; layers that are the same in the first member's base stand once.

    model: as `average_config` returns it. Each member's logits are calibrated by the weights of its last layer.
    """
    from transfercli.models.average.classifier import build_average
    from transfercli.models.tensor_names import named_variables

    stored = [calibrated(member.read_checkpoint().model, member.calibration) for member in members]
    names = {name for number, tensors in enumerate(stored[1:], start=2) for name in _own(stored[0], tensors, number)}
    shape: Architecture = architecture(
        members[0].config.model_copy(update={"model": model}), members[0].labels, members_of(model, names)
    )
    return {name: _value(name, stored) for name in named_variables(build_average(shape))}


def calibrated(tensors: Tensors, calibration: Calibration) -> Tensors:
    """Return the weights with calibrated logits."""
    if calibration.is_identity:
        return tensors
    kernel, bias = (tensors[name] for name in OUTPUT)
    weights = kernel * calibration.scale, bias * calibration.scale + calibration.offset
    return {**tensors, **{name: value.astype("float32") for name, value in zip(OUTPUT, weights, strict=True)}}


def _own(first: Tensors, tensors: Tensors, number: int) -> list[str]:
    """Return names that a member's weights of its base have in an average, of those that differ from the first's."""
    return [
        f"base/member{number}_{name.partition('/')[2]}"
        for name, value in tensors.items()
        if name.startswith("base/") and not same(value, first.get(name))
    ]


def same(one: np.ndarray, other: np.ndarray | None) -> bool:
    """Return True if two weights have the same values, shape and type."""
    return other is not None and one.dtype == other.dtype and np.array_equal(one, other)


def _value(name: str, stored: Sequence[Tensors]) -> np.ndarray:
    """Return the weight that has a name in an average, of the member that the name says."""
    match = MEMBER.fullmatch(name)
    if match is None:
        return stored[0][name]
    part, number, layer, weight = match.groups()
    tensors, own = stored[int(number) - 1], f"{part}/{layer}/{weight}"
    return tensors[own] if own in tensors else tensors[_unnamed(f"{part}/{layer}/", weight, tensors)]


def _unnamed(layer: str, weight: str, names: Collection[str]) -> str:
    """Return the name of an unnamed weight of a layer: in a run they are numbered over all layers, here within one."""
    numbers = {
        name: int(match[1] or 0)
        for name in names
        if name.startswith(layer) and (match := UNNAMED.fullmatch(name.removeprefix(layer)))
    }
    place = UNNAMED.fullmatch(weight)
    return sorted(numbers, key=numbers.__getitem__)[int(place[1] or 0) if place else 0]


def mean_tensors(stored: Sequence[Tensors]) -> dict[str, np.ndarray]:
    """Return the mean of each weight; weights that are no fractions, such as counts, are those of the first."""
    first = stored[0]
    return {
        name: np.mean([tensors[name] for tensors in stored], axis=0, dtype=np.float64).astype(value.dtype)
        if np.issubdtype(value.dtype, np.floating)
        else value
        for name, value in first.items()
    }
