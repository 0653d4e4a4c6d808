"""`run.json`: what a run is, how it stands, and what it depended on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transfercli.config.merging import below
from transfercli.errors import Interrupted, TransferError
from transfercli.io import atomic
from transfercli.runs.folder import RunFolder, read_json, read_record


def now() -> str:
    """UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def git_commit(folder: Path) -> str | None:
    """The commit of the working tree that the config lies in, or None."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def create(run: RunFolder, facts: dict[str, Any]) -> None:
    """The first record of a run, status `running`."""
    base = {"status": "running", "experiment": run.experiment, "run_id": run.run_id, "created": now()}
    atomic.write_json(run.record, base | facts)


def update(run: RunFolder, **facts: Any) -> None:
    atomic.write_json(run.record, read_json(run.record) | facts)


@contextmanager
def status_kept(run: RunFolder) -> Iterator[None]:
    """Whatever leaves the block, the record says so: `interrupted` or `failed`; the block itself says `completed`.

    On a full disk it may have to stay `running`; what is raised is what happened first.
    """
    update(run, status="running")
    try:
        yield
    except Interrupted:
        interrupted(run)
        raise
    except BaseException as error:
        with suppress(TransferError, OSError):
            update(run, status="failed", finished=now(), failure=f"{type(error).__name__}")
        raise


def interrupted(run: RunFolder) -> None:
    """Note that a run was stopped on request, where the disk lets one."""
    with suppress(TransferError, OSError):
        update(run, status="interrupted", finished=now())


def config_folder(run: RunFolder) -> Path:
    """The folder that relative paths of the run's config start from."""
    return below(run.path, read_record(run)["config_folder"])


def relative_folder(run: RunFolder, folder: Path) -> str:
    """`folder` as `config_folder` will find it again.

    From a run outside the user's home the way to a folder inside would tell the user's name, so it starts at `~`.
    """
    target, start = folder.resolve(), run.path.resolve()
    home = Path(os.environ.get("HOME") or "/").resolve()
    if target.is_relative_to(home) and not start.is_relative_to(home):
        return str(Path("~") / target.relative_to(home))
    return os.path.relpath(target, start)
