"""Which run of an experiment is the champion: the link `champion`, which follows the log of decisions."""

from __future__ import annotations

from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.io import atomic
from transfercli.runs import decisions
from transfercli.runs.decisions import PROMOTING, Decision
from transfercli.runs.folder import RunFolder, has_checkpoint
from transfercli.runs.record import status_of
from transfercli.runs.untrusted import is_neighbour


def champion_of(experiment: Path) -> RunFolder | None:
    """The run that the link names; None where there is no link, its run is gone, or it leads out of the experiment."""
    link = experiment / "champion"
    target = str(link.readlink()) if link.is_symlink() else ""
    run = RunFolder(experiment / target)
    return run if is_neighbour(target) and run.record.is_file() else None


def settle(experiment: Path) -> RunFolder | None:
    """The champion, after the last promotion of the log has been carried out; the lock must be held.

    A kill between a decision and the switch of the link leaves the link behind. So a link that was set by hand is set
    back: the log decides, and `promote` writes it.
    """
    made = [one for one in decisions.read(experiment) if one.decision in PROMOTING and one.champion]
    champion = champion_of(experiment)
    if made and (champion is None or champion.run_id != made[-1].champion):
        run = RunFolder(experiment / str(made[-1].champion))
        if run.record.is_file():
            atomic.point(experiment / "champion", run.path.name)
            return run
    return champion


def enthrone(experiment: Path, decision: Decision) -> None:
    """Log a decision that makes a champion, then switch the link to it."""
    decisions.append(experiment, decision)
    atomic.point(experiment / "champion", str(decision.champion))


def checked(run: RunFolder) -> RunFolder:
    """A run that may be champion: complete, with a model. Raises `ArtefactError`."""
    status = status_of(run)
    if status != "completed" or not has_checkpoint(run):
        raise ArtefactError(
            f"{run.label} is {status}: only a completed run can be champion", "finish it with --resume, or name another"
        )
    return run


def before(experiment: Path) -> RunFolder:
    """The champion before the present one, which `promote --previous` goes back to.

    Going back twice goes back two champions: what was given up by going back is passed over. Raises
    `ArtefactError` where there is none, or it is gone.
    """
    reigns: list[str] = []
    for one in decisions.read(experiment):
        if one.decision == "rolled back" and len(reigns) > 1:
            reigns.pop()
        elif one.decision in PROMOTING and one.champion and reigns[-1:] != [one.champion]:
            reigns.append(one.champion)
    if len(reigns) < 2:
        raise ArtefactError(
            f"experiment {experiment.name!r} has no earlier champion",
            f"name the run: promote {experiment.name}/RUN_ID",
        )
    run = RunFolder(experiment / reigns[-2])
    if not run.record.is_file():
        raise ArtefactError(
            f"the champion before, {run.label}, is gone", f"name a run: promote {experiment.name}/RUN_ID"
        )
    return run
