"""Decisions to cache the features of frozen layers, which a run records: if it is resumed, it decides as before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io.bounded import RESTORE_HINT
from transfercli.transfer.features.device_speeds import PROCESSOR, DeviceSpeeds


@dataclass
class CachingDecisions:
    """Reasons not to cache features, "" to cache them, by the name of the decision.

    speeds: constants of the device that the decisions follow from. record: is called with `as_json` after a new one.
    """

    speeds: DeviceSpeeds = PROCESSOR
    reasons: dict[str, str] = field(default_factory=dict)
    record: Callable[[dict[str, Any]], None] = lambda _: None

    def reason(self, name: str, decide: Callable[[], str]) -> str:
        """Return the recorded reason of a decision; if there is none, call `decide` and record what it returns."""
        if name not in self.reasons:
            self.reasons[name] = decide()
            self.record(self.as_json())
        return self.reasons[name]

    def as_json(self) -> dict[str, Any]:
        """Return the value of `caching` in run.json."""
        return {"speeds": self.speeds.as_json(), "reasons": dict(self.reasons)}

    @classmethod
    def parse(cls, content: Any, context: str) -> CachingDecisions:
        """Return the decisions that `as_json` wrote. Raises `ArtefactError` that begins with `context`."""
        reasons = content.get("reasons") if isinstance(content, dict) else None
        if not isinstance(reasons, dict) or not all(isinstance(reason, str) for reason in reasons.values()):
            raise ArtefactError(f"{context}: {str(content)[:80]!r} are no decisions", RESTORE_HINT)
        return cls(DeviceSpeeds.parse(content.get("speeds"), context), dict(reasons))
