"""Epochs of a trial's run, from its files: their metrics, their number, and the record of an early end."""

from __future__ import annotations

from transfercli.errors import ArtefactError
from transfercli.io.bounded import read_json
from transfercli.runs import record
from transfercli.runs.folder import RunFolder, has_checkpoint
from transfercli.runs.listing import recorded
from transfercli.runs.record import RunRecord


def best_value(run: RunFolder, metric: str) -> float:
    """Return the metric of a run's best epoch. Raises `ArtefactError` if the run has none."""
    from transfercli.training import history

    best = RunRecord.read(run).best_epoch
    value = next((line.get(metric) for line in history.read(run.metrics) if line["epoch"] == best), None)
    if value is None:
        raise ArtefactError(f"{run.label} has no {metric} of its best epoch", "train it again")
    return float(value)


def epochs_of(run: RunFolder, metric: str) -> list[tuple[int, float]]:
    """Return (epoch, metric) of the epochs of a run that are kept, also one that only its checkpoint knows yet.

    None of a run whose metrics are too good, as an ancestor learnt from the images.
    """
    from transfercli.training import history

    if record.is_flattered(recorded(run)):
        return []
    try:
        lines = history.read(run.metrics)
        state = read_json(run.checkpoints / "last" / "state.json") if has_checkpoint(run) else {}
        last = state["line"] if state else None
    except (ArtefactError, KeyError, TypeError):
        return []
    if last and all(line["epoch"] != last["epoch"] for line in lines):
        lines.append(last)
    return [(line["epoch"], float(line[metric])) for line in lines if line.get(metric) is not None]


def epochs_in_all(run: RunFolder) -> int:
    """Return the number of epochs that a run is to have, 0 if it is not known; one that is completed needs no more."""
    phases = recorded(run).get("phases")
    if not isinstance(phases, list) or recorded(run).get("status") == "completed":
        return 0
    return sum(int(phase.get("epochs") or 0) for phase in phases)


def mark_pruned(run: RunFolder, epoch: int) -> None:
    """Record that a run was ended early, unless its own process did so before it was killed."""
    facts = recorded(run)
    if facts.get("status") != "failed" or "pruned" not in facts:
        record.update(run, status="failed", finished=record.utc_now(), pruned={"epoch": epoch})
