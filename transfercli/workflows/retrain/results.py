"""Result of `retrain`: a decision about the champion of an experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfercli.runs.decisions import Decision

MEASURED = ("gates", "test", "audit", "changes", "lost", "drift", "latency")


@dataclass(frozen=True)
class RetrainResult:
    """A decision, its reason, and the measurements behind it.

    Attributes:
        decision: unchanged, first, promoted, kept or rejected.
        champion: the run folder of the champion from now on, or None.
        challenger: the run folder of the run that was trained, or None.
        comparison: of the two on the same test images; empty if they were not compared.
        gates: results of the challenger's gates.
        test: numbers of test images, used and left out.
        audit: the champion's number on the test images that never decide, as `Audit.as_json` returns it.
        changes: differences between the images and those of the champion.
        lost: images that are gone since an earlier night: names of classes, and numbers of images gone and before.
        drift: of the images that were added since the champion.
        latency: of both models, in milliseconds per image, and their ratio.

    The last seven are None if they were not measured.
    """

    decision: str
    reason: str
    champion: Path | None = None
    challenger: Path | None = None
    time: str = ""
    comparison: Mapping[str, Any] = field(default_factory=dict)
    gates: list[dict[str, Any]] | None = None
    test: dict[str, int] | None = None
    audit: dict[str, Any] | None = None
    changes: dict[str, Any] | None = None
    lost: dict[str, Any] | None = None
    drift: dict[str, Any] | None = None
    latency: dict[str, float] | None = None

    @classmethod
    def of(cls, experiment: Path, decision: Decision) -> RetrainResult:
        """Return the result of a logged decision; runs become paths below `experiment`."""
        facts = decision.facts
        return cls(
            decision.decision,
            decision.reason,
            experiment / decision.champion if decision.champion else None,
            experiment / decision.challenger if decision.challenger else None,
            decision.time,
            facts.get("comparison", {}),
            **{name: facts[name] for name in MEASURED if name in facts},
        )

    def real_changes(self) -> Iterator[tuple[str, int | list[str]]]:
        """Yield (kind, number of images or names of classes) of the changes that are not empty."""
        for name, value in (self.changes or {}).items():
            if value:
                yield name.replace("_", " "), value

    def as_json(self) -> dict[str, Any]:
        measured = {name: getattr(self, name) for name in MEASURED}
        return {
            "time": self.time,
            "decision": self.decision,
            "champion": str(self.champion) if self.champion else None,
            "challenger": str(self.challenger) if self.challenger else None,
            "comparison": self.comparison,
            "reason": self.reason,
            **{name: value for name, value in measured.items() if value is not None},
        }
