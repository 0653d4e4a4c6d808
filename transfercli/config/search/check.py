"""Check of a search space: every key, choice and bound against the schema, before anything is trained.

It reads unvalidated values, as `cross_checks` does, so that all errors are reported at once.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from transfercli.config import cross_checks
from transfercli.config.error_messages import explain, format_value, mark_of, value_at
from transfercli.config.locations import Document, KeyPath, Place, Problem, dotted
from transfercli.config.schema import ExperimentConfig, SearchRange
from transfercli.config.search.keys import (
    UnknownKeyError,
    hint_of,
    refusal,
    takes_whole_numbers_only,
    validated,
)
from transfercli.config.search.sections import SPACE

FORMS = ("choice", "log", "range")
MAX_COMBINATIONS = 256  # that are checked before the first trial
MAX_WHOLE_NUMBERS = 64  # of a range that are checked one by one

Candidates = Sequence[tuple[KeyPath, Any]]
KeyProblems = Iterator[tuple[KeyPath, str]]


def check(document: Document) -> list[Problem]:
    """Return the problems of `sweep.space`; empty without one."""
    space = value_at(SPACE, document.value)
    if not isinstance(space, dict):
        return []
    found: dict[KeyPath, str] = {}
    for path, message in (*_keys(space), *_grid(document.value, space)):
        found.setdefault(path, message)
    usable = {key: entry for key, entry in space.items() if (*SPACE, key) not in found and _form(entry)}
    for key, entry in usable.items():
        found.update(_values(document, key, entry))
    if not found:
        found.update(_combinations(document, usable))
    return [Problem(mark_of(path, document.places), message, path) for path, message in found.items()]


def with_values(data: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a config's values with keys such as `a.b.c` set, and without its sweep."""
    data = copy.deepcopy({name: value for name, value in data.items() if name != "sweep"})
    for key, value in values.items():
        *above, last = key.split(".")
        mapping = data
        for part in above:
            inner = mapping.get(part)
            mapping[part] = mapping = inner if isinstance(inner, dict) else {}
        mapping[last] = value
    return data


def _keys(space: dict[str, Any]) -> KeyProblems:
    """Yield keys that the schema does not have or a space cannot have."""
    for key, entry in space.items():
        path = (*SPACE, key)
        above = next((other for other in space if key.startswith(f"{other}.")), None)
        if reason := refusal(key):
            yield path, reason
        elif above is not None:
            yield path, f"is a part of {above}, which is in the space, too; keep one of the two"
        else:
            try:
                hint_of(key)
            except UnknownKeyError as error:
                yield path, str(error)
            else:
                yield from _nested(key, entry)


def _nested(key: str, entry: Any) -> KeyProblems:
    """Yield a section that gives a key a value, not a range of values."""
    if not isinstance(entry, dict) or not entry or any(name in SearchRange.model_fields for name in entry):
        return
    inner = next(iter(entry))
    try:
        hint_of(f"{key}.{inner}")
    except UnknownKeyError:
        return
    message = f"is a section: give the values to try of its keys, such as {inner}: {{choice: [...]}}"
    yield (*SPACE, key), f"{message}, received {format_value(entry)}"


def _form(entry: Any) -> str | None:
    """Return the form of a valid entry, else None: the schema reports what is wrong with it."""
    try:
        SearchRange.model_validate(entry)
    except ValidationError:
        return None
    return next(name for name in FORMS if entry.get(name) is not None)


def _grid(data: dict[str, Any], space: dict[str, Any]) -> KeyProblems:
    """Yield intervals without a step if every combination is to be tried."""
    if value_at(("sweep", "sampler"), data) != "grid":
        return
    for key, entry in space.items():
        form = _form(entry)
        if form == "log" or (form == "range" and entry.get("step") is None and not _is_whole(key, entry["range"])):
            message = f"the sampler grid tries every value, and {form} has no end of them"
            yield (*SPACE, key), f"{message}; give choice, or range with step, or take the sampler tpe"


def _is_whole(key: str, bounds: Sequence[float]) -> bool:
    try:
        return takes_whole_numbers_only(hint_of(key), *bounds)
    except UnknownKeyError:
        return False


# -- values


def _values(document: Document, key: str, entry: dict[str, Any]) -> dict[KeyPath, str]:
    """Return the values of a key that the schema does not allow, and choices that are given twice."""
    form = _form(entry)
    assert form is not None, "only valid entries are checked"
    found: dict[KeyPath, str] = {}
    for path, value in _candidates(key, entry):
        message = _schema_problem(document, key, value)
        if message:
            found[path] = message
    if form == "choice":
        found.update(_repeated(key, entry["choice"]))
    elif not found:
        found.update(_between(document, key, entry, form))
    return found


