"""Parts of the page of a run, read from its files; no model is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.config.differing_keys import differing_keys, public_text
from transfercli.config.schema import ExperimentConfig
from transfercli.errors import ArtefactError
from transfercli.evaluation.metric_tables import ALL_METRICS
from transfercli.export.artefact_files import EXPORTED
from transfercli.io.bounded import read_json
from transfercli.redaction import hide_paths, hide_paths_in_yaml
from transfercli.runs import decisions
from transfercli.runs.decisions import Decision
from transfercli.runs.folder import RunFolder
from transfercli.runs.lookup import find_run, is_label
from transfercli.runs.untrusted import is_number, numbers_of
from transfercli.workflows.runs.recorded_configs import recorded_config
from transfercli.workflows.runs.runs import Generation, lineage
from transfercli.workflows.stored_run import StoredRun

LOG_BYTES = 64 * 1024  # of the end of a log that are shown
LOG_LINES = 200
CONFIG_BYTES = 512 * 1024
MOST_FOLDERS = 50  # evaluations, exports
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of an evaluation. interval: of 95% confidence, None without one."""

    name: str
    value: float | None
    interval: tuple[float, float] | None
    is_share: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation of a run: the folder of it is `name`. examples: number of images; has_report: it has a page."""

    name: str
    examples: int | None
    metrics: Sequence[Metric]
    gates: Sequence[Mapping[str, Any]]
    has_report: bool


@dataclass(frozen=True, slots=True)
class Export:
    """An exported artefact: its folder in `exports`, and its `export.json`, of which each value may be missing."""

    name: str
    facts: Mapping[str, Any]
    files: Sequence[tuple[str, int]]

    def number(self, *keys: str) -> float | None:
        """Return a number of `export.json`; None if it is missing or none."""
        value: Any = self.facts
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if is_number(value) else None


@dataclass(frozen=True, slots=True)
class Difference:
    """A config key that differs. here, there: its values as text."""

    key: str
    here: str
    there: str


def evaluations(run: RunFolder) -> list[Evaluation]:
    """Return the evaluations of a run. Raises `ArtefactError` if one is damaged."""
    return [_evaluation(folder) for folder in _folders(run.evaluations) if (folder / "metrics.json").exists()]


def _evaluation(folder: Path) -> Evaluation:
    file = folder / "metrics.json"
    content = read_json(file)
    if not isinstance(content, dict):
        raise ArtefactError(f"{folder.name}/{file.name} is damaged: it is no object", "evaluate the run again")
    honest = isinstance(content.get("honest"), dict)
    values = numbers_of(content, "honest" if honest else "metrics", file)
    intervals = content.get("honest_intervals" if honest else "intervals")
    return Evaluation(
        folder.name,
        examples if is_number(examples := content.get("honest_examples" if honest else "examples")) else None,
        [_metric(name, value, intervals) for name, value in list(values.items())[:MOST_ROWS]],
        [gate for gate in _list(content.get("gates")) if isinstance(gate, dict)][:MOST_ROWS],
        (folder / "report.html").is_file(),
    )


def _metric(name: str, value: float | None, intervals: Any) -> Metric:
    bounds = intervals.get(name) if isinstance(intervals, dict) else None
    known = isinstance(bounds, list) and len(bounds) == 2 and all(map(is_number, bounds))
    row = ALL_METRICS.get(name)
    share = row is not None and row.higher_is_better and value is not None and 0 <= value <= 1
    return Metric(name, value, (bounds[0], bounds[1]) if known and bounds is not None else None, share)


def exports(run: RunFolder) -> list[Export]:
    """Return the artefacts in the folder of a run. Raises `ArtefactError` if one is damaged."""
    found = []
    for folder in _folders(run.exports):
        facts = read_json(folder / EXPORTED) if (folder / EXPORTED).exists() else {}
        found.append(Export(folder.name, facts if isinstance(facts, dict) else {}, list(_files(folder))))
    return found


def config_text(run: RunFolder) -> str:
    """Return the resolved config, without absolute paths. Raises `ArtefactError` if it is missing or too large."""
    if not run.config.is_file() or run.config.stat().st_size > CONFIG_BYTES:
        raise ArtefactError(f"{run.config.name} of {run.label} is missing, or too large to show", None)
    text = run.config.read_text("utf-8", "replace")
    if recorded_config(run) is None:  # may have aliases, which a few lines nest into billions of values
        return hide_paths(text)
    return hide_paths_in_yaml(text)


def from_default(run: RunFolder) -> list[Difference]:
    """Return the keys of a run's config whose values are not those of the schema.

    Raises `ArtefactError` if it is not valid.
    """
    config = _config(run)
    needed = {"name": config["name"], "data": {"train": config["data"]["train"]}}
    plain = ExperimentConfig.model_validate(needed | {"model": {"base": config["model"]["base"]}})
    return _differences(config, plain.model_dump(mode="json"))


def from_parent(run: RunFolder, parent: str, runs: Path) -> list[Difference]:
    """Return the keys in which the configs of a run and of its parent differ.

    Raises `ArtefactError` if one is not valid, or if the parent does not exist.
    """
    if not is_label(parent):
        raise ArtefactError(f"{parent!r} is no name of a run", None)
    return _differences(_config(run), _config(find_run(str(runs / parent), runs)))


def _config(run: RunFolder) -> dict[str, Any]:
    config = recorded_config(run)
    if config is None:
        raise ArtefactError(f"the config of {run.label} is missing or not valid", "restore the run")
    return config


def _differences(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[Difference]:
    return shown_differences(differing_keys([here, there]))


def shown_differences(values: Mapping[str, Sequence[Any]]) -> list[Difference]:
    """Return differences as texts without absolute paths. values: two by dotted key."""
    return [Difference(key, public_text(two[0]), public_text(two[1])) for key, two in list(values.items())[:MOST_ROWS]]


def generations(run: StoredRun) -> tuple[Generation, ...]:
    """Return the run and its ancestors."""
    return lineage(run)


def decisions_about(run: RunFolder) -> list[Decision]:
    """Return the decisions in which a run was champion or challenger, the newest first."""
    run_id = run.run_id
    return [each for each in reversed(decisions.read(run.path.parent)) if run_id in (each.champion, each.challenger)][
        :MOST_ROWS
    ]


def log_tail(run: RunFolder) -> str | None:
    """Return the last lines of the log; None if the run has none."""
    if not run.log.is_file():
        return None
    with run.log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES))
        text = file.read(LOG_BYTES).decode("utf-8", "replace")
    lines = text.splitlines()[1 if size > LOG_BYTES else 0 :]
    return "\n".join(lines[-LOG_LINES:])


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, by name; [] without it."""
    return sorted(each for each in folder.iterdir() if each.is_dir())[:MOST_FOLDERS] if folder.is_dir() else []


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the files below a folder with their sizes, at most `MOST_ROWS`."""
    found = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if not path.is_symlink() and (found := found + 1) <= MOST_ROWS:
                yield path.relative_to(folder).as_posix(), path.stat().st_size


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
