"""Decisions about the champion of an experiment: the log `decisions.jsonl`, one line each, oldest first.

A decision is logged before the link `champion` is changed. If the process is killed in between, the next command that
holds the lock changes the link (`champions.apply_last_promotion`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.bounded import parse_json
from transfercli.runs import record
from transfercli.runs.folder import RUN_ID, decisions_file

PROMOTIONS = frozenset({"first", "promoted", "by hand", "rolled back"})  # decisions that name a new champion
# Decisions of a `retrain` that ended without an error; `promote` logs "by hand" or "rolled back", an error "failed".
RETRAIN_DECISIONS = frozenset({"first", "promoted", "kept", "rejected", "unchanged"})


@dataclass(frozen=True)
class Decision:
    """An entry of the log. Runs are given by their ids, which are folder names beside the log.

    Attributes:
        decision: unchanged, first, promoted, kept, rejected, failed, by hand or rolled back.
        reason: for a person to read.
        champion: the champion after the decision, or None.
        challenger: the run that was trained, or None.
        fingerprint: of the images, config, code and weights that the decision is about; "" if unknown.
        facts: the values that the decision is based on.
        time: UTC, ISO 8601.
    """

    decision: str
    reason: str
    champion: str | None
    challenger: str | None = None
    fingerprint: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=record.utc_now)


def append(experiment: Path, decision: Decision) -> None:
    """Write a decision to the log, synced to disk. Raises `DiskError` if the disk is full or fails."""
    atomic.append_line(decisions_file(experiment), json.dumps(asdict(decision), ensure_ascii=False, allow_nan=False))


def read(experiment: Path) -> list[Decision]:
    """Return all decisions, oldest first; lines that are cut short or damaged are skipped.

    Raises `ArtefactError` if the log exists but cannot be read, which must not look like an empty log.
    """
    path = decisions_file(experiment)
    try:
        lines = path.read_text("utf-8", "replace").split("\n")  # `splitlines` breaks at other characters of a reason
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}", "restore it, or its permissions") from error
    return [decision for line in lines if (decision := _parse_line(line)) is not None]


def _parse_line(line: str) -> Decision | None:
    """Return the decision of a line, or None if the line is damaged."""
    try:
        decision = Decision(**parse_json(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (decision.decision, decision.reason, decision.fingerprint, decision.time)
    run_ids = (decision.champion, decision.challenger)
    valid = (
        all(isinstance(text, str) for text in texts)
        and all(run_id is None or (isinstance(run_id, str) and RUN_ID.fullmatch(run_id)) for run_id in run_ids)
        and isinstance(decision.facts, dict)
    )
    return decision if valid else None


def last_retrain_decision(decisions: Sequence[Decision]) -> Decision | None:
    """Return the last decision that `retrain` made without an error; None if there is none."""
    return next((entry for entry in reversed(decisions) if entry.decision in RETRAIN_DECISIONS), None)
