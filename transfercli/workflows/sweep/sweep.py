"""Recipe of `sweep`: open the study, train its trials, choose the winner."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from transfercli import errors
from transfercli.config.loader import LoadedConfig
from transfercli.errors import EXIT_CODES, Interrupted, TransferError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import make_latest, recorded
from transfercli.runs.lock import experiment_lock
from transfercli.runs.output_paths import check_output_file
from transfercli.text import counted, first_of
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.sweep.files import write_sweep
from transfercli.workflows.sweep.page import write_sweep_page
from transfercli.workflows.sweep.pool import threads_of_each, train_trials
from transfercli.workflows.sweep.result import SweepRequest, SweepResult, TrialRow
from transfercli.workflows.sweep.search.presence import present
from transfercli.workflows.sweep.search.storage import require_optuna
from transfercli.workflows.sweep.search.study import id_of, open_study, read_search, settings_of
from transfercli.workflows.sweep.winner import choose_winner
from transfercli.workflows.train.results import total_cache_counts

if TYPE_CHECKING:
    from transfercli.workflows.sweep.search.source import StudySource

STOPPED = "stopped; finished trials are kept, and not trained again"
FEW_IMAGES = 100  # validation images, below which an early end is largely chance
RAISED = {
    EXIT_CODES[cls.kind]: cls
    for cls in (
        errors.UsageError,
        errors.ConfigError,
        errors.DataError,
        errors.ArtefactError,
        errors.WeightsError,
        errors.OutOfSpaceError,
        errors.BusyError,
    )
}


def sweep(request: SweepRequest, reporter: Reporter) -> SweepResult:
    """Train the trials of a sweep that are not trained yet; return all of them, and the winner."""
    started = time.perf_counter()
    require_optuna()
    if request.report is not None:
        check_output_file(request.report, "--report")
    loaded, settings, space = read_search(request.config, request.overrides)
    refuse_numbers(loaded.config.task, "sweep")
    sweep_id = id_of(loaded, request.sweep_id)
    experiment = request.runs / loaded.config.name
    folder = experiment / "sweeps" / sweep_id
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with (
        stopping(request, reporter),
        loaded.placing(),
        experiment_lock(experiment, request.wait, waiting, shared=True),
    ):
        if request.storage is None:
            report_other_sweeps(loaded, request, sweep_id, reporter)
            atomic.make_folder(folder)
        study = open_study(loaded, sweep_id, space, folder, request.storage, reporter)
        from transfercli.workflows.sweep.search.source import StudySource

        with present(folder) as presence:
            source = StudySource(
                study, space, settings, request, sweep_id, experiment, presence, reporter, threads_of_each(request.jobs)
            )
            result = SweepResult(sweep_id, loaded.config.name, folder, settings.metric, (), source.total)
            train(source, result, loaded, reporter)
            if source.is_finished:
                presence.forget_the_gone()
        return finish(source, result, loaded, started)


# -- steps


@contextmanager
def stopping(request: SweepRequest, reporter: Reporter) -> Iterator[None]:
    """Add the command that goes on to a request to stop, at any moment."""
    going_on = request.command()
    reporter.describe_forced_stop(lambda signum: Interrupted(signum, STOPPED, going_on))
    try:
        yield
    except Interrupted as stop:
        if stop.hint:
            raise
        raise Interrupted(stop.signum, STOPPED, going_on) from None


def report_other_sweeps(loaded: LoadedConfig, request: SweepRequest, sweep_id: str, reporter: Reporter) -> None:
    """Report that a config which has changed begins a new sweep."""
    folder = request.runs / loaded.config.name / "sweeps"
    others = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if others and sweep_id not in others:
        known = first_of(others, 3)
        reporter.info(f"this is a new sweep, {sweep_id}: the config is not that of the earlier ones ({known})")


def train(source: StudySource, so_far: SweepResult, loaded: LoadedConfig, reporter: Reporter) -> None:
    """Train the trials that are left, and keep the files of the sweep up to date."""
    settings = settings_of(loaded)
    report_start(source, reporter)
    if source.is_finished:
        return

    def write(state: str) -> None:
        write_sweep(so_far.with_trials(source.rows()), settings, loaded.config.seed, state)

    source.on_change = partial(write, "running")
    write("running")
    try:
        with source.signs_of_life():
            train_trials(source, source.request.jobs, reporter)
    except Interrupted as stop:
        write("interrupted")
        done = sum(row.state in ("completed", "pruned", "failed") for row in source.rows())
        message = f"stopped; {done} of {source.total} trials of the sweep {source.sweep_id} are finished"
        raise Interrupted(stop.signum, message, source.request.command()) from None
    except TransferError:
        write("failed")
        raise


def report_start(source: StudySource, reporter: Reporter) -> None:
    """Report what is known before the first trial of this command."""
    size, listed = source.space.size, source.space.listed
    if size is not None and listed is not None and len(listed) < size:
        left_out = counted(size - len(listed), "combination")
        reporter.info(f"{left_out} of {size} are not possible and left out, such as {source.impossible()}")
    if others := source.others_running():
        reporter.info(f"another process works on this sweep: {counted(others, 'trial')} running")
    if "seed" in source.space.keys:
        reporter.warning(
            "seed is in the space: the search keeps the luckiest one, and other images will not be as lucky;"
            " training.seeds trains one config with several seeds, and shows their spread"
        )
    rows = source.rows()
    if len(rows) > source.total:
        reporter.info(f"the sweep has {len(rows)} trials already, more than the {source.total} asked for: all count")
    if rows and not source.is_finished:
        done = sum(row.state in ("completed", "pruned") for row in rows)
        reporter.info(f"going on with the sweep {source.sweep_id}: {done} of {source.total} trials are finished")


def finish(source: StudySource, so_far: SweepResult, loaded: LoadedConfig, started: float) -> SweepResult:
    """Choose the winner and write the files. Raises the error of the first trial if all of them failed."""
    result = so_far.with_trials(source.rows())
    failed = [row for row in result.trials if row.state == "failed"]
    if failed and len(failed) == len(result.trials):
        write_sweep(result, settings_of(loaded), loaded.config.seed, "failed")
        write_report(result, source.request, loaded)
        raise all_failed(failed)
    unfinished = any(row.state in ("running", "interrupted", "waiting") for row in result.trials)
    folder = None if unfinished else result.folder
    settings, seed = settings_of(loaded), loaded.config.seed
    winner = choose_winner(result.trials, settings.metric, seed, source.reporter, folder)
    runs = [RunFolder(path) for row in result.trials for path in row.runs]
    result = replace(
        result,
        winner=winner.as_json() if winner else None,
        sentences=(*winner.lines(), *_chance_of_pruning(result, winner.images)) if winner else (),
        cache=total_cache_counts(recorded(run).get("cache") or {} for run in runs),
        seconds=round(time.perf_counter() - started, 3),
    )
    done = len(result.trials) >= result.total and not unfinished
    if done and winner and settings.folds is None:
        make_winner_latest(winner.row)
    running = any(row.state == "running" for row in result.trials)
    write_sweep(result, settings, seed, "completed" if done else "running" if running else "interrupted")
    return write_report(result, source.request, loaded)


def _chance_of_pruning(result: SweepResult, images: int | None) -> list[str]:
    """Return a sentence if trials were ended early by the scores of few images."""
    pruned = result.counts().get("pruned", 0)
    if not pruned or images is None or images >= FEW_IMAGES:
        return []
    early = f"{counted(pruned, 'trial')} ended early by the scores of {counted(images, 'image')}"
    return [f"{early}, which differ by chance: sweep.pruner=none trains every trial to its end"]


def make_winner_latest(row: TrialRow) -> None:
    """Make the winner the latest run of its experiment, once: a later training is not overtaken by an old sweep."""
    if row.run is not None and "completion" not in recorded(run := RunFolder(row.run)):
        make_latest(run)


def write_report(result: SweepResult, request: SweepRequest, loaded: LoadedConfig) -> SweepResult:
    """Write the page if the request names one; it needs no training, so a finished sweep can have it at any time."""
    if request.report is None:
        return result
    write_sweep_page(request.report, result, settings_of(loaded), request, loaded.config.seed)
    return replace(result, report=request.report)


def all_failed(rows: list[TrialRow]) -> TransferError:
    """Return the error of a sweep without a trained trial: that of the first one."""
    first = rows[0]
    number = f"all {len(rows)} trials failed; the first" if len(rows) > 1 else "the only trial failed"
    message = f"{number}, {first.run.name if first.run else f'trial {first.number}'}: {first.reason}"
    cls = RAISED.get(first.code or EXIT_CODES["bug"], FailedTrials)
    return cls(message, "correct the cause and start the same command again, or name a new sweep with --run-id NEW")


class FailedTrials(TransferError):
    """Raised if all trials failed, and the first by a bug or a training that diverged."""

    kind = "bug"
