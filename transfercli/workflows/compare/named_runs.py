"""Runs that the words of a command line name: each word one run, or all that a pattern matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from transfercli.errors import ArtefactError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import all_runs, present_status
from transfercli.text import counted, first_of
from transfercli.workflows.stored_run import StoredRun

SHOWN_RUNS = 3


def find_runs(words: Sequence[str], runs: Path, reporter: Reporter) -> list[StoredRun]:
    """Return the runs that words name, in their order.

    A word with `*`, `?` or `[` is a pattern of EXPERIMENT/RUN_ID, as in a shell: it means all completed runs that match
    and are not named before. Raises `ArtefactError` if a run does not exist or a pattern matches none, and `UsageError`
    if they are fewer than two.
    """
    if len(words) < 2 and not any(map(is_pattern, words)):
        raise UsageError(f"a comparison needs two runs or more; received {len(words)}")
    found: list[StoredRun] = []
    for word in words:
        if is_pattern(word):
            earlier = {run.path.resolve() for run in found}
            matching = _completed(word, runs, reporter)
            found += [StoredRun(run, reporter) for run in matching if run.path.resolve() not in earlier]
        else:
            found.append(StoredRun.find(word, runs, reporter))
    found = _without_repeats(found, reporter)
    if len(found) < 2:
        raise UsageError(f"a comparison needs two runs or more; {' '.join(words)} names {counted(len(found), 'run')}")
    return found


def _without_repeats(found: Sequence[StoredRun], reporter: Reporter) -> list[StoredRun]:
    """Return the runs without those that are named again: each comparison costs the others significance.

    Two names of one run remain, as of a champion that is also the latest run: the comparison shows no difference.
    """
    if len(found) == 2:
        return list(found)
    once = {run.path.resolve(): run for run in reversed(found)}
    first = [run for run in found if once[run.path.resolve()] is run]
    if len(first) < len(found):
        again = first_of([run.label for run in found if run not in first], SHOWN_RUNS)
        reporter.warning(f"named more than once, and compared once: {again}")
    return first


def is_pattern(word: str) -> bool:
    """Return True if a word is a pattern; no name of a run has its characters."""
    return any(character in word for character in "*?[")


def _completed(pattern: str, runs: Path, reporter: Reporter) -> list[RunFolder]:
    matching = list(_matching(pattern, runs))
    if not matching:
        raise ArtefactError(f"no run matches {pattern!r} under {runs}", "transfercli runs list shows all runs")
    completed = [run for run in matching if present_status(run) == "completed"]
    if others := [run.label for run in matching if run not in completed]:
        reporter.warning(
            f"{counted(len(others), 'run')} that {pattern!r} matches and that did not complete"
            f" {'is' if len(others) == 1 else 'are'} left out: {first_of(others, SHOWN_RUNS)}"
        )
    if not completed:
        raise ArtefactError(f"no completed run matches {pattern!r} under {runs}", "transfercli runs list shows them")
    return completed


def _matching(pattern: str, runs: Path) -> Iterator[RunFolder]:
    """Yield the runs whose EXPERIMENT/RUN_ID, or path as `--runs` is given, matches; no `*` matches a slash."""
    for run in all_runs(runs):
        for name in (f"{run.path.parent.name}/{run.path.name}", run.path.as_posix()):
            parts, patterns = name.split("/"), pattern.rstrip("/").split("/")
            if len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns)):
                yield run
                break
