"""Checkpoints: whole or absent, verified before a tensor is parsed, frozen tensors written once.

An epoch's checkpoint is the folder `checkpoints/epoch-NNNNN`; `best` and `last` are relative links to two of them,
so switching is atomic and an epoch that is both stands once. The epoch before the last is kept too: where the last
is damaged, there is always another one to go on from.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from transfercli.errors import ArtefactError
from transfercli.events import Events
from transfercli.models.weights import file_sha256
from transfercli.runs import atomic

Tensors = dict[str, np.ndarray]

MODEL, STATE, PROGRESS, MANIFEST = "model.safetensors", "state.safetensors", "state.json", "manifest.json"
FROZEN = "frozen.safetensors"
_BESIDE = f"../{FROZEN}"
KEPT = 2  # newest epochs, besides the best


@dataclass(frozen=True)
class Checkpoint:
    """One epoch's end. model: every weight; state: the optimizer's variables; progress: the trainer's counters."""

    model: Tensors
    state: Tensors
    progress: dict[str, Any]


class Checkpoints:
    """The `checkpoints` folder of a run. `frozen` names the tensors that the run never changes."""

    def __init__(self, folder: Path, frozen: frozenset[str] = frozenset()) -> None:
        self.folder = folder
        self.frozen = frozen
        self._frozen_sha256: str | None = None

    def save(self, epoch: int, checkpoint: Checkpoint, *, is_best: bool) -> None:
        """Write the checkpoint of `epoch`, then point `last` (and `best`) at it, then drop what is old."""
        place = self.folder / f"epoch-{epoch:05d}"
        hashes = self._write_frozen_once(checkpoint.model)
        shutil.rmtree(place, ignore_errors=True)  # of a resumed run that had damaged it
        with atomic.new_folder(place) as folder:
            _write_tensors(folder / MODEL, {k: v for k, v in checkpoint.model.items() if k not in self.frozen})
            _write_tensors(folder / STATE, checkpoint.state)
            (folder / PROGRESS).write_text(json.dumps(checkpoint.progress, indent=2) + "\n", encoding="utf-8")
            hashes |= {name: file_sha256(folder / name) for name in (MODEL, STATE, PROGRESS)}
            (folder / MANIFEST).write_text(json.dumps({"files": hashes}, indent=2) + "\n", encoding="utf-8")
        if is_best:
            atomic.point(self.folder / "best", place.name)
        atomic.point(self.folder / "last", place.name)
        self._prune()

    def load(self, which: str, events: Events | None = None) -> Checkpoint:
        """The checkpoint `best` or `last`, verified. A damaged `last` gives way to the newest whole one.

        Raises `ArtefactError` where there is none.
        """
        try:
            return _read(self.folder / which)
        except ArtefactError as error:
            if which != "last":
                raise
            for place in self._epochs(newest_first=True):
                try:
                    checkpoint = _read(place)
                except ArtefactError:
                    continue
                if events:
                    events.warn(f"the last checkpoint is damaged ({error.message}); going on from {place.name}")
                return checkpoint
            raise

    def exists(self) -> bool:
        return (self.folder / "last").is_symlink() or bool(self._epochs())

    def point_best(self, epoch: int) -> None:
        """Let `best` name the epoch that the counters say is best (a kill may have come between two switches)."""
        place = self.folder / f"epoch-{epoch:05d}"
        if place.is_dir() and os.path.realpath(self.folder / "best") != os.path.realpath(place):
            atomic.point(self.folder / "best", place.name)

    def _write_frozen_once(self, model: Tensors) -> dict[str, str]:
        if not self.frozen:
            return {}
        path = self.folder / FROZEN
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic.write_with(path, lambda temporary: _write_tensors(temporary, {k: model[k] for k in self.frozen}))
        if self._frozen_sha256 is None:  # once a process: the file is large, and nothing rewrites it
            self._frozen_sha256 = file_sha256(path)
        return {_BESIDE: self._frozen_sha256}

    def _epochs(self, newest_first: bool = False) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"), reverse=newest_first)

    def _prune(self) -> None:
        keep = {os.path.realpath(self.folder / link) for link in ("best", "last")}
        for place in self._epochs(newest_first=True)[KEPT:]:
            if os.path.realpath(place) not in keep:
                shutil.rmtree(place, ignore_errors=True)
        for leftover in self.folder.glob(".epoch-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)


def _write_tensors(path: Path, tensors: Tensors) -> None:
    """safetensors without metadata, in name order: equal tensors give equal bytes."""
    safetensors.numpy.save_file({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}, path)


def _read(folder: Path) -> Checkpoint:
    hashes = _verified(folder)
    model = _load(folder / MODEL)
    if _BESIDE in hashes:
        model |= _load(folder.resolve().parent / FROZEN)
    return Checkpoint(
        dict(sorted(model.items())), _load(folder / STATE), json.loads((folder / PROGRESS).read_text("utf-8"))
    )


def _verified(folder: Path) -> dict[str, str]:
    """The manifest's hashes, after each has been found true; nothing is parsed before that but the manifest."""
    try:
        hashes = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        needed = {MODEL, STATE, PROGRESS} | ({_BESIDE} & set(hashes))
        if set(hashes) != needed:
            raise ArtefactError(f"checkpoint {folder.name}: its manifest does not name the files it needs")
        for name, digest in hashes.items():
            path = folder.resolve().parent / FROZEN if name == _BESIDE else folder / name
            if file_sha256(path) != digest:
                raise ArtefactError(
                    f"checkpoint {folder.name}: {Path(name).name} does not have the hash its manifest gives",
                    "the file was damaged; restore the run or train again",
                )
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise ArtefactError(
            f"checkpoint {folder.name} has no {missing}", "the run has no whole checkpoint yet"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtefactError(f"checkpoint {folder.name} cannot be read: {error}") from error
    return hashes


def _load(path: Path) -> Tensors:
    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{path.name} is not a whole safetensors file: {error}") from error
