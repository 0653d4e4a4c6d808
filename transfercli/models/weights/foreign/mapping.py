"""Mapping of a recognised file's tensors to the weights of a base. All weights of the base are required."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transfercli.errors import ArtefactError
from transfercli.models.weights.foreign.layouts import DIMENSIONS, LAYOUTS, Array, Target
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.foreign.rules import Rule, targets
from transfercli.text import clipped

COMBINE = {"times": np.multiply, "plus": np.add}


@dataclass(frozen=True)
class Mapped:
    """Weights of a base, `base/LAYER/WEIGHT`, from a file of another library.

    head: kernel [features, classes] and bias [classes] of the file's classification head, if it has one.
    sources: weight -> names of the tensors in the file that it was made of. unused: name in the file -> reason.
    """

    tensors: dict[str, Array]
    head: tuple[Array, Array] | None
    sources: dict[str, tuple[str, ...]]
    unused: dict[str, str]


def map_tensors(
    tensors: Mapping[str, Array], recognised: Recognised, base: str, weights: Mapping[str, Target]
) -> Mapped:
    """Return the weights of a base from the tensors of a file.

    base: its name, for messages. weights: every weight of the base, `base/LAYER/WEIGHT`, and its shape.
    Raises `ArtefactError` if a weight of the base is missing in the file, or a tensor has another shape.
    """
    scheme, prefix = recognised.scheme, recognised.prefix
    mapped: dict[str, Array] = {}
    sources: dict[str, tuple[str, ...]] = {}
    later: list[tuple[Rule, str, str, Array]] = []
    unused: dict[str, str] = {}
    for name, value in sorted(tensors.items()):
        inner = name.removeprefix(prefix)
        found = [] if not name.startswith(prefix) else list(targets(scheme.rules, inner))
        used = False
        for rule, target in found:
            key = f"base/{target}"
            if key not in weights:
                continue
            used = True
            if rule.combine == "is":
                mapped[key] = _laid_out(name, value, rule, weights[key], base)
                sources[key] = (name,)
            else:
                later.append((rule, key, name, value))
        if not used:
            unused[name] = _reason(inner if name.startswith(prefix) else "", recognised)
    for target, values in scheme.members[base].constants.items():
        key = f"base/{target}"
        mapped[key] = np.asarray(values, "float32").reshape(weights[key].shape)
    _check_complete(mapped, recognised, base, weights)
    for rule, key, name, value in later:
        mapped[key] = COMBINE[rule.combine](mapped[key], LAYOUTS[rule.layout](value, weights[key]))
        sources[key] = (*sources[key], name)
    return Mapped(mapped, _head(tensors, recognised), sources, unused)


def _laid_out(name: str, value: Array, rule: Rule, target: Target, base: str) -> Array:
    wanted = DIMENSIONS.get(rule.layout)
    laid_out = LAYOUTS[rule.layout](value, target) if wanted in (None, value.ndim) else value
    if laid_out.shape != target.shape:
        raise ArtefactError(
            f"model.weights: {clipped(name)} has the shape {list(value.shape)}, which does not fit {base}:"
            f" laid out as Keras does it is {list(laid_out.shape)}, and the base has {list(target.shape)}",
            "use the file and the base of one network: transfercli weights check FILE names the base",
        )
    return laid_out


def _check_complete(
    mapped: Mapping[str, Array], recognised: Recognised, base: str, weights: Mapping[str, Target]
) -> None:
    missing = sorted(weights.keys() - mapped.keys())
    if missing:
        raise ArtefactError(
            f"model.weights: the file has {len(mapped)} of the {len(weights)} weights of {base}; missing are"
            f" {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}",
            f"its names are {recognised.scheme.title}; fetch the whole file again, or use the base of its network",
        )


def _reason(inner: str, recognised: Recognised) -> str:
    """Return the reason for not using a tensor. inner: its name without the prefix, "" if it has not that prefix."""
    head = recognised.scheme.head
    if not inner:
        return f"not of the network, whose names start with {recognised.prefix!r}"
    if inner.endswith("num_batches_tracked"):
        return "counts batches of the training"
    if head and inner.startswith(f"{head}."):
        return "of the classification head"
    for pattern, reason in (recognised.scheme.ignored or {}).items():
        if re.fullmatch(pattern, inner):
            return reason
    return "the base has no such weight"


def _head(tensors: Mapping[str, Array], recognised: Recognised) -> tuple[Array, Array] | None:
    name = f"{recognised.prefix}{recognised.scheme.head}"
    kernel = tensors.get(f"{name}.weight")
    if recognised.scheme.head is None or kernel is None or kernel.ndim != 2:
        return None
    bias = tensors.get(f"{name}.bias")
    return kernel.T, np.zeros(len(kernel), kernel.dtype) if bias is None else bias
