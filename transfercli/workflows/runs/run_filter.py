"""Conditions of `runs list --filter`: KEY, an operator and a value."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from transfercli.config.differing_keys import value_text
from transfercli.config.locations import UnreadableError
from transfercli.config.strict_yaml import parse
from transfercli.errors import UsageError
from transfercli.runs.untrusted import is_number

_CONDITION = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(==|!=|>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Condition:
    """A condition on a value. key: as typed; text: the value as typed; value: read by the rules of YAML."""

    key: str
    operator: str
    text: str
    value: Any

    @property
    def is_order(self) -> bool:
        return self.operator in _ORDERS

    def matches(self, text: str) -> bool:
        """Return True if a text is the value, or matches it as a pattern."""
        return fnmatchcase(text, self.text.strip("'\""))

    def holds(self, value: Any) -> bool:
        """Return True if a run's value meets the condition; no value is above or below another one."""
        if order := _ORDERS.get(self.operator):
            numbers = is_number(value) and is_number(self.value)
            texts = isinstance(value, str) and isinstance(self.value, str)
            return (numbers or texts) and order(value, self.value)
        return self._is_equal(value) != (self.operator == "!=")

    def _is_equal(self, value: Any) -> bool:
        if is_number(value) and is_number(self.value):
            return bool(value == self.value)
        if isinstance(value, str):
            return self.matches(value)
        return bool(value == self.value) or (value is not None and value_text(value) == self.text)


def parse_condition(text: str) -> Condition:
    """Return the condition that a text such as `val_accuracy>=0.9` states. Raises `UsageError` if it states none."""
    match = _CONDITION.fullmatch(text)
    if not match or not match[3]:
        raise UsageError(
            f"--filter {text!r} is no condition",
            "write KEY=VALUE, KEY!=VALUE, KEY>=VALUE, KEY<=VALUE, KEY>VALUE or KEY<VALUE, such as status=completed or"
            " 'val_accuracy>=0.9'",
        )
    try:
        value = parse(match[3], "--filter", mapping=False).value
    except UnreadableError:
        value = match[3]
    return Condition(match[1], match[2], match[3], value)
