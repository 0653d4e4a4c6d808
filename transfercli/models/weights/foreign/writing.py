"""Tensors of a base under PyTorch's names and in its layout: the rules for reading a file, applied backwards.

What is written is read again by the same rules, and must give every weight back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from string import Formatter

import numpy as np

from transfercli.models.weights.foreign.layouts import Array, Target
from transfercli.models.weights.foreign.mapping import map_tensors
from transfercli.models.weights.foreign.recognition import recognise
from transfercli.models.weights.foreign.registry import SCHEMES
from transfercli.models.weights.foreign.rules import Rule
from transfercli.models.weights.foreign.scheme import Scheme

EPSILON_SHIFT = np.float32(1e-8)  # of variances, as in the layout `variance_for_keras`


def _shifted_back(value: Array) -> Array:
    """Return the variance, of which the layout makes `value`; it is found among the nearest numbers."""
    near = value + EPSILON_SHIFT
    found = near
    for candidate in (np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))):
        found = np.where(candidate - EPSILON_SHIFT == value, candidate, found)
    return np.where(near - EPSILON_SHIFT == value, near, found)


# Layout -> its inverse. A layout that is missing here takes a part of a tensor, or computes new values.
INVERSES: dict[str, Callable[[Array], Array]] = {
    "same": lambda value: value,
    "convolution": lambda value: value.transpose(3, 2, 0, 1),
    "depthwise": lambda value: value.transpose(2, 3, 0, 1),
    "dense": lambda value: value.T,
    "variance_for_keras": _shifted_back,
}


def written_scheme(base: str, weights: Mapping[str, Array]) -> Scheme | None:
    """Return the first naming scheme whose rules give names to all weights of a base; None if there is none."""
    schemes = (scheme for scheme in SCHEMES if base in scheme.members)
    return next((scheme for scheme in schemes if all(_source(scheme, key) for key in weights)), None)


def with_torch_names(base: str, weights: Mapping[str, Array], scheme: Scheme) -> dict[str, Array]:
    """Return the tensors of a PyTorch network, named by a scheme, with the counters that its BatchNorms keep.

    weights: every weight of the base, `base/LAYER/WEIGHT`, float32. Raises `ValueError` if they cannot be read again
    from these tensors: to the bit, but for variances that are shifted, whose last bit may differ.
    """
    tensors: dict[str, Array] = {}
    for key, value in weights.items():
        source = _source(scheme, key)
        if source is None:
            raise ValueError(f"{scheme.title} have no name for {key}")
        name, rule = source
        tensors[name] = np.ascontiguousarray(INVERSES[rule.layout](value))
    for name in [name for name in tensors if name.endswith(".running_mean")]:
        tensors[f"{name.removesuffix('running_mean')}num_batches_tracked"] = np.array(0, "int64")
    _check_reading(base, weights, tensors, scheme)
    return dict(sorted(tensors.items()))


def _check_reading(base: str, weights: Mapping[str, Array], tensors: Mapping[str, Array], scheme: Scheme) -> None:
    recognised = recognise({name: value.shape for name, value in tensors.items()})
    if recognised is None or base not in recognised.bases or recognised.scheme is not scheme:
        raise ValueError(f"the names of {base} are not recognised as {scheme.title}")
    again = map_tensors(tensors, recognised, base, {key: Target(value.shape) for key, value in weights.items()})
    for key, value in weights.items():
        if not np.array_equal(again.tensors[key], value) and not _nearly_equal(scheme, key, again.tensors[key], value):
            raise ValueError(f"{key} is not read as it was written")


def _nearly_equal(scheme: Scheme, key: str, again: Array, value: Array) -> bool:
    source = _source(scheme, key)
    shifted = source is not None and source[1].layout == "variance_for_keras"
    return shifted and bool(np.abs(again - value).max() <= np.spacing(np.abs(value).max() + EPSILON_SHIFT))


def _source(scheme: Scheme, key: str) -> tuple[str, Rule] | None:
    """Return the name of the tensor that alone gives a weight, and its rule; None if there is none, or are several."""
    found = {name: rule for rule in scheme.rules if (name := _name_for(rule, key))}
    if len(found) != 1:
        return None
    ((name, rule),) = found.items()
    return (name, rule) if rule.combine == "is" and rule.layout in INVERSES else None


def _name_for(rule: Rule, key: str) -> str | None:
    """Return the name that a rule maps to a weight `base/…`; None if it maps none, or its pattern is too general."""
    name = key.removeprefix("base/")
    pattern, fields = "", []
    for literal, field, form, _ in Formatter().parse(rule.name):
        pattern += re.escape(literal)
        if field is not None:
            pattern += r"(\d+)" if form else "([^/_]+)"
            fields.append((int(field), int(form or 0)))
    match = re.fullmatch(pattern, name)
    if match is None:
        return None
    groups = {
        number: str(int(text) - added) if added else text
        for (number, added), text in zip(fields, match.groups(), strict=True)
    }
    source = _filled(rule.pattern, groups)
    return source if source is not None and rule.target(source) == name else None


def _filled(pattern: str, groups: Mapping[int, str]) -> str | None:
    """Return a text that a simple pattern matches, with the given texts in its groups; optional dots are left out."""
    parts = re.split(r"\((?!\?)[^()]*\)", pattern.replace(r"\.?", ""))
    if len(parts) - 1 > len(groups):
        return None
    text = "".join(part + groups.get(number, "") for number, part in enumerate(parts))
    return text.replace(r"\.", ".")
