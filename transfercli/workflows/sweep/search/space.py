"""Space of a sweep: the values that each key may take, and the combinations that the config allows."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from transfercli.config.cross_checks import missing_weights_reason
from transfercli.config.differing_keys import DIGITS, short_names, value_text
from transfercli.config.loader import resolve
from transfercli.config.locations import Document
from transfercli.config.schema import ExperimentConfig, SearchRange
from transfercli.config.search.check import CombinationRules, with_values
from transfercli.config.search.keys import hint_of, takes_whole_numbers_only, validated

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

MAX_LISTED = 2_000  # combinations that are listed and checked in advance
STEP_DIGITS = 12  # of a value of a stepped range: 0.1 + 0.2 is 0.3
# Keys that decide which layers are frozen and what they compute: trials that share them share features.
FEATURE_KEYS = ("model.base", "model.weights", "data.", "transfer.", "model.", "augmentation.")


@dataclass(frozen=True)
class Dimension:
    """Key of a space and its range. whole: only whole numbers are tried."""

    key: str
    values: SearchRange
    whole: bool = False

    @cached_property
    def distribution(self) -> BaseDistribution:
        """Distribution of Optuna, which stores plain values only: a choice is its JSON text."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.values.choice is not None:
            return CategoricalDistribution([_text(value) for value in self.values.choice])
        low, high = self.values.log or self.values.range or (0.0, 0.0)
        step, log = self.values.step, self.values.log is not None
        if step is not None:
            high = low + step * math.floor((high - low) / step + 1e-9)
        if self.whole:
            return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
        return FloatDistribution(low, high, log=log, step=step)

    @cached_property
    def finite(self) -> tuple[Any, ...] | None:
        """All values, if they are choices, steps or whole numbers; else None."""
        if self.values.choice is not None:
            return tuple(self.values.choice)
        low, high = self.values.log or self.values.range or (0.0, 0.0)
        step = self.values.step or (1.0 if self.whole else None)
        if step is None:
            return None
        return tuple(self.value(low + step * index) for index in range(math.floor((high - low) / step + 1e-9) + 1))

    @property
    def examples(self) -> list[Any]:
        """All choices, or the lowest value of an interval."""
        bounds = self.values.log or self.values.range
        return list(self.values.choice or ()) if bounds is None else [self.value(bounds[0])]

    def suggest(self, trial: Trial) -> None:
        """Give a trial its value, by the sampler of its study, if it has none yet."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        form: Any = self.distribution
        if isinstance(form, CategoricalDistribution):
            trial.suggest_categorical(self.key, form.choices)
        elif isinstance(form, IntDistribution):
            trial.suggest_int(self.key, form.low, form.high, step=form.step, log=form.log)
        else:
            trial.suggest_float(self.key, form.low, form.high, step=form.step, log=form.log)

    def value(self, stored: Any) -> Any:
        """Return a value of the config for the one that Optuna stores."""
        if self.values.choice is not None:
            return json.loads(stored)
        return int(stored) if self.whole else round(float(stored), STEP_DIGITS) if self.values.step else float(stored)

    def stored(self, value: Any) -> Any:
        """Return the value that Optuna stores for one of the config; None if it is not in the range."""
        if self.values.choice is not None:
            meant = _plain(validated(hint_of(self.key), value))
            same = (choice for choice in self.values.choice if _plain(validated(hint_of(self.key), choice)) == meant)
            found = next(same, self)
            return None if found is self else _text(found)
        low, high = self.values.log or self.values.range or (0.0, 0.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            return None
        if self.finite is not None and self.values.step is not None and value not in self.finite:
            return None
        return int(value) if self.whole else float(value)


@dataclass(frozen=True)
class Space:
    """Dimensions of a space, and the rules for their combinations."""

    dimensions: tuple[Dimension, ...]
    document: Document
    _problems: dict[str, str | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, config: ExperimentConfig, document: Document) -> Space:
        """Return the space of a checked config; document: the values of the same config as written."""
        assert config.sweep is not None, "the config has a sweep"
        return cls(tuple(_dimension(key, values) for key, values in config.sweep.space.items()), document)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(dimension.key for dimension in self.dimensions)

    def shown(self, values: Mapping[str, Any]) -> str:
        """Return the values of a trial as `learning_rate 0.003, hidden [256]`."""
        names = short_names(self.keys, self.keys)
        return ", ".join(f"{names[key]} {value_text(value, DIGITS)}" for key, value in values.items())

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {dimension.key: dimension.distribution for dimension in self.dimensions}

    def values(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the config for those that Optuna stores; keys without a value are left out."""
        return {one.key: one.value(stored[one.key]) for one in self.dimensions if one.key in stored}

    def stored(self, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what Optuna stores for the values of all keys; None if one of them is not in the space."""
        found = {one.key: one.stored(values[one.key]) for one in self.dimensions if one.key in values}
        return found if len(found) == len(self.dimensions) and None not in found.values() else None

    @cached_property
    def size(self) -> int | None:
        """Number of combinations, allowed or not; None if there is no end of them."""
        lists = [dimension.finite for dimension in self.dimensions]
        return None if None in lists else math.prod(len(values) for values in lists if values is not None)

    @cached_property
    def listed(self) -> tuple[dict[str, Any], ...] | None:
        """All allowed combinations, in the order of `combinations`; None if there are too many to list."""
        if self.size is None or self.size > MAX_LISTED:
            return None
        return tuple(self.combinations())

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Yield the allowed combinations of a finite space; those that share features follow one another."""
        return (values for values in self.all_combinations() if self.problem(values) is None)

    def all_combinations(self) -> Iterator[dict[str, Any]]:
        """Yield the combinations of a finite space, allowed or not, as `combinations`."""
        ordered = sorted(self.dimensions, key=lambda dimension: _feature_rank(dimension.key))
        for combination in itertools.product(*(dimension.finite or () for dimension in ordered)):
            values = dict(zip((dimension.key for dimension in ordered), combination, strict=True))
            yield {key: values[key] for key in self.keys}

    def examples(self, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield combinations of choices and lowest values, with some of the values given."""
        first = [[given[one.key]] if one.key in given else one.examples for one in self.dimensions]
        return (dict(zip(self.keys, values, strict=True)) for values in itertools.product(*first))

    def problem(self, values: Mapping[str, Any]) -> str | None:
        """Return why a combination of values is not possible, or None."""
        text = _text(values)
        if text not in self._problems:
            self._problems[text] = self._rules.problem(values) or self._weights_problem(values)
        return self._problems[text]

    @cached_property
    def _rules(self) -> CombinationRules:
        return CombinationRules(self.document)

    def _weights_problem(self, values: Mapping[str, Any]) -> str | None:
        """Return why the base has no weights, once `finetune` has set its defaults."""
        model = resolve(ExperimentConfig.model_validate(with_values(self.document.value, values)), "finetune").model
        reason = missing_weights_reason(model.base) if model.weights == "imagenet" else None
        return f"model.weights: {reason}" if reason else None

    def own_values(self, config: ExperimentConfig) -> dict[str, Any] | None:
        """Return the config's own values of the keys, if all of them are in the space and allowed together."""
        values = {}
        for dimension in self.dimensions:
            own = (_value_in(config, dimension.key), _value_in(resolve(config, "finetune"), dimension.key))
            stored = next((stored for stored in map(dimension.stored, own) if stored is not None), None)
            if stored is None:
                return None
            values[dimension.key] = dimension.value(stored)
        return values if self.problem(values) is None else None


def overrides_of(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values of a trial as `--set` options; a trial has no sweep of its own."""
    return (*(f"{key}={_text(value)}" for key, value in values.items()), "sweep=null")


def _dimension(key: str, values: SearchRange) -> Dimension:
    bounds = values.log or values.range
    return Dimension(key, values, bounds is not None and takes_whole_numbers_only(hint_of(key), *bounds))


def _feature_rank(key: str) -> int:
    """Return the place of a key in the order of a grid: what changes the features changes last."""
    return next((rank for rank, start in enumerate(FEATURE_KEYS) if key.startswith(start)), len(FEATURE_KEYS))


def _value_in(config: ExperimentConfig, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return a value of the schema as plain lists and mappings."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
