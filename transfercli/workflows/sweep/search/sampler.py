"""Sampler of a sweep: values of a trial that follow from the seed, its number and the finished trials alone.

So a sweep that was stopped goes on with the values that it would have tried. No combination is tried twice, and none
that the config rules out.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from transfercli.workflows.sweep.search.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

ATTEMPTS = 100  # proposals for a trial until one is new and allowed
LEARNT_ATTEMPTS = 10  # of these, by the sampler; then at random, as a good combination may be impossible
WITHDRAWN = "withdrawn"  # attribute of a trial that never trained


class TrialSampler(BaseSampler):
    """Sampler that begins anew for each trial.

    own: what Optuna stores for the config's own values, which are those of trial 0; None if they are not in the space.
    """

    def __init__(self, space: Space, name: str, seed: int, own: dict[str, Any] | None) -> None:
        self.space, self.name, self.seed, self.own = space, name, seed, own

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space: all values of a trial are drawn together."""
        return self.space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the values of a trial, as Optuna stores them."""
        others = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
        taken = {_text(other.params) for other in others if WITHDRAWN not in other.user_attrs}
        proposal = None
        for proposal in self._proposals(study, trial):
            if _text(proposal) not in taken and self.space.problem(self.space.values(proposal)) is None:
                return proposal
        left = [stored for stored in self._listed() if _text(stored) not in taken]
        if left:
            return left[_seed(self.seed, trial.number, ATTEMPTS) % len(left)]
        assert proposal is not None, "a grid ends before its last combination is taken"
        return proposal

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the value of one key, drawn at random; only for a key that `sample_relative` left out."""
        sampler = RandomSampler(seed=_seed(self.seed, trial.number, 0))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _proposals(self, study: Study, trial: FrozenTrial) -> Iterator[dict[str, Any]]:
        if self.name == "grid":
            yield from self._grid()
            return
        if trial.number == 0 and self.own is not None:
            yield self.own
        for attempt in range(ATTEMPTS):
            yield self._proposal(study, trial, attempt)

    def _proposal(self, study: Study, trial: FrozenTrial, attempt: int) -> dict[str, Any]:
        seed = _seed(self.seed, trial.number, attempt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that are experimental in some versions of Optuna
            sampler: BaseSampler = RandomSampler(seed=seed)
            if self.name == "tpe" and attempt < LEARNT_ATTEMPTS:
                sampler = TPESampler(seed=seed, multivariate=True, constant_liar=True, warn_independent_sampling=False)
            sampler.before_trial(study, trial)
            known = sampler.infer_relative_search_space(study, trial)
            values = sampler.sample_relative(study, trial, known)
            for key, distribution in self.space.distributions.items():
                if key not in values:
                    values[key] = sampler.sample_independent(study, trial, key, distribution)
        return {key: _plain(values[key]) for key in self.space.keys}

    def _grid(self) -> Iterator[dict[str, Any]]:
        return (self._stored(values) for values in self.space.combinations())

    def _listed(self) -> list[dict[str, Any]]:
        return [self._stored(values) for values in self.space.listed or ()]

    def _stored(self, values: dict[str, Any]) -> dict[str, Any]:
        stored = self.space.stored(values)
        assert stored is not None, "a combination of the space is in the space"
        return stored


def _seed(seed: int, number: int, attempt: int) -> int:
    digest = hashlib.sha256(f"{seed}/{number}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _text(params: dict[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python."""
    return value.item() if hasattr(value, "item") else value
