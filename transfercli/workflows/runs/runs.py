"""`runs list` and `runs show`: what stands in the run folders, read and put together; nothing is computed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, TransferError
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.runs import decisions
from transfercli.runs.folder import RunFolder
from transfercli.runs.lookup import all_runs
from transfercli.runs.record import RunRecord
from transfercli.runs.untrusted import is_number, numbers_of
from transfercli.workflows.lineage import generations
from transfercli.workflows.stored_run import StoredRun

LINKS = ("latest", "champion")
CURVES = ("loss", "val_loss", "accuracy", "val_accuracy")


def list_runs(runs: Path, experiment: str | None = None) -> dict[str, Any]:
    """{"runs": [one object a run], "decisions": {experiment: the last one about its champion}}.

    Of a run whose record is damaged, only where it is and that it is damaged. Among the decisions are the experiments
    that `retrain` or `promote` decided about.
    """
    found = [run for run in all_runs(runs) if experiment in (None, run.experiment)]
    if experiment and not found:
        there = ", ".join(dict.fromkeys(run.experiment for run in all_runs(runs))) or "none"
        raise ArtefactError(f"no experiment {experiment!r} with runs under {runs}", f"experiments there: {there}")
    return {"runs": [_row(run) for run in found], "decisions": _last_decisions(found)}


def _last_decisions(found: list[RunFolder]) -> dict[str, dict[str, Any]]:
    logs = {run.experiment: decisions.read(run.path.parent) for run in found}
    return {experiment: asdict(log[-1]) for experiment, log in logs.items() if log}


def show_run(text: str, runs: Path, reporter: Reporter) -> dict[str, Any]:
    """Status, metrics, curves, evaluations, lineage back to the first base, and files of one run."""
    from transfercli.training import history

    stored = StoredRun.find(text, runs, reporter)
    run, record = stored.folder, stored.record
    lines = history.read(run.metrics)
    return {
        **_row(run),
        "command": record.command,
        "failure": record.failure,
        "best_epoch": record.best_epoch,
        "metrics": record.metrics or None,
        "seconds": record.seconds or None,
        "curves": {name: [_number(line.get(name)) for line in lines] for name in CURVES},
        "evaluations": {place.name: _evaluated(place) for place in _evaluations(run)},
        "lineage": lineage(stored),
        "files": [
            {"path": file.relative_to(run.path).as_posix(), "bytes": file.stat().st_size}
            for file in sorted(run.path.rglob("*"))
            if file.is_file() and not file.is_symlink()
        ],
    }


def lineage(run: StoredRun) -> list[dict[str, Any]]:
    """The run and those whose weights it began with, back to the first; one that is gone or damaged ends the line."""
    found = [_generation(run.label, run)]
    with suppress(ArtefactError):
        found.extend(_generation(name, parent) for name, parent in generations(run))
    return found


def _generation(name: str, run: StoredRun | None) -> dict[str, Any]:
    """weights: what it began with, as its config has it: `imagenet`, `none`, {"run": …} or {"path": …}."""
    told: dict[str, Any] = {"run": name, "status": "gone", "workflow": None, "base": None, "weights": None}
    if run is not None:
        told["status"] = "damaged"
        with suppress(TransferError):
            model = run.config.model_dump(mode="json")["model"]
            told |= {"status": run.record.status, "workflow": run.record.workflow}
            told |= {"base": model["base"], "weights": model["weights"]}
    return told


def _row(run: RunFolder) -> dict[str, Any]:
    row: dict[str, Any] = {"run": str(run.path), "experiment": run.experiment, "run_id": run.run_id}
    try:
        record = RunRecord.read(run)
        metrics, seconds = record.metrics, record.seconds
        row |= {"status": record.status, "created": record.created, "workflow": record.workflow}
        row |= {"val_accuracy": metrics.get("val_accuracy"), "total_seconds": seconds.get("total")}
        place = run.evaluation("test")
        row["test_accuracy"] = _evaluated(place)["accuracy"] if _is_evaluated(place) else None
    except ArtefactError:
        row |= {"status": "damaged", "created": None, "workflow": None}
        row |= dict.fromkeys(("val_accuracy", "total_seconds", "test_accuracy"))
    parent = run.path.parent
    row["links"] = [
        name for name in LINKS if (parent / name).is_symlink() and str((parent / name).readlink()) == run.run_id
    ]
    row["parent"] = record.parent if row["status"] != "damaged" else None
    return row


def _evaluated(place: Path) -> dict[str, float | None]:
    """The metrics of an evaluation; `ArtefactError` where its metrics.json is damaged."""
    metrics = numbers_of(read_json(place / "metrics.json"), "metrics", place / "metrics.json")
    return {"accuracy": None} | metrics


def _is_evaluated(place: Path) -> bool:
    return (place / "metrics.json").is_file()


def _evaluations(run: RunFolder) -> list[Path]:
    return (
        [place for place in sorted(run.evaluations.iterdir()) if _is_evaluated(place)]
        if run.evaluations.is_dir()
        else []
    )


def _number(value: Any) -> float | None:
    return value if is_number(value) else None
