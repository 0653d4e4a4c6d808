"""Records of runs, `run.json`: status, results, and everything that the results depend on."""

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
from transfercli.errors import ArtefactError, Interrupted, PeerLostError, TransferError
from transfercli.io import atomic
from transfercli.io.bounded import RESTORE_HINT, read_json
from transfercli.runs.folder import RunFolder
from transfercli.runs.untrusted import is_number, numbers_of


def utc_now() -> str:
    """Return the present time in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def git_commit(folder: Path) -> str | None:
    """Return the commit of the git working tree that `folder` is in; None without git or a repository."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None


def create(run: RunFolder, facts: dict[str, Any]) -> None:
    """Write the first record of a run, with status `running`."""
    base = {"status": "running", "experiment": run.experiment, "run_id": run.run_id, "created": utc_now()}
    atomic.write_json(run.record, base | facts)


def update(run: RunFolder, **facts: Any) -> None:
    """Set keys of the run's record and keep the others."""
    atomic.write_json(run.record, read_json(run.record) | facts)


@contextmanager
def recording_status(run: RunFolder) -> Iterator[None]:
    """Record status `running`, and `interrupted` or `failed` if the block raises; the block records `completed`.

    On a full disk the status may stay `running`: the error of the block is raised, not that of the record.
    """
    update(run, status="running")
    try:
        yield
    except (Interrupted, PeerLostError):
        mark_interrupted(run)
        raise
    except BaseException as error:
        with suppress(TransferError, OSError):
            update(run, status="failed", finished=utc_now(), failure=f"{type(error).__name__}")
        raise


def mark_interrupted(run: RunFolder) -> None:
    """Record that a run was stopped, on request or by the loss of another process; an error of the disk is ignored."""
    with suppress(TransferError, OSError):
        update(run, status="interrupted", finished=utc_now())


def read_config_folder(run: RunFolder) -> Path:
    """Return the folder that relative paths in the run's config start from."""
    return below(run.path, read_record(run)["config_folder"])


def relative_config_folder(run: RunFolder, folder: Path) -> str:
    """Return `folder` relative to the run, the form that `read_config_folder` resolves.

    If the folder is in the user's home and the run is not, the path starts at `~`, which hides the user's name.
    """
    target, start = folder.resolve(), run.path.resolve()
    home = Path(os.environ.get("HOME") or "/").resolve()
    if target.is_relative_to(home) and not start.is_relative_to(home):
        return str(Path("~") / target.relative_to(home))
    return os.path.relpath(target, start)


# Keys that every record has, with their types; a completed run has more.
REQUIRED: dict[tuple[str, ...], type | tuple[type, ...]] = {
    ("status",): str,
    ("command",): str,
    ("config_folder",): str,
    ("versions",): dict,
    ("data", "fingerprint"): str,
    ("data", "images"): dict,
}
REQUIRED_IF_COMPLETED: dict[tuple[str, ...], type | tuple[type, ...]] = {
    ("best_epoch",): int,
    ("metrics", "val_accuracy"): (int, float),
    ("metrics", "val_loss"): (int, float),
    ("seconds", "total"): (int, float),
    ("cache",): dict,
}


def check_record(content: Any, path: Path) -> dict[str, Any]:
    """Return the content of `run.json`. Raises `ArtefactError` if a required key is missing or of another type."""
    completed = isinstance(content, dict) and content.get("status") == "completed"
    required = REQUIRED | (REQUIRED_IF_COMPLETED if completed else {})
    if completed and isinstance(metrics := content.get("metrics"), dict) and "val_mae" in metrics:  # of numbers
        del required["metrics", "val_accuracy"]
    for keys, expected in required.items():
        value = content
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, expected):
            raise ArtefactError(f"{path} is damaged: {'.'.join(keys)} is {str(value)[:80]!r}", RESTORE_HINT)
    return dict(content)


def read_record(run: RunFolder) -> dict[str, Any]:
    """Read and check `run.json`. Raises `ArtefactError` if it is missing or damaged."""
    return check_record(read_json(run.record), run.record)


def status_of(run: RunFolder) -> str:
    """Return running, completed, failed or interrupted; "unknown" or "damaged" if the record has no status."""
    content = read_json(run.record)
    return str(content.get("status", "unknown")) if isinstance(content, dict) else "damaged"


