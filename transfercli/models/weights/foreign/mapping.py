"""Mapping of a recognised file's tensors to the weights of a base. All weights of the base are required."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from transfercli.errors import ArtefactError
from transfercli.models.weights.foreign.layouts import Array, Target, laid_out
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.foreign.rules import Rule, targets
from transfercli.models.weights.foreign.scheme import Scheme
from transfercli.models.weights.values import check_weights
from transfercli.text import clipped, counted

COMBINE = {"times": np.multiply, "plus": np.add}
NO_SUCH_WEIGHT = "the base has no such weight"


@dataclass(frozen=True)
class Mapped:
    """Weights of a base, `base/LAYER/WEIGHT`, from a file; what follows is known of another library's files.

    head: kernel [features, classes] and bias [classes] of the file's classification head, if it has one.
    head_sources: names of these in the file: one or two, as a head may lack its bias.
    sources: weight -> names of the tensors in the file that it was made of. unused: name in the file -> reason.
    """

    tensors: dict[str, Array]
    head: tuple[Array, Array] | None = None
    head_sources: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unused: Mapping[str, str] = field(default_factory=dict)


def map_tensors(
    tensors: Mapping[str, Array], recognised: Recognised, base: str, weights: Mapping[str, Target]
) -> Mapped:
    """Return the weights of a base from the tensors of a file.

    base: its name, for messages. weights: every weight of the base, `base/LAYER/WEIGHT`, and its shape.
    Raises `ArtefactError` if a weight of the base is missing in the file or is there twice, a tensor has another shape,
    a weight is an integer or not finite, a variance is negative, or the network in the file has more than the base.
    """
    scheme, prefix = recognised.scheme, recognised.prefix
    head = recognised.head_layer(tensors)
    mapped: dict[str, Array] = {}
    sources: dict[str, tuple[str, ...]] = {}
    later: dict[tuple[str, str], tuple[Rule, str]] = {}
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
                _check_single(key, name, sources.get(key))
                mapped[key] = _laid_out(name, value, rule, weights[key], base)
                sources[key] = (name,)
            else:
                _check_single(key, name, [later[key, rule.combine][1]] if (key, rule.combine) in later else None)
                later[key, rule.combine] = (rule, name)
        if not used:
            unused[name] = _reason(name, head, recognised)
    for key, constant in _constants(weights, scheme, base).items():
        if key not in mapped:
            mapped[key], sources[key] = constant, ()
    _check_complete(mapped, recognised, base, weights)
    _check_nothing_more(unused, sources, recognised, base)
    for (key, _), (rule, name) in later.items():
        mapped[key] = _combined(mapped[key], name, tensors[name], rule, weights[key], base)
        sources[key] = (*sources[key], name)
    check_weights(mapped, "model.weights: the file", sources)
    head_sources = tuple(name for name in (f"{head}.weight", f"{head}.bias") if name in tensors)
    return Mapped(mapped, _head(tensors, head), head_sources, sources, unused)


def _check_single(key: str, name: str, known: Sequence[str] | None) -> None:
    """Raise `ArtefactError` if a weight is already given by the `known` tensors."""
    if known:
        raise ArtefactError(
            f"model.weights: {clipped(known[0])} and {clipped(name)} are two tensors for one weight,"
            f" {key.removeprefix('base/')}",
            "save only the tensors of one network under one set of names",
        )


def _laid_out(name: str, value: Array, rule: Rule, target: Target, base: str) -> Array:
    new = laid_out(rule.layout, value, target)
    if new is None or new.shape != target.shape:
        raise _misfit(name, value, new, base, target.shape)
    return new


def _combined(weight: Array, name: str, value: Array, rule: Rule, target: Target, base: str) -> Array:
    """Return a weight multiplied by a tensor's vector along its last dimension, or with a tensor of its shape added."""
    new = laid_out(rule.layout, value, target)
    wanted = target.shape if rule.combine == "plus" else target.shape[-1:]
    if new is None or new.shape != wanted:
        raise _misfit(name, value, new, base, wanted)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
        combined: Array = COMBINE[rule.combine](weight, new)
    return combined


def _misfit(name: str, stored: Array, new: Array | None, base: str, wanted: tuple[int, ...]) -> ArtefactError:
    laid_out_as = "" if new is None else f" laid out as Keras does it is {list(new.shape)}, and"
    return ArtefactError(
        f"model.weights: {clipped(name)} has the shape {list(stored.shape)}, which does not fit {base}:"
        f"{laid_out_as} the base has {list(wanted)}",
        "use the file and the base of one network: transfercli weights check FILE names the base",
    )


def _constants(weights: Mapping[str, Target], scheme: Scheme, base: str) -> dict[str, Array]:
    """Return the weights of a base that no tensor of a file gives, because the scheme's library has none for them."""
    values = {f"base/{target}": value for target, value in scheme.members[base].constants.items()}
    zeros = (key for key in weights if scheme.zeros and re.fullmatch(f"base/{scheme.zeros}", key))
    return {key: np.zeros(weights[key].shape, "float32") for key in zeros} | {
        key: np.asarray(value, "float32").reshape(weights[key].shape) for key, value in values.items() if key in weights
    }


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


def _check_nothing_more(
    unused: Mapping[str, str], sources: Mapping[str, tuple[str, ...]], recognised: Recognised, base: str
) -> None:
    """Raise `ArtefactError` if unused tensors belong to modules that the base is made of: a variant of the network."""
    modules = {_module(name.removeprefix(recognised.prefix)) for names in sources.values() for name in names}
    more = [
        name
        for name, reason in unused.items()
        if reason == NO_SUCH_WEIGHT and _module(name.removeprefix(recognised.prefix)) in modules
    ]
    if more:
        raise ArtefactError(
            f"model.weights: the network in the file has {counted(len(more), 'weight')} more than {base}:"
            f" {', '.join(map(clipped, more[:3]))}{' …' if len(more) > 3 else ''}; without them its features differ",
            f"its names are {recognised.scheme.title}, and the file is of another network than {base}",
        )


def _module(inner: str) -> str:
    """Return the first part of a name, with `#` for its numbers: `layer#` for `layer4.0.conv1.weight`."""
    return re.sub(r"\d+", "#", inner.partition(".")[0])


def _reason(name: str, head: str | None, recognised: Recognised) -> str:
    """Return the reason for not using a tensor. head: name of the head's layer in the file."""
    prefix = recognised.prefix
    inner = name.removeprefix(prefix)
    if inner.endswith("num_batches_tracked"):
        return "counts batches of the training"
    if head and name.startswith(f"{head}."):
        return "of the classification head"
    if not name.startswith(prefix):
        return f"not of the network, whose names start with {prefix!r}"
    for pattern, reason in (recognised.scheme.ignored or {}).items():
        if re.fullmatch(pattern, inner):
            return reason
    return NO_SUCH_WEIGHT


def _head(tensors: Mapping[str, Array], name: str | None) -> tuple[Array, Array] | None:
    kernel = tensors.get(f"{name}.weight")
    if kernel is None or kernel.ndim != 2:
        return None
    bias = tensors.get(f"{name}.bias", np.zeros(len(kernel), kernel.dtype))
    if bias.shape != (len(kernel),):
        raise ArtefactError(
            f"model.weights: {clipped(f'{name}.bias')} has the shape {list(bias.shape)}, but the head's kernel is of"
            f" {counted(len(kernel), 'class', 'classes')}",
            "fetch or write the file again",
        )
    return kernel.T, bias
