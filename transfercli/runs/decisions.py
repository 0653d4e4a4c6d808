"""`decisions.jsonl`: what every night decided about an experiment, one line a decision, oldest first.

The log is written before the `champion` link is switched, and the link follows it (`champions.settle`): whoever dies in
between leaves a decision that the next start carries out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.runs import record
from transfercli.runs.folder import RUN_ID, decisions_file

# `retrain` decides the first five; a night that ended in an error has failed; a person promotes or goes back by hand.
PROMOTING = frozenset({"first", "promoted", "by hand", "rolled back"})
SETTLED = frozenset({"first", "promoted", "kept", "rejected", "unchanged"})


@dataclass(frozen=True)
class Decision:
    """One line. Runs are named by their ids, which stand in the same folder.

    decision: unchanged, first, promoted, kept, rejected, failed, by hand or rolled back.
    champion: the one from now on; challenger: what was trained; None where there is none.
    fingerprint: of what was decided about, "" where it was not known. facts: what it was decided by.
    """

    decision: str
    reason: str
    champion: str | None
    challenger: str | None = None
    fingerprint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=record.now)


def append(experiment: Path, decision: Decision) -> None:
    """Write a decision for good. Raises `DiskError` where the disk is full or fails."""
    atomic.append_line(decisions_file(experiment), json.dumps(asdict(decision), ensure_ascii=False, allow_nan=False))


def read(experiment: Path) -> list[Decision]:
    """All decisions, oldest first; a line that a kill cut short, or that is damaged, decides nothing.

    Raises `ArtefactError` where the log is there and cannot be read: it would seem that nothing was decided.
    """
    place = decisions_file(experiment)
    try:
        lines = place.read_text("utf-8", "replace").split("\n")  # a reason may hold what `splitlines` breaks at
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ArtefactError(f"{place} cannot be read: {error.strerror}", "restore it, or its permissions") from error
    return [decision for line in lines if (decision := _parsed(line)) is not None]


def _parsed(line: str) -> Decision | None:
    try:
        decision = Decision(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (decision.decision, decision.reason, decision.fingerprint, decision.time)
    runs = (decision.champion, decision.challenger)
    well = (
        all(isinstance(text, str) for text in texts)
        and all(run is None or (isinstance(run, str) and RUN_ID.fullmatch(run)) for run in runs)
        and isinstance(decision.facts, dict)
    )
    return decision if well else None


def settled(decisions: list[Decision]) -> Decision | None:
    """The last one about data and config that `retrain` came to an end with."""
    return next((one for one in reversed(decisions) if one.decision in SETTLED), None)
