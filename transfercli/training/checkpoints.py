"""Checkpoints: complete or absent, verified before a tensor is parsed, frozen tensors written once.

The checkpoint of an epoch is the folder `checkpoints/epoch-NNNNN`; `best` and `last` are relative links to two of
them, so switching is atomic, and an epoch that is both is stored once. The epoch before the last, and the best epoch
up to then, are kept too: a run with a damaged last checkpoint can continue from these.
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
from transfercli.io.file_sizes import folder_size
from transfercli.io.session import once
from transfercli.models.weights.safetensors_reader import Tensors, read_safetensors
from transfercli.reporting import Reporter
from transfercli.training.progress import parsed_progress
from transfercli.training.safetensors_writer import tensors_sha256, write_tensors

MODEL, STATE, PROGRESS, MANIFEST = "model.safetensors", "state.safetensors", "state.json", "manifest.json"
FROZEN = "frozen.safetensors"
_FROZEN_ENTRY = f"../{FROZEN}"
KEPT = 2  # newest epochs kept, each with the epoch that was best up to then
MAX_FOLDERS = 2 * KEPT + 1  # at the same time: each of those, its best, and the one being written


@dataclass(frozen=True)
class Checkpoint:
    """State after an epoch. model: all weights; state: optimizer variables; progress: the trainer's counters."""

    model: Tensors
    state: Tensors
    progress: dict[str, Any]


class Checkpoints:
    """The `checkpoints` folder of a run. frozen: names of the tensors that the run never changes."""

    def __init__(self, folder: Path, frozen: frozenset[str] = frozenset()) -> None:
        self.folder = folder
        self.frozen = frozen
        self._frozen_sha256: str | None = None

    def save(self, epoch: int, checkpoint: Checkpoint, *, is_best: bool) -> None:
        """Write the checkpoint of `epoch`, then link `last` (and `best`) to it, then delete old ones.

        Raises `DiskError` if the disk is full; earlier checkpoints are then unchanged.
        """
        target = self._epoch_folder(epoch)
        hashes = self._write_frozen_once(checkpoint.model)
        shutil.rmtree(target, ignore_errors=True)  # a damaged one, if the run continued from an earlier epoch
        with atomic.new_folder(target) as folder:
            changing = {name: value for name, value in checkpoint.model.items() if name not in self.frozen}
            hashes[MODEL] = write_tensors(folder / MODEL, changing)
            hashes[STATE] = write_tensors(folder / STATE, checkpoint.state)
            progress = _json_bytes(checkpoint.progress)
            hashes[PROGRESS] = hashlib.sha256(progress).hexdigest()
            (folder / PROGRESS).write_bytes(progress)
            (folder / MANIFEST).write_bytes(_manifest(hashes))
        if is_best:
            self._link("best", target)
        self._link("last", target)
        self._prune()

    def load(self, name: str) -> Checkpoint:
        """Return the checkpoint `best` or `last`, verified. Raises `ArtefactError` if it is missing or damaged."""
        return _read(self.folder / name)

    def newest(self, reporter: Reporter) -> tuple[Checkpoint, Checkpoint]:
        """Return the newest undamaged epoch and the best epoch up to then, and link `last` and `best` to them.

        The links are not read: the program may have been killed before they were switched. A damaged epoch is skipped
        with a warning. Raises `ArtefactError` if every epoch is damaged, or there is none.
        """
        errors: list[ArtefactError] = []
        for folder in self._epochs(newest_first=True):
            try:
                last = _read(folder)
                best_folder = self._epoch_folder(last.progress["best_epoch"])
                best = last if best_folder == folder else _read(best_folder)
            except ArtefactError as error:
                errors.append(error)
                continue
            if errors:
                reporter.warning(f"the last checkpoint is damaged ({errors[0].message}); continuing from {folder.name}")
            self._link("best", best_folder)
            self._link("last", folder)
            self._prune()
            return last, best
        raise errors[0] if errors else ArtefactError("the run has no checkpoint yet", "train it")

    def exists(self) -> bool:
        """Return True if there is a checkpoint, damaged or not."""
        return bool(self._epochs())

    @property
    def newest_epoch(self) -> int:
        """Number of the newest epoch with a checkpoint, damaged or not; -1 without one."""
        return max((int(folder.name.rpartition("-")[-1]) for folder in self._epochs()), default=-1)

    def size(self) -> int:
        """Return the bytes of all files in the folder."""
        return folder_size(self.folder)

    def _epoch_folder(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch:05d}"

    def _link(self, name: str, target: Path) -> None:
        path = self.folder / name
        if not path.is_symlink() or path.readlink() != Path(target.name):
            atomic.replace_symlink(path, target.name)

    def _write_frozen_once(self, model: Tensors) -> dict[str, str]:
        """Return the frozen file's manifest entry; once per process, compare the file and write it if it differs.

        So no manifest confirms a damaged file.
        """
        if not self.frozen:
            return {}
        if self._frozen_sha256 is None:
            tensors = {name: model[name] for name in self.frozen}
            path, expected = self.folder / FROZEN, tensors_sha256(tensors)
            _link(once("frozen tensors", expected, lambda: path), path)
            if not path.exists() or file_sha256(path) != expected:
                atomic.make_folder(self.folder)
                atomic.write_with(path, lambda temporary: write_tensors(temporary, tensors))
            self._frozen_sha256 = expected
        return {_FROZEN_ENTRY: self._frozen_sha256}

    def _epochs(self, newest_first: bool = False) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"), reverse=newest_first)

    def _prune(self) -> None:
        newest = self._epochs(newest_first=True)[:KEPT]
        keep = {folder.name for folder in newest}
        for folder in newest:
            with suppress(OSError, ValueError, TypeError, KeyError):  # a damaged one needs no best epoch
                keep.add(self._epoch_folder(json.loads((folder / PROGRESS).read_bytes())["best_epoch"]).name)
        keep |= {Path(os.path.realpath(self.folder / link)).name for link in ("best", "last")}
        for folder in self._epochs():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def _link(first: Path, path: Path) -> None:
    """Give the frozen file of another run of the session a second name, if its tensors are those of this run.

    Neither run ever writes into the file: a new one replaces it.
    """
    if first != path and not path.exists():
        atomic.make_folder(path.parent)
        with suppress(OSError):  # it is gone, or on another file system
            os.link(first, path)
            atomic.fsync_folder(path.parent)


