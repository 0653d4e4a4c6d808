"""Version folders of TensorFlow Serving: a folder whose subfolders 1, 2, 3 … each hold one SavedModel.

A running TensorFlow Serving polls the folder (`--model_base_path`) and loads the highest number. So a version appears
complete, under a number that was never used there, and is never changed. Everything else in the folder has a name that
is no number, which TensorFlow Serving ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError, UsageError
from transfercli.export.artefact_files import EXPORTED
from transfercli.export.formats.keras_writer import EXTRA, VERSION, link_file
from transfercli.export.spec import CARD_FILE
from transfercli.export.verify.checksums import CHECKSUMS, verify_checksums
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.io.file_lock import plain_lock
from transfercli.reporting import Reporter

VERSIONED = "saved_model"  # the format of all versions
LOCK = ".lock"  # held while a version is added; another export waits


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model. new: False if the newest version already was this model."""

    path: Path
    number: int
    new: bool

    def as_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "number": self.number, "new": self.new}


def add_version(base: Path, artefact: Path, keep: int | None, reporter: Reporter) -> Version:
    """Add a SavedModel artefact to `base` as its next version, unless the newest version is the same model.

    artefact: the folder that `export` wrote. keep: the number of versions to keep, the newest ones; None: all. Raises
    `UsageError` if `base` cannot hold versions, and `ArtefactError` if the artefact is damaged.
    """
    exported = read_json(artefact / EXPORTED)
    if not isinstance(exported, Mapping) or exported.get("format") != VERSIONED:
        raise ArtefactError(f"{artefact} is no {VERSIONED} artefact", "export the run again")
    verify_checksums(artefact, exported)
    check_base(base)
    atomic.make_folder(base)
    with atomic.write_errors(base), plain_lock(base / LOCK):
        atomic.remove_temporaries(base)
        version = _next_version(base, artefact, exported)
        if version.new:
            _write(version.path, artefact)
            reporter.info(f"{version.path}: version {version.number}, {exported.get('run')}")
        if keep is not None:
            _prune(base, keep, reporter)
    return version


def check_base(base: Path) -> None:
    """Raise `UsageError` if a folder cannot hold versions: it is a file, or an artefact or run itself."""
    if base.exists() and not base.is_dir():
        raise UsageError(f"--versions {base} is not a folder", "name another")
    for file in (EXPORTED, "saved_model.pb", "run.json"):
        if (base / file).exists():
            raise UsageError(
                f"--versions {base} contains {file}, so it is an artefact or a run and cannot hold versions",
                "name a folder of its own, which TensorFlow Serving reads as --model_base_path",
            )


def numbers_in(base: Path) -> list[int]:
    """Return the numbers of the versions in a folder, sorted: names that TensorFlow Serving reads as a number."""
    names = (path.name for path in base.iterdir()) if base.is_dir() else ()
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def version_hint(base: Path) -> str | None:
    """Return the hint for a folder that was named as a model and holds versions of one; None if it holds none."""
    models = (base / str(number) for number in reversed(numbers_in(base)))
    newest = next((path for path in models if (path / EXPORTED).is_file()), None)
    return None if newest is None else f"{base} holds versions of a model: name one, such as {newest}, the newest"


def _next_version(base: Path, artefact: Path, exported: Mapping[str, Any]) -> Version:
    """Return the newest version if it is the same model as the artefact, else the next one, which is not there yet."""
    newest = max(numbers_in(base), default=0)
    if newest and _identity(base / str(newest)) == (_card(artefact), *_origin(exported)):
        return Version(base / str(newest), newest, new=False)
    return Version(base / str(newest + 1), newest + 1, new=True)


def _identity(folder: Path) -> tuple[Any, ...] | None:
    """Return a version's model, or None if the folder is damaged or not by this program: then a new one is written.

    Two exports of a run differ in their bytes, because TensorFlow draws names and a fingerprint at random. The run, its
    card (labels, temperature, thresholds) and the versions of the libraries say if they are the same model.
    """
    try:
        exported = read_json(folder / EXPORTED)
        if not isinstance(exported, Mapping) or not exported.get(CHECKSUMS):
            return None
        verify_checksums(folder, exported)
        return (_card(folder), *_origin(exported))
    except (ArtefactError, OSError):
        return None


def _card(folder: Path) -> bytes:
    return (folder / EXTRA / CARD_FILE).read_bytes()


def _origin(exported: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(exported.get(name) for name in ("run", "quantize", "versions"))


def _write(target: Path, artefact: Path) -> None:
    """Write a version: a whole artefact, which `predict` and `serve` read, too."""
    with atomic.new_folder(target) as temporary:
        for file in sorted(artefact.rglob("*")):
            inside = file.relative_to(artefact)
            if file.is_file() and inside.parts[0] != VERSION:
                link_file(file, temporary / inside)


def _prune(base: Path, keep: int, reporter: Reporter) -> None:
    """Remove the oldest versions that this program wrote, so that `keep` of them stay.

    TensorFlow Serving keeps what it has loaded in memory, and unloads a version that is gone.
    """
    own = [path for number in numbers_in(base) if (path := base / str(number)).is_dir() and (path / EXPORTED).is_file()]
    for path in own[: max(0, len(own) - keep)]:
        atomic.remove_folder(path)
        reporter.debug(f"removed {path}, of which --keep-versions {keep} keeps no more")