def _candidates(key: str, entry: dict[str, Any]) -> Candidates:
    """Return (place, value) of every choice, or of the bounds of an interval."""
    form = next(name for name in FORMS if entry.get(name) is not None)
    return [((*SPACE, key, form, index), value) for index, value in enumerate(entry[form])]


def _schema_problem(document: Document, key: str, value: Any) -> str:
    """Return what the schema has against a value of a key, or ""."""
    path = tuple(key.split("."))
    data = with_values(document.value, {key: value})
    try:
        ExperimentConfig.model_validate(data)
    except ValidationError as error:
        for problem in explain(error, data, {(): document.places[()]}):
            if problem.path[: len(path)] == path:
                inner = problem.path[len(path) :]
                return f"{'.'.join(map(str, inner))}: {problem.message}" if inner else problem.message
    return ""


def _repeated(key: str, choices: list[Any]) -> KeyProblems:
    seen: list[Any] = []
    for index, choice in enumerate(choices):
        value = validated(hint_of(key), choice) or (choice,)
        first = next((place for place, other in enumerate(seen) if other == value and type(other) is type(value)), None)
        if first is not None:
            yield (*SPACE, key, "choice", index), f"{format_value(choice)} is given twice, first as choice {first + 1}"
        seen.append(value)


def _between(document: Document, key: str, entry: dict[str, Any], form: str) -> KeyProblems:
    """Yield an interval with values that the schema refuses, though it allows the bounds."""
    low, high = entry[form]
    step = entry.get("step")
    place = (*SPACE, key)
    whole = _is_whole(key, (low, high))
    if step is not None and low + step > high:
        yield (
            (*place, "step"),
            f"is larger than the range, received {format_value(step)}; allowed: up to {high - low:g}",
        )
    elif whole and step is not None and step != int(step):
        yield (
            (*place, "step"),
            f"must be a whole number for {key}, which takes whole numbers only, received {format_value(step)}",
        )
    elif whole:
        numbers = range(int(low) + 1, int(high), int(step or 1))[:MAX_WHOLE_NUMBERS]
        refused = next((number for number in numbers if _schema_problem(document, key, number)), None)
        if refused is not None:
            yield (*place, form), f"holds {refused}, and {_schema_problem(document, key, refused)}; give choice instead"


# -- combinations


def _combinations(document: Document, space: dict[str, Any]) -> dict[KeyPath, str]:
    """Return the values that no combination with the other keys of the space allows; of small spaces only."""
    candidates = {key: _candidates(key, entry) for key, entry in space.items()}
    number = 1
    for values in candidates.values():
        number *= len(values)
    if number > MAX_COMBINATIONS:
        return {}
    reasons: dict[KeyPath, str | None] = {}  # of a value that is refused in every combination so far; None: allowed
    rules = CombinationRules(document)
    for combination in itertools.product(*candidates.values()):
        problem = rules.problem({key: value for key, (_, value) in zip(candidates, combination, strict=True)})
        for place, _ in combination:
            if problem is None:
                reasons[place] = None
            else:
                reasons.setdefault(place, problem)
    refused = {place: reason for place, reason in reasons.items() if reason is not None}
    if len(refused) == len(reasons):
        place, reason = next(iter(refused.items()), (SPACE, ""))
        return {SPACE: f"holds no valid combination of values; for the first one: {reason}"} if refused else {}
    return {
        place: f"is not possible with any other values of the space and the config: {reason}"
        for place, reason in refused.items()
    }


class CombinationRules:
    """Rules of the config that a trial's values may break together, though each of them is allowed."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._known = {str(problem) for problem in self._problems({})}

    def problem(self, values: Mapping[str, Any]) -> str | None:
        """Return the first problem of the config with these values, or None."""
        new = (problem for problem in self._problems(values) if str(problem) not in self._known)
        return next((f"{dotted(problem.path)}: {problem.message}" for problem in new), None)

    def _problems(self, values: Mapping[str, Any]) -> list[Problem]:
        data = with_values(self.document.value, values)
        places: dict[KeyPath, Place] = {(): self.document.places[()]}
        problems: list[Problem] = []
        try:
            ExperimentConfig.model_validate(data)
        except ValidationError as error:
            problems = explain(error, data, places)
        return [*problems, *cross_checks.check(Document(data, places))]
