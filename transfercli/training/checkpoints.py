"""Checkpoints: whole or absent, verified before a tensor is parsed, frozen tensors written once.

An epoch's checkpoint is the folder `checkpoints/epoch-NNNNN`; `best` and `last` are relative links to two of them,
so switching is atomic and an epoch that is both stands once. The epoch before the last is kept too, and so is what was
best by then: where the last is damaged, there is always another one to go on from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.io.checksum import file_sha256
from transfercli.models.weights.safetensors_reader import Tensors, read_safetensors
from transfercli.reporting import Reporter
from transfercli.training.progress import parsed_progress
from transfercli.training.safetensors_writer import tensors_sha256, write_tensors

MODEL, STATE, PROGRESS, MANIFEST = "model.safetensors", "state.safetensors", "state.json", "manifest.json"
FROZEN = "frozen.safetensors"
_BESIDE = f"../{FROZEN}"
KEPT = 2  # newest epochs, and what was best by then
AT_MOST = 2 * KEPT + 1  # folders that stand at once: each of those, its best, and the one that is being written


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
        """Write the checkpoint of `epoch`, then point `last` (and `best`) at it, then drop what is old.

        Raises `DiskError` where there is no room; the checkpoints before it then still stand.
        """
        place = self._place(epoch)
        hashes = self._write_frozen_once(checkpoint.model)
        shutil.rmtree(place, ignore_errors=True)  # of a run that went on from an earlier one, as this was damaged
        with atomic.new_folder(place) as folder:
            changing = {name: value for name, value in checkpoint.model.items() if name not in self.frozen}
            hashes[MODEL] = write_tensors(folder / MODEL, changing)
            hashes[STATE] = write_tensors(folder / STATE, checkpoint.state)
            progress = _json_bytes(checkpoint.progress)
            hashes[PROGRESS] = hashlib.sha256(progress).hexdigest()
            (folder / PROGRESS).write_bytes(progress)
            (folder / MANIFEST).write_bytes(_manifest(hashes))
        if is_best:
            self._point("best", place)
        self._point("last", place)
        self._prune()

    def load(self, which: str) -> Checkpoint:
        """The checkpoint `best` or `last`, verified; raises `ArtefactError` where it is not there whole."""
        return _read(self.folder / which)

    def newest(self, reporter: Reporter) -> tuple[Checkpoint, Checkpoint]:
        """The newest epoch that is whole, and what was best by then; `last` and `best` name them afterwards.

        A kill may have come before the links were switched, so they are not asked. A damaged epoch gives way to the one
        before it, which is told. Raises `ArtefactError` where no epoch is whole.
        """
        trouble: list[ArtefactError] = []
        for place in self._epochs(newest_first=True):
            try:
                last = _read(place)
                best_place = self._place(last.progress["best_epoch"])
                best = last if best_place == place else _read(best_place)
            except ArtefactError as error:
                trouble.append(error)
                continue
            if trouble:
                reporter.warning(f"the last checkpoint is damaged ({trouble[0].message}); going on from {place.name}")
            self._point("best", best_place)
            self._point("last", place)
            self._prune()
            return last, best
        raise trouble[0] if trouble else ArtefactError("the run has no checkpoint yet", "train it")

    def exists(self) -> bool:
        """Whether an epoch was finished, whole or not."""
        return bool(self._epochs())

    def size(self) -> int:
        """Bytes of what stands in the folder now."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if path.is_file())

    def _place(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}"

    def _point(self, link: str, place: Path) -> None:
        path = self.folder / link
        if not path.is_symlink() or path.readlink() != Path(place.name):
            atomic.replace_symlink(path, place.name)

    def _write_frozen_once(self, model: Tensors) -> dict[str, str]:
        """Once a process the file is compared with what it must be: a manifest never vouches for a damaged one."""
        if not self.frozen:
            return {}
        if self._frozen_sha256 is None:
            tensors = {name: model[name] for name in self.frozen}
            path, wanted = self.folder / FROZEN, tensors_sha256(tensors)
            if not path.exists() or file_sha256(path) != wanted:
                atomic.make_folder(self.folder)
                atomic.write_with(path, lambda temporary: write_tensors(temporary, tensors))
            self._frozen_sha256 = wanted
        return {_BESIDE: self._frozen_sha256}

    def _epochs(self, newest_first: bool = False) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"), reverse=newest_first)

    def _prune(self) -> None:
        newest = self._epochs(newest_first=True)[:KEPT]
        keep = {place.name for place in newest}
        for place in newest:
            with suppress(OSError, ValueError, TypeError, KeyError):  # of a damaged one nothing is needed
                keep.add(self._place(json.loads((place / PROGRESS).read_bytes())["best_epoch"]).name)
        keep |= {Path(os.path.realpath(self.folder / link)).name for link in ("best", "last")}
        for place in self._epochs():
            if place.name not in keep:
                shutil.rmtree(place, ignore_errors=True)


def _read(folder: Path) -> Checkpoint:
    hashes = _verified(folder)
    model = read_safetensors(folder / MODEL)
    if _BESIDE in hashes:
        model |= read_safetensors(folder.resolve().parent / FROZEN)
    progress = parsed_progress((folder / PROGRESS).read_bytes())
    return Checkpoint(dict(sorted(model.items())), read_safetensors(folder / STATE), progress)


def _verified(folder: Path) -> dict[str, str]:
    """The manifest's hashes, after each has been found true; nothing is parsed before that but the manifest.

    That one has a single spelling, so that a change of any of its bytes is noticed.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        hashes = json.loads(text)["files"]
        needed = {MODEL, STATE, PROGRESS} | ({_BESIDE} & set(hashes))
        if set(hashes) != needed or text != _manifest(hashes):
            raise ArtefactError(f"checkpoint {folder.name}: its manifest is not as it was written", _RESTORE)
        for name, digest in hashes.items():
            path = folder.resolve().parent / FROZEN if name == _BESIDE else folder / name
            if file_sha256(path) != digest:
                raise ArtefactError(
                    f"checkpoint {folder.name}: {path.name} does not have the hash its manifest gives", _RESTORE
                )
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise ArtefactError(
            f"checkpoint {folder.name} has no {missing}", "the run has no whole checkpoint yet"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"checkpoint {folder.name} cannot be read: {error}", _RESTORE) from error
    return dict(hashes)


_RESTORE = "the file was damaged; restore the run or train again"


def _manifest(hashes: dict[str, str]) -> bytes:
    return _json_bytes({"files": hashes})


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode("utf-8")