@dataclass(frozen=True)
class RunRecord:
    """Checked content of `run.json`: its keys are read through these properties.

    Attributes:
        content: all keys and values of the file.
        path: the file, for error messages.
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
        """pretrain, finetune or merge; None if it is not recorded."""
        return self._text("workflow")

    @property
    def created(self) -> str | None:
        """Time of creation, UTC, ISO 8601."""
        return self._text("created")

    @property
    def failure(self) -> str | None:
        """Class name of the error that ended the run."""
        return self._text("failure")

    @property
    def parent(self) -> str | None:
        """Label of the run that the initial weights came from."""
        return self._text("parent")

    @property
    def continues(self) -> dict[str, Any] | None:
        """Run whose training this one goes on with: `run`, its last `epoch`, and the number of further `epochs`.

        None if it goes on with none. Raises `ArtefactError` if it is damaged.
        """
        value = self.content.get("continues")
        if value is None:
            return None
        if not isinstance(value, dict) or not all(is_number(value.get(key)) for key in ("epoch", "epochs")):
            raise ArtefactError(f"{self.path} is damaged: continues is {str(value)[:80]!r}", RESTORE_HINT)
        return value

    @property
    def merged(self) -> dict[str, Any]:
        """Members and gains of a run that `merge` made; empty for any other."""
        value = self.content.get("merged")
        return dict(value) if isinstance(value, dict) else {}

    @property
    def members(self) -> list[dict[str, Any]]:
        """Runs that a merged run was made from, with their labels as `run`. Raises `ArtefactError` if one has none."""
        members = self.merged.get("members", [])
        if not isinstance(members, list) or not all(_is_member(member) for member in members):
            raise ArtefactError(f"{self.path} is damaged: merged.members is {str(members)[:80]!r}", RESTORE_HINT)
        return members

    @property
    def weights(self) -> dict[str, Any]:
        """The weight file that the base started from: file, sha256 and, of a repository, hub, revision, licence."""
        value = self.content.get("weights")
        return dict(value) if isinstance(value, dict) else {}

    @property
    def git_commit(self) -> str | None:
        """Commit of the working tree that the config is in."""
        return self._text("git_commit")

    @property
    def versions(self) -> dict[str, Any]:
        """Versions of the program, of Python and of packages, by name."""
        return dict(self.content["versions"])

    @property
    def machine(self) -> dict[str, Any]:
        """Properties of the machine that affect results (`environment.machine`)."""
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
    def auxiliary_counts(self) -> dict[str, int]:
        """Number of unlabelled and related images; empty if the run has none."""
        auxiliary = self.content["data"].get("auxiliary")
        counts = auxiliary.get("images") if isinstance(auxiliary, dict) else None
        return (
            {str(name): count for name, count in counts.items() if is_number(count)} if isinstance(counts, dict) else {}
        )

    @property
    def phases(self) -> list[dict[str, Any]]:
        """Training phases in order; empty if none is recorded yet."""
        return list(self.content.get("phases") or ())

    @property
    def refitted(self) -> bool:
        """True if the model learnt from the validation images too: its head was solved on them in the end.

        As long as the run is not complete, True if a phase of it may do that.
        """
        if "cross_validated" in self.content:
            return self.cross_validated is not None
        return any(phase.get("kind") == "refit" for phase in self.phases)

    @property
    def cross_validated(self) -> int | None:
        """Number of images of the cross-validation that scores the model; None if its validation images do."""
        return self.content.get("cross_validated")

    @property
    def adaptation(self) -> dict[str, Any] | None:
        """Decision on the use of auxiliary images, with its `text`; None if the run has none."""
        value = self.content.get("adaptation")
        return dict(value) if isinstance(value, dict) and isinstance(value.get("text"), str) else None

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best checkpoint; None if it is not recorded."""
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
    def precision(self) -> str:
        """Precision of the training steps, float32 or bfloat16. Raises `ArtefactError` if it is another."""
        value = self.content.get("precision", "float32")
        if value not in ("float32", "bfloat16"):
            raise ArtefactError(f"{self.path} is damaged: precision is {str(value)[:80]!r}", RESTORE_HINT)
        return str(value)

    @property
    def precision_checks(self) -> dict[int, dict[str, Any]]:
        """Comparisons of the first loss of a phase with float32, by the number of the phase; empty if there are none.

        Raises `ArtefactError` if they are damaged.
        """
        value = self.content.get("precision_checks", {})
        if not isinstance(value, dict) or not all(phase.isdecimal() for phase in value):
            raise ArtefactError(f"{self.path} is damaged: precision_checks is {str(value)[:80]!r}", RESTORE_HINT)
        return {int(phase): check for phase, check in value.items()}

    @property
    def caching(self) -> Any:
        """Decisions to cache features, unchecked; None if the run is of an earlier version."""
        return self.content.get("caching")

    @property
    def learnt_before(self) -> dict[str, dict[str, int]] | None:
        """Split -> number of images by how an ancestor learnt from them; None if an older run did not record it."""
        return self.content.get("learnt_before")

    @property
    def rerun_reasons(self) -> list[str]:
        """Reasons why a rerun may give results that are not identical bit for bit."""
        return list(self.content.get("rerun", {}).get("because", []))

    def _text(self, key: str) -> str | None:
        value = self.content.get(key)
        return None if value is None else str(value)


def is_flattered(content: Mapping[str, Any]) -> bool:
    """Return True if an ancestor learnt from images that score a run, so that its metrics are too good.

    Images that only chose the epoch or the penalty of an ancestor do not count, nor uncertain copies. content: of its
    record, which may be damaged.
    """
    before = content.get("learnt_before")
    splits = [before.get(split) for split in ("train", "validation")] if isinstance(before, dict) else []
    uses = {use for found in splits if isinstance(found, dict) for use in found}
    return not uses <= {"validation", "alike"}


def _is_member(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("run"), str) and isinstance(value.get("parent"), str | None)
