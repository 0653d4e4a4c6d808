"""Result of `recommend`: a row for each base, the one to choose, and how a config uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transfercli.errors import Interrupted
from transfercli.workflows.recommend.measure import Cost
from transfercli.workflows.recommend.ranking import Rank


@dataclass(frozen=True)
class BaseRow:
    """Base of a recommendation.

    name: as the user wrote it; base: its row in the table of bases, None if it is not known; weights: their source.
    settings: `KEY=VALUE`, which make a config use it. cost, rank: None if it was not measured. problem: the reason.
    """

    name: str
    base: str | None
    weights: str | None
    image_size: tuple[int, int] | None
    settings: tuple[str, ...]
    cost: Cost | None = None
    rank: Rank | None = None
    problem: str | None = None

    def as_json(self) -> dict[str, Any]:
        cost, rank = self.cost, self.rank
        return {
            "base": self.name,
            "network": self.base,
            "weights": self.weights,
            "image_size": self.image_size,
            "accuracy": rank and rank.accuracy,
            "accuracy_interval": rank and rank.accuracy_interval,
            "log_loss": rank and rank.log_loss,
            "log_loss_error": rank and rank.log_loss_error,
            "difference": rank and asdict(rank.difference),
            "tied": rank and rank.tied,
            "as_good": rank and rank.as_good,
            "pareto": rank and rank.pareto,
            "recommended": rank and rank.recommended,
            "ms_per_image": cost and round(1000 * cost.seconds, 3),
            "bytes": cost and cost.bytes,
            "parameters": cost and cost.parameters,
            "multiply_adds": cost and cost.multiply_adds,
            "settings": list(self.settings),
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Recommendation:
    """The result of `recommend`.

    rows: of measured bases by log loss, then of the others. images: number that every base was measured on; groups: of
    their independent groups, None if no image has one. complete: False if the command was interrupted. picture: the
    file that was written, or None. left_out: number of training and validation images that were not drawn.
    """

    rows: Sequence[BaseRow]
    images: int
    groups: int | None
    complete: bool = True
    picture: Path | None = None
    left_out: int = 0

    @property
    def measured(self) -> list[BaseRow]:
        return [row for row in self.rows if row.rank]

    @property
    def best(self) -> BaseRow:
        """The base of the least log loss."""
        return self.rows[0]

    @property
    def recommended(self) -> BaseRow:
        return next(row for row in self.rows if row.rank and row.rank.recommended)

    def as_json(self) -> dict[str, Any]:
        chosen = self.recommended
        return {
            "recommended": chosen.name,
            "settings": list(chosen.settings),
            "images": self.images,
            "groups": self.groups,
            "complete": self.complete,
            "bases": [row.as_json() for row in self.rows],
            "picture": None if self.picture is None else str(self.picture),
        }


class ComparisonStopped(Interrupted):
    """Interruption between two bases; carries the result of those that were measured."""

    def __init__(self, stop: Interrupted, result: Recommendation) -> None:
        super().__init__(
            stop.signum,
            f"stopped on request: {len(result.measured)} of {len(result.rows)} bases are compared",
            "start the same command again: what was computed is in the feature cache",
        )
        self.result = result
