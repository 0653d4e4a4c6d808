"""Space of a sweep: the values that each key may take, and the values of one trial."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import SearchRange, SweepConfig

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Dimension:
    """A key and its range."""

    key: str
    values: SearchRange

    def suggest(self, trial: optuna.Trial) -> Any:
        """Return the value of a trial, by the study's sampler."""
        if self.values.choice is not None:
            texts = [json.dumps(value) for value in self.values.choice]  # Optuna stores plain values only
            return json.loads(trial.suggest_categorical(self.key, texts))
        low, high = self.values.log or self.values.range or (0.0, 1.0)
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(self.key, low, high, log=self.values.log is not None)
        return trial.suggest_float(self.key, low, high, log=self.values.log is not None, step=self.values.step)


def dimensions(sweep: SweepConfig) -> tuple[Dimension, ...]:
    """Return the dimensions of a sweep's space, in the order of the config."""
    return tuple(Dimension(key, values) for key, values in sweep.space.items())


def overrides_of(values: dict[str, Any]) -> tuple[str, ...]:
    """Return the values of a trial as `--set` options."""
    return tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
