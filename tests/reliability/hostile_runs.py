"""Runs made by strangers: what each changes in the folder of a whole run. `outside` holds what nothing may reach."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reliability.hostile_weights import PICKLE

Change = Callable[[Path, Path], None]


def _record(**facts: Any) -> Change:
    def change(run: Path, outside: Path) -> None:
        path = run / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | facts))

    return change


def _file(name: str, content: bytes | Callable[[bytes], bytes]) -> Change:
    def change(run: Path, outside: Path) -> None:
        (run / name).write_bytes(content if isinstance(content, bytes) else content((run / name).read_bytes()))

    return change


def _link(name: str, target: str) -> Change:
    """A link that leads out; where a file or folder stood, it gives way."""

    def change(run: Path, outside: Path) -> None:
        place = run / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.symlink_to(outside / target)

    return change


def _pipe(name: str) -> Change:
    def change(run: Path, outside: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return change


def _sealed(name: str, content: bytes) -> Change:
    """A file of the best checkpoint, with a manifest that vouches for it."""

    def change(run: Path, outside: Path) -> None:
        place = (run / "checkpoints" / "best").resolve()
        (place / name).write_bytes(content)
        manifest = place / "manifest.json"
        files = json.loads(manifest.read_text())["files"] | {name: hashlib.sha256(content).hexdigest()}
        manifest.write_text(json.dumps({"files": dict(sorted(files.items()))}, indent=2) + "\n")

    return change


def _manifest(files: dict[str, str]) -> Change:
    def change(run: Path, outside: Path) -> None:
        manifest = (run / "checkpoints" / "best").resolve() / "manifest.json"
        manifest.write_text(json.dumps({"files": files}, indent=2) + "\n")

    return change


def _in_config(old: str, new: str) -> Change:
    return _file("config.yaml", lambda text: text.replace(old.encode(), new.encode()))


RUNS: dict[str, Change] = {
    "evaluation leads out": _link("evaluation", "precious"),
    "exports lead out": _link("exports", "precious"),
    "checkpoints lead out": _link("checkpoints", "precious"),
    "log leads out": _link("log.txt", "secret.h5"),
    "record leads out": _link("run.json", "secret.h5"),
    "labels lead out": _link("labels.json", "secret.h5"),
    "config leads out": _link("config.yaml", "secret.h5"),
    "tensors lead out": _link("checkpoints/best/model.safetensors", "secret.h5"),
    "labels are a pipe": _pipe("labels.json"),
    "config is a pipe": _pipe("config.yaml"),
    "data set is a pipe": _pipe("dataset.csv"),
    "record is no object": _file("run.json", b"[]"),
    "record without bounds": _file("run.json", b'"' + b"x" * (17 * 2**20) + b'"'),
    "record deep": _file("run.json", b"[" * 100_000),
    "record with NaN": _file("run.json", lambda text: text.replace(b'"seed": 0', b'"seed": NaN')),
    "record without data": _record(data=None),
    "record with a folder that is none": _record(config_folder={"a": 1}),
    "labels are no list": _file("labels.json", b'{"a": "b"}'),
    "labels are numbers": _file("labels.json", b"[1, 2, 3]"),
    "a million labels": _file("labels.json", json.dumps([str(n) for n in range(10**6)]).encode()),
    "config extends another": _file("config.yaml", lambda text: b"extends: ../../../c.yaml\n" + text),
    "config with a tag": _file("config.yaml", lambda text: text + b"x: !!python/name:os.system\n"),
    "config with a head larger than memory": _in_config("hidden: []", "hidden: [65536, 65536, 65536, 65536]"),
    "data set with other columns": _file("dataset.csv", b"path,evil\nx,y\n"),
    "data set that does not end": _file("dataset.csv", lambda text: text + b'"' + b"x" * 10**6),
    "pickle as tensors, vouched for": _sealed("model.safetensors", PICKLE),
    "header of exabytes, vouched for": _sealed("model.safetensors", (2**62).to_bytes(8, "little") + b"{}"),
    "no tensors, vouched for": _sealed("model.safetensors", (8).to_bytes(8, "little") + b"{}      "),
    "manifest that climbs": _manifest({"../../../../../outside/secret.h5": "0" * 64}),
    "manifest without files": _manifest({}),
}
