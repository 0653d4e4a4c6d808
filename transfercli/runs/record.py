"""`run.json`: what a run is, how it stands, and what it depended on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import transfercli
from transfercli.errors import Interrupted
from transfercli.runs import atomic
from transfercli.runs.folder import RunFolder, read_json, read_record

RECORDED_PACKAGES = ("keras", "tensorflow", "jax", "numpy", "pillow", "scikit-learn", "safetensors", "pydantic")


def now() -> str:
    """UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def versions() -> dict[str, str]:
    found = {"transfercli": transfercli.__version__, "python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit(folder: Path) -> str | None:
    """The commit of the working tree that the config lies in, or None."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def machine() -> dict[str, Any]:
    """What a bit-identical rerun depends on; nothing that names a machine or its user."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}


def create(run: RunFolder, facts: dict[str, Any]) -> None:
    """The first record of a run, status `running`."""
    base = {"status": "running", "experiment": run.experiment, "run_id": run.run_id, "created": now()}
    atomic.write_json(run.record, base | facts | {"versions": versions(), "machine": machine()})


def update(run: RunFolder, **facts: Any) -> None:
    atomic.write_json(run.record, read_json(run.record) | facts)


@contextmanager
def status_kept(run: RunFolder) -> Iterator[None]:
    """Whatever leaves the block, the record says so: `interrupted` or `failed`; the block itself says `completed`."""
    update(run, status="running")
    try:
        yield
    except Interrupted:
        update(run, status="interrupted", finished=now())
        raise
    except BaseException as error:
        update(run, status="failed", finished=now(), failure=f"{type(error).__name__}")
        raise


def config_folder(run: RunFolder) -> Path:
    """The folder that relative paths of the run's config start from."""
    return Path(os.path.normpath(run.path.resolve() / read_record(run)["config_folder"]))


def relative_folder(run: RunFolder, folder: Path) -> str:
    """`folder` as `config_folder` will find it again."""
    return os.path.relpath(folder.resolve(), run.path.resolve())
