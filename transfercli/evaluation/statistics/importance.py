"""Importance of each key of a search: the share of a forest's variance that it alone explains (functional ANOVA).

Method: Hutter, Hoos and Leyton-Brown 2014, with Optuna's random forests. Resamples of the trials give its uncertainty.
Shuffled scores give the importance that chance alone would show (Altmann et al. 2010).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FEWEST_TRIALS = 10  # with a score; below, a forest has nothing to learn from
TREES, DEPTH = 64, 6
RESAMPLES, SHUFFLES = 20, 19  # 19 shuffles that are all below are a p-value of 1/20
FEWER_TREES = 4  # of a resample or shuffle
LEVEL = 90  # percent of the interval


@dataclass(frozen=True, slots=True)
class SearchColumn:
    """Values of one key over the trials.

    values: [N] numbers from 0 to 1, on the scale of the search; or [N] numbers of choices.
    choices: their count; 0 for numbers.
    """

    values: Sequence[float]
    choices: int = 0


@dataclass(frozen=True, slots=True)
class KeyImportance:
    """Importance of one key.

    share: of the variance of a forest's predictions over the space that the key alone explains, 0 to 1.
    interval: of `LEVEL` percent of the resamples.
    chance: the largest importance of the key with shuffled scores.
    """

    key: str
    share: float
    interval: tuple[float, float]
    chance: float

    @property
    def beyond_chance(self) -> bool:
        return self.share > self.chance


def key_importances(columns: Mapping[str, SearchColumn], scores: Sequence[float], seed: int) -> list[KeyImportance]:
    """Return the importance of each key, the largest first.

    The list is empty with fewer than `FEWEST_TRIALS` scores, or if all scores are equal. Needs Optuna.
    """
    values = np.asarray(scores, np.float64)
    if len(values) < FEWEST_TRIALS or np.ptp(values) == 0.0:
        return []
    random = np.random.default_rng(seed)
    trials = np.arange(len(values))
    found = _forest_importances(columns, values, trials, TREES, seed)
    drawn = [random.integers(0, len(values), len(values)) for _ in range(RESAMPLES)]
    resampled = [
        _forest_importances(columns, values[rows], rows, FEWER_TREES, seed + n) for n, rows in enumerate(drawn)
    ]
    shuffled = [
        _forest_importances(columns, random.permutation(values), trials, FEWER_TREES, seed + n) for n in range(SHUFFLES)
    ]
    return sorted((_row(key, found, resampled, shuffled) for key in columns), key=lambda row: -row.share)


def _row(
    key: str, found: dict[str, float], resampled: list[dict[str, float]], shuffled: list[dict[str, float]]
) -> KeyImportance:
    tail = (100 - LEVEL) / 2
    low, high = np.percentile([importances[key] for importances in resampled], [tail, 100 - tail])
    interval = (float(min(low, found[key])), float(max(high, found[key])))
    return KeyImportance(key, found[key], interval, max(importances[key] for importances in shuffled))


def _forest_importances(
    columns: Mapping[str, SearchColumn],
    scores: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    trees: int,
    seed: int,
) -> dict[str, float]:
    """Return the importance of each key for the trials `rows` [N] with the scores [N]."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    spaces: dict[str, BaseDistribution] = {
        key: CategoricalDistribution(tuple(range(column.choices))) if column.choices else FloatDistribution(0.0, 1.0)
        for key, column in columns.items()
    }
    nothing = dict.fromkeys(columns, 0.0)
    if np.ptp(scores) == 0.0:
        return nothing
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it reports each new study
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    study.add_trials(
        [
            optuna.create_trial(
                params={key: column.values[row] for key, column in columns.items()}, distributions=spaces, value=score
            )
            for row, score in zip(rows, scores.tolist(), strict=True)
        ]
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=trees, max_depth=DEPTH, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nothing | {key: float(share) for key, share in evaluator.evaluate(study).items()}
