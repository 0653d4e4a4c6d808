"""Targets of `serve`: the model that each NAME=TARGET names, now and, for a link, from time to time."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from transfercli.errors import ArtefactError, UsageError
from transfercli.export.artefact_files import EXPORTED
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.runs.folder import DEFAULT_RUNS, RUN_ID, RunFolder
from transfercli.runs.listing import is_run_folder
from transfercli.runs.lookup import find_run, find_run_and_warn

FOLLOWED = ("@champion", "@latest")


@dataclass(frozen=True, slots=True)
class Source:
    """Model in a folder or file. location: of the run or artefact. version: its name in answers.

    state: of the files that a new export replaces, so that it makes another source.
    """

    location: Path
    version: str
    state: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Model to serve under a name.

    text: a run or artefact as typed. format: of the run's export that is served in its place; None for the run itself.
    """

    name: str
    text: str
    runs: Path
    format: str | None = None

    @property
    def is_followed(self) -> bool:
        """True if the target is a link, which may point to another run later."""
        return self.text.endswith(FOLLOWED)

    def source(self, reporter: Reporter | None = None) -> Source:
        """Return the model that the target means now. Raises `ArtefactError` if there is none.

        reporter: warned if the run may be another than the user expects.
        """
        if _is_artefact(Path(self.text)):
            return _artefact(Path(self.text))
        run = _run(self.text, self.runs, reporter)
        location = Path(os.path.realpath(run.path))  # a link may be switched while the model is loaded
        if self.format is None:
            return Source(location, run.run_id)
        artefact = RunFolder(location).exports / self.format
        if not (artefact / EXPORTED).is_file():
            runs = [] if self.runs == DEFAULT_RUNS else ["--runs", str(self.runs)]
            raise ArtefactError(
                f"{run.label} has no export in the format {self.format}",
                shlex.join(["transfercli", "export", run.label, *runs, "--format", self.format]),
            )
        exported = (artefact / EXPORTED).stat()
        return Source(artefact, run.run_id, (exported.st_mtime_ns, exported.st_ino))

    def glance(self) -> tuple[object, ...]:
        """Return what changes if a link may mean another model: a look at it that costs no more than two calls."""
        name, _, kind = self.text.partition("@")
        link = self.runs / name / kind
        try:
            linked, state = os.readlink(link), (link / "run.json").stat()  # noqa: PTH115 - as text
        except OSError:
            return ()
        if self.format is None:
            return linked, state.st_mtime_ns, state.st_ino
        exported = link / "exports" / self.format / EXPORTED
        with suppress(OSError):
            return linked, state.st_mtime_ns, state.st_ino, exported.stat().st_mtime_ns
        return linked, state.st_mtime_ns, state.st_ino, 0


def parse_targets(texts: Sequence[str], runs: Path, export: str | None = None) -> list[Target]:
    """Return the targets of NAME=TARGET arguments; a single one without a name takes that of its experiment.

    Raises `UsageError` for a name that is not allowed or is given twice, `ArtefactError` for a target that is none.
    """
    if not texts:
        raise UsageError("serve needs a model; received none", "name one, as digits=digits@champion")
    targets = [_parse(text, runs, export, alone=len(texts) == 1) for text in texts]
    names = [target.name for target in targets]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"each model needs a name of its own; received {', '.join(twice)} twice", "rename one")
    return targets


def _parse(text: str, runs: Path, export: str | None, *, alone: bool) -> Target:
    name, equals, target = text.partition("=")
    if not equals or Path(text).exists():  # a path may hold an equals sign
        if not alone:
            raise UsageError(
                f"of several models each needs a name; received {text!r}", f"write NAME={text}, and the others likewise"
            )
        name, target = _own_name(text, runs), text
    if RUN_ID.fullmatch(name) is None or set(name) == {"."}:
        raise UsageError(
            f"the name of a model must be 1 to 64 of the characters A-Z a-z 0-9 . _ -; received {name!r}",
            "write NAME=TARGET with such a NAME",
        )
    if not target:
        raise UsageError(f"{text!r} names no model", "write NAME=TARGET, such as digits=digits@champion")
    if export is not None and _is_artefact(Path(target)):
        raise UsageError(f"--format {export}: {target} is an artefact, which has a format", "leave --format out")
    return Target(name, target, runs, export)


def _own_name(text: str, runs: Path) -> str:
    """Return the name of the experiment that a target is of; of an artefact elsewhere, the name of its folder."""
    path = Path(text)
    if not _is_artefact(path):
        return _run(text, runs).experiment
    folder = Path(os.path.realpath(path if path.is_dir() else path.parent))
    run = next((RunFolder(parent) for parent in folder.parents[:3] if is_run_folder(parent)), None)
    return run.experiment if run else folder.name


def _run(text: str, runs: Path, reporter: Reporter | None = None) -> RunFolder:
    try:
        return find_run_and_warn(text, runs, reporter) if reporter else find_run(text, runs)
    except ArtefactError as error:
        from transfercli.export.version_folders import version_hint

        error.hint = version_hint(Path(text)) or error.hint
        raise


def _is_artefact(path: Path) -> bool:
    """Return True for a file, or a folder that holds an artefact and no run."""
    if path.is_file():
        return True
    return (path / EXPORTED).is_file() or ((path / "saved_model.pb").is_file() and not is_run_folder(path))


def _artefact(path: Path) -> Source:
    """Return the artefact at a path; its version is the id of its run, or the name of its folder."""
    folder = path if path.is_dir() else path.parent
    facts = read_json(folder / EXPORTED) if (folder / EXPORTED).is_file() else None
    label = str(facts.get("run") or "") if isinstance(facts, dict) else ""
    return Source(path.absolute(), label.rpartition("/")[2] or Path(os.path.realpath(folder)).name)
