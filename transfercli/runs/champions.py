"""Champions of experiments: the link `champion`, kept in step with the log of decisions."""

from __future__ import annotations

from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.runs import decisions
from transfercli.runs.decisions import PROMOTIONS, Decision
from transfercli.runs.folder import RunFolder, has_checkpoint
from transfercli.runs.record import status_of
from transfercli.runs.untrusted import is_sibling_name


def champion_of(experiment: Path) -> RunFolder | None:
    """Return the run that the link points to.

    None if there is no link, if its run was removed, or if it points outside of the experiment's folder.
    """
    link = experiment / "champion"
    target = str(link.readlink()) if link.is_symlink() else ""
    run = RunFolder(experiment / target)
    return run if is_sibling_name(target) and run.record.is_file() else None


def apply_last_promotion(experiment: Path) -> RunFolder | None:
    """Point the link to the run of the last logged promotion and return the champion; the lock must be held.

    A process that is killed after it logged a promotion leaves the link as it was. A link that was changed by hand is
    reset, too: the log decides, and `promote` writes to it.
    """
    promotions = [entry for entry in decisions.read(experiment) if entry.decision in PROMOTIONS and entry.champion]
    champion = champion_of(experiment)
    if promotions and (champion is None or champion.run_id != promotions[-1].champion):
        run = RunFolder(experiment / str(promotions[-1].champion))
        if run.record.is_file():
            atomic.replace_symlink(experiment / "champion", run.path.name)
            return run
    return champion


def promote_run(experiment: Path, decision: Decision) -> None:
    """Log a decision that names a new champion, then point the link to it."""
    decisions.append(experiment, decision)
    atomic.replace_symlink(experiment / "champion", str(decision.champion))


def require_completed(run: RunFolder) -> RunFolder:
    """Return the run. Raises `ArtefactError` if it is not completed or has no checkpoint, so cannot be champion."""
    status = status_of(run)
    if status != "completed" or not has_checkpoint(run):
        raise ArtefactError(
            f"{run.label} is {status}: only a completed run can be champion", "finish it with --resume, or name another"
        )
    return run


def previous_champion(experiment: Path) -> RunFolder:
    """Return the champion before the current one, for `promote --previous`.

    A rollback removes the champion that it replaces from the history, so two rollbacks go back two champions. Raises
    `ArtefactError` if there is no earlier champion, or if its run was removed.
    """
    history: list[str] = []
    for entry in decisions.read(experiment):
        if entry.decision == "rolled back" and len(history) > 1:
            history.pop()
        elif entry.decision in PROMOTIONS and entry.champion and history[-1:] != [entry.champion]:
            history.append(entry.champion)
    if len(history) < 2:
        raise ArtefactError(
            f"experiment {experiment.name!r} has no earlier champion",
            f"name the run: promote {experiment.name}/RUN_ID",
        )
    run = RunFolder(experiment / history[-2])
    if not run.record.is_file():
        raise ArtefactError(
            f"the previous champion {run.label} was removed", f"name a run: promote {experiment.name}/RUN_ID"
        )
    return run