def _read(folder: Path) -> Checkpoint:
    hashes = _verified(folder)
    model = read_safetensors(folder / MODEL)
    if _FROZEN_ENTRY in hashes:
        model |= read_safetensors(folder.resolve().parent / FROZEN)
    progress = parsed_progress((folder / PROGRESS).read_bytes())
    return Checkpoint(dict(sorted(model.items())), read_safetensors(folder / STATE), progress)


def _verified(folder: Path) -> dict[str, str]:
    """Return the manifest's hashes once every file is checked against them; only the manifest is parsed before that.

    Its text must be exactly what `_manifest` writes, so a change of any byte is detected. Raises `ArtefactError`.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        hashes = json.loads(text)["files"]
        expected = {MODEL, STATE, PROGRESS} | ({_FROZEN_ENTRY} & set(hashes))
        if set(hashes) != expected or text != _manifest(hashes):
            raise ArtefactError(f"checkpoint {folder.name}: its manifest is not as it was written", _RESTORE)
        for name, digest in hashes.items():
            path = folder.resolve().parent / FROZEN if name == _FROZEN_ENTRY else folder / name
            if file_sha256(path) != digest:
                raise ArtefactError(
                    f"checkpoint {folder.name}: {path.name} does not have the hash its manifest gives", _RESTORE
                )
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise ArtefactError(
            f"checkpoint {folder.name} has no {missing}", "continue the training until an epoch is finished"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"checkpoint {folder.name} cannot be read: {error}", _RESTORE) from error
    return dict(hashes)


_RESTORE = "the file was damaged; restore the run or train again"


def _manifest(hashes: dict[str, str]) -> bytes:
    return _json_bytes({"files": hashes})


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode("utf-8")
