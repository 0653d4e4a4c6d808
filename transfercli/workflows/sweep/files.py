"""Files of a sweep: its settings, state and winner, and a table of its trials."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from transfercli.config.schema import SweepConfig
from transfercli.io import atomic
from transfercli.io.spreadsheet import SpreadsheetWriter
from transfercli.runs.record import utc_now
from transfercli.workflows.sweep.result import SweepResult

FORMAT = 1


def write_sweep(result: SweepResult, settings: SweepConfig, seed: int, state: str) -> None:
    """Write `sweep.json` and `trials.csv` to the sweep's folder. state: running, completed, interrupted or failed."""
    content = {
        "format": FORMAT,
        "sweep": result.sweep,
        "experiment": result.experiment,
        "state": state,
        "written": utc_now(),
        "seed": seed,
        "settings": settings.model_dump(exclude_none=True),
        "counts": result.counts(),
        "winner": _relative(result.winner, result.folder),
    }
    atomic.write_json(result.folder / "sweep.json", content)
    atomic.write_bytes(result.folder / "trials.csv", trials_csv(result).encode())


def trials_csv(result: SweepResult) -> str:
    """Return the trials as CSV: one row each, with a column for each key of the space."""
    keys = list(dict.fromkeys(key for trial in result.trials for key in trial.values))
    out = io.StringIO(newline="")
    writer = SpreadsheetWriter(out)
    writer.writerow(["trial", "state", result.metric, "seconds", "run", "reason", *keys])
    for trial in result.trials:
        run = trial.run.name if trial.run else ""
        cells = [trial.number, trial.state, trial.value, trial.seconds, run, trial.reason]
        writer.writerow(cells + [_text(trial.values.get(key)) for key in keys])
    return out.getvalue()


def _text(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else json.dumps(value, ensure_ascii=False)


def _relative(value: Any, folder: Path) -> Any:
    """Return a result whose paths are relative to the experiment, so that the folder can be moved."""
    if isinstance(value, dict):
        return {key: _relative(item, folder) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_relative(item, folder) for item in value]
    experiment = folder.parent.parent
    is_run = isinstance(value, (str, Path)) and Path(value).parent == experiment
    return Path(value).name if is_run else value
