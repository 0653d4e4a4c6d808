"""The record of a run, `run.json`: its status, its results, and what they depended on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transfercli.config.merging import below
from transfercli.errors import ArtefactError, Interrupted, TransferError
from transfercli.io import atomic
from transfercli.io.bounded import RESTORE, read_json
from transfercli.runs.folder import RunFolder
from transfercli.runs.untrusted import numbers_of


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


# What others rely on in a record, by key; that of a completed run has more.
NEEDED: dict[tuple[str, ...], type | tuple[type, ...]] = {
    ("status",): str,
    ("command",): str,
    ("config_folder",): str,
    ("versions",): dict,
    ("data", "fingerprint"): str,
    ("data", "images"): dict,
}


NEEDED_WHEN_COMPLETED: dict[tuple[str, ...], type | tuple[type, ...]] = {
    ("best_epoch",): int,
    ("metrics", "val_accuracy"): (int, float),
    ("metrics", "val_loss"): (int, float),
    ("seconds", "total"): (int, float),
    ("cache",): dict,
}


def checked_record(facts: Any, path: Path) -> dict[str, Any]:
    """What `run.json` says, once all that others rely on is there; `ArtefactError` where it is not."""
    completed = isinstance(facts, dict) and facts.get("status") == "completed"
    for keys, kind in (NEEDED | (NEEDED_WHEN_COMPLETED if completed else {})).items():
        value = facts
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            raise ArtefactError(f"{path} is damaged: it says {str(value)[:80]!r} for {'.'.join(keys)}", RESTORE)
    return dict(facts)


def read_record(run: RunFolder) -> dict[str, Any]:
    """`run.json`, with what others rely on; `ArtefactError` where it is damaged."""
    return checked_record(read_json(run.record), run.record)


def status_of(run: RunFolder) -> str:
    facts = read_json(run.record)
    return str(facts.get("status", "unknown")) if isinstance(facts, dict) else "damaged"


@dataclass(frozen=True)
class RunRecord:
    """The content of `run.json`, checked: the one place that knows its keys.

    Attributes:
        content: as the file has it, for those who pass it on whole.
        path: of the file, for messages.
    """

    content: Mapping[str, Any]
    path: Path

    @classmethod
    def read(cls, run: RunFolder) -> RunRecord:
        """Read and check a run's record. Raises `ArtefactError` if it is missing or damaged."""
        return cls(read_record(run), run.record)

    @property
    def status(self) -> str:
        """running, completed, failed or interrupted."""
        return str(self.content["status"])

    @property
    def command(self) -> str:
        """The command line that trained the run, without absolute paths."""
        return str(self.content["command"])

    @property
    def workflow(self) -> str | None:
        """pretrain or finetune; None in records that leave it out."""
        return self._text("workflow")

    @property
    def created(self) -> str | None:
        return self._text("created")

    @property
    def failure(self) -> str | None:
        """The class of the error that ended the run."""
        return self._text("failure")

    @property
    def parent(self) -> str | None:
        """The label of the run that the weights came from."""
        return self._text("parent")

    @property
    def git_commit(self) -> str | None:
        return self._text("git_commit")

    @property
    def versions(self) -> dict[str, Any]:
        return dict(self.content["versions"])

    @property
    def machine(self) -> dict[str, Any]:
        return dict(self.content.get("machine", {}))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the data set: contents, labels and splits."""
        return str(self.content["data"]["fingerprint"])

    @property
    def image_counts(self) -> dict[str, int]:
        """Number of images per split."""
        return dict(self.content["data"]["images"])

    @property
    def phases(self) -> list[dict[str, Any]]:
        """The phases that train, in order; empty in a record that has none yet."""
        return list(self.content.get("phases") or ())

    @property
    def best_epoch(self) -> int | None:
        return self.content.get("best_epoch")

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metrics of the best epoch. Raises `ArtefactError` if one is not a number."""
        return numbers_of(self.content, "metrics", self.path)

    @property
    def seconds(self) -> dict[str, float | None]:
        """Seconds per stage of the command. Raises `ArtefactError` if one is not a number."""
        return numbers_of(self.content, "seconds", self.path)

    @property
    def cache(self) -> dict[str, Any]:
        """Hits and misses of the image and feature caches."""
        return dict(self.content["cache"])

    @property
    def rerun_reasons(self) -> list[str]:
        """Reasons why a rerun may end with other bits."""
        return list(self.content.get("rerun", {}).get("because", []))

    def _text(self, key: str) -> str | None:
        value = self.content.get(key)
        return None if value is None else str(value)
