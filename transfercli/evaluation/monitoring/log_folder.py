"""Answer logs: a folder for each model that was asked, with its facts and the files of its answers."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date
from pathlib import Path

from transfercli.data.sources.folders import walk
from transfercli.errors import ArtefactError, UsageError
from transfercli.evaluation.monitoring.log_files import FORMAT, NAME, LogFile, read_log_file
from transfercli.evaluation.monitoring.model_facts import KEY, ModelFacts
from transfercli.evaluation.monitoring.sketch import Sketch, merged
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.text import counted

MODEL = "model.json"
ATTEMPTS = 5  # at a list of files that another process merges meanwhile
_FOLDER = re.compile(rf".+-[0-9a-f]{{{KEY}}}")


def model_folder(log: Path, facts: ModelFacts) -> Path:
    """Return the folder of a model in a log."""
    return log / f"{facts.run.rpartition('/')[2] or facts.kind}-{facts.key}"


def open_model_folder(log: Path, facts: ModelFacts) -> Path:
    """Return the folder of a model, which is created if it is missing.

    Raises `DiskError` or `UsageError` if it cannot be written, or if the log would be among files of something else,
    `ArtefactError` if it is of another model.
    """
    folder = model_folder(log, facts)
    _check_place(log)
    atomic.make_folder(folder)
    if (folder / MODEL).exists():
        _read_facts(folder)
    else:
        atomic.write_json(folder / MODEL, {"format": FORMAT, "model": asdict(facts)})
    return folder


def models_in(log: Path) -> dict[Path, ModelFacts]:
    """Return the folder and the facts of each model in a log, by name.

    Raises `ArtefactError` if the log does not exist, has no model, or if the facts of one are damaged.
    """
    folders = sorted(path for path in log.iterdir() if _is_model_folder(path)) if log.is_dir() else []
    if not folders:
        reason = "has no answers of a model" if log.is_dir() else "does not exist"
        raise ArtefactError(f"{log} {reason}", "name the DIR of predict --log DIR or serve --log DIR")
    return {folder: _read_facts(folder) for folder in folders}


def is_log(folder: Path) -> bool:
    """Return True if a folder is a log: it has the folder of a model that was asked."""
    return folder.is_dir() and any(_is_model_folder(path) for path in folder.iterdir())


def logs_among(images: Path) -> list[Path]:
    """Return the logs whose kept images are at a place, a file or a folder: in it, at any depth, or around it.

    Links to folders are followed, as when images are listed. Raises `DataError` if a folder cannot be listed.
    """
    if around := [path.parent for path in images.resolve().parents if _has_facts(path)]:
        return around
    inside = (Path(file).parent for file in (walk(images) if images.is_dir() else ()) if Path(file).name == MODEL)
    return sorted({path.parent for path in inside if _has_facts(path)})


def read_sketches(log: Path, since: date | None = None, until: date | None = None, model: str | None = None) -> Sketch:
    """Return the sketch of a model's answers, of all processes.

    since, until: first and last UTC day; None for all. model: its key, or its EXPERIMENT/RUN_ID; None for the only one.

    Raises `ArtefactError` if there is no such model or a file is damaged, `UsageError` if several models fit.
    """
    folder, facts = _model_named(models_in(log), log, model)
    labels = len(facts.labels)
    files = [file for file in read_files(folder, facts).values() if _within(file, since, until) != 0]
    days, _ = merged(files, labels)
    _, sample = merged([file for file in files if _within(file, since, until) == 1], labels)
    kept = {day: counts for day, counts in days.items() if _is_within(day, since, until)}
    return Sketch(facts, kept, sample)


def read_files(folder: Path, facts: ModelFacts) -> dict[str, LogFile]:
    """Return the files of a model by name, each image once, also while another process merges some of them."""
    for _ in range(ATTEMPTS):
        files = {}
        try:
            for path in log_files(folder):
                files[path.name] = read_log_file(path, facts.key, len(facts.labels))
        except (ArtefactError, FileNotFoundError):
            if path.exists():
                raise
            continue
        held = {name for file in files.values() for name in file.holds}
        return {name: file for name, file in files.items() if name not in held}
    raise ArtefactError(f"the files of {folder.name} change while they are read", "try again in a moment")


def log_files(folder: Path) -> list[Path]:
    """Return the files of answers in a model's folder, by name."""
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def _check_place(log: Path) -> None:
    """Raise `UsageError` if a folder has other files, but no folder of a model: kept images must not become a class."""
    names = [path.name for path in log.iterdir() if not path.name.startswith(".")] if log.is_dir() else []
    if names and not any(_FOLDER.fullmatch(name) for name in names):
        raise UsageError(
            f"--log {log} is a folder of something else: it has {min(names)!r}, and no answers of a model",
            "name a new or empty folder, or an earlier log",
        )


def _is_model_folder(path: Path) -> bool:
    return _has_facts(path) and not path.is_symlink()


def _has_facts(path: Path) -> bool:
    return _FOLDER.fullmatch(path.name) is not None and (path / MODEL).is_file()


def _read_facts(folder: Path) -> ModelFacts:
    values = read_json(folder / MODEL)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ArtefactError(f"{folder.name}/{MODEL} is damaged, or of a later version", "remove or restore the folder")
    facts = ModelFacts.from_json(values.get("model"), f"{folder.name}/{MODEL}")
    if not folder.name.endswith(f"-{facts.key}"):
        raise ArtefactError(
            f"{folder.name}/{MODEL} is of another model, whose key is {facts.key}", "remove or restore the folder"
        )
    return facts


def _model_named(models: dict[Path, ModelFacts], log: Path, model: str | None) -> tuple[Path, ModelFacts]:
    """Return the only model that a name fits. Raises as `read_sketches`."""
    fitting = {folder: facts for folder, facts in models.items() if model is None or model in (facts.key, facts.run)}
    if len(fitting) == 1:
        return next(iter(fitting.items()))
    listed = "; ".join(f"{facts.key}: {facts.title}" for facts in (fitting or models).values())
    if not fitting:
        raise ArtefactError(f"{log} has no answers of {model}; it has those of {listed}", "name one of these models")
    raise UsageError(
        f"{log} has answers of {counted(len(fitting), 'model')}, which are not added up: {listed}",
        "name one of them by its key",
    )


def _is_within(day: date, since: date | None, until: date | None) -> bool:
    return (since is None or since <= day) and (until is None or day <= until)


def _within(file: LogFile, since: date | None, until: date | None) -> float:
    """Return the share of a file's days that are in a range: 1 for all."""
    if not file.days:
        return 0.0
    return sum(_is_within(day, since, until) for day in file.days) / len(file.days)
