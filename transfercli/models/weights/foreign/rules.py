"""Rules that map the names of a library's tensors to those of a base. A rule is data: nothing of a file is run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Rule:
    """Rule for one kind of tensor.

    pattern: regular expression of the whole name in the file, without its prefix.
    layout: row of `layouts.LAYOUTS`, by which the tensor is laid out anew.
    name: the name of the weight here, without `base/`; `{0}` stands for the first group of the pattern, `{0:+1}` for
    the number in it plus one, `{0:a}` for the number as a letter.
    combine: "is" if the weight is the tensor; "times" or "plus" if the weight, which another rule gives, is multiplied
    by the tensor or the tensor is added to it, along the last dimension.
    Several rules may match one tensor, which is then used for several weights.
    """

    pattern: str
    layout: str
    name: str
    combine: str = "is"

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)

    def target(self, name: str) -> str | None:
        """Return the name here of the weight that a tensor gives; None if the rule is not for it."""
        match = self._compiled.fullmatch(name)
        if match is None:
            return None
        groups = (_Number(group) if group and group.isdecimal() else group for group in match.groups())
        return self.name.format(*groups)


class _Number(int):
    """Number in a name, to which a format such as `+1` is added; the format `a` writes 0 as a, 1 as b and so on."""

    def __format__(self, spec: str) -> str:
        if spec == "a":
            return chr(ord("a") + self) if self < 26 else f"({self})"
        return str(self + int(spec or 0))


def convolution(pattern: str, name: str, layout: str = "convolution") -> tuple[Rule, ...]:
    """Return the rules of a convolution; its bias is optional."""
    return Rule(rf"{pattern}\.weight", layout, f"{name}/kernel"), Rule(rf"{pattern}\.bias", "same", f"{name}/bias")


def dense(pattern: str, name: str) -> tuple[Rule, ...]:
    """Return the rules of a fully connected layer; its bias is optional."""
    return convolution(pattern, name, "dense")


def batch_norm(pattern: str, name: str) -> tuple[Rule, ...]:
    """Return the rules of a BatchNorm."""
    weights = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return tuple(Rule(rf"{pattern}\.{theirs}", "same", f"{name}/{ours}") for theirs, ours in weights.items())


def layer_norm(pattern: str, name: str) -> tuple[Rule, ...]:
    """Return the rules of a LayerNorm."""
    return Rule(rf"{pattern}\.weight", "same", f"{name}/gamma"), Rule(rf"{pattern}\.bias", "same", f"{name}/beta")


def together(*groups: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return the rules of all groups in one table."""
    return tuple(rule for group in groups for rule in group)


def targets(rules: Sequence[Rule], name: str) -> Iterator[tuple[Rule, str]]:
    """Yield each rule that is for a tensor, with the name here of the weight that it gives."""
    for rule in rules:
        target = rule.target(name)
        if target is not None:
            yield rule, target
