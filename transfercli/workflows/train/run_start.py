"""What a run folder holds before the first epoch, and what a run that is stopped says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from transfercli.config.loader import dump
from transfercli.data.manifest import write_assignments, write_manifest, write_pixels
from transfercli.errors import DataError, DiskError, Interrupted
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import has_checkpoint, remove_results, splits_file
from transfercli.runs.record import status_of
from transfercli.workflows.new_model import Parent
from transfercli.workflows.train.reproducibility import facts_of_rerun, tell_differences
from transfercli.workflows.train.training_data import fingerprint

if TYPE_CHECKING:
    from transfercli.transfer.transplant import Transplant
    from transfercli.workflows.train.job import Job
    from transfercli.workflows.train.setup import Setup


def begin_run(job: Job, setup: Setup, parent: Parent, report: Transplant | None, reporter: Reporter) -> None:
    """Write what the run is before it trains; a run that goes on has it already and keeps it."""
    run, dataset = job.run, setup.dataset
    fresh = not run.record.exists()
    for folder in (run.path.parent, run.path, run.checkpoints):
        atomic.remove_temporaries(folder)
    if fresh:
        atomic.make_folder(run.path)  # it is there where a kill came before the record
        atomic.write_text(run.config, dump(job.config))
        atomic.write_json(run.labels, list(setup.classifier.labels))
        write_manifest(run.dataset, dataset.records)
        write_pixels(run.pixels, dataset.pixels)
        write_assignments(splits_file(run.path.parent), dataset.assignments)
        if report is not None:
            atomic.write_json(run.transplant, report.as_json())
    reporter.attach_log(run.log)
    if fresh:
        _create_record(job, setup, parent, reporter)
    elif record.RunRecord.read(run).fingerprint != fingerprint(dataset):
        raise DataError(
            f"the data changed since {run.label} started, so it cannot go on to the same result",
            "start a new run, or put the images back",
        )
    else:
        tell_differences(job, reporter)
        remove_results(run)


def _create_record(job: Job, setup: Setup, parent: Parent, reporter: Reporter) -> None:
    import keras

    dataset = setup.dataset
    facts = {
        "workflow": job.command,
        "command": job.spelled,
        "config_folder": record.relative_config_folder(job.run, job.loaded.folder),
        "parent": parent.run.label if parent.run else None,
        "seed": job.config.seed,
        "git_commit": record.git_commit(job.loaded.folder),
        "backend": keras.backend.backend(),
        "precision": setup.plan.precision,
        "phases": [asdict(phase) for phase in setup.plan.phases],
        "data": {"fingerprint": fingerprint(dataset), "images": {k: len(v) for k, v in dataset.splits.items()}},
        "cache": setup.cache_counts(),
        **facts_of_rerun(job.config, reporter),
    }
    record.create(job.run, facts)


@contextmanager
def told_how_to_go_on(job: Job, reporter: Reporter) -> Iterator[None]:
    """A stop on request, and a disk that is full or fails, say what is kept and how to go on."""
    reporter.describe_forced_stop(lambda signum: _stopped(job, signum))
    try:
        yield
    except Interrupted as stop:
        raise _stopped(job, stop.signum) from None
    except DiskError as error:
        if not job.run.record.exists():
            raise
        hint = f"{error.hint}; go on with: {job.resume_line}"
        raise DiskError(f"{error.message}; {job.run.label} {_kept(job)}", hint) from error


AGAIN = "start the same command again"


def _stopped(job: Job, signum: int) -> Interrupted:
    """What is told of a stop; the record of a run that was begun says so, too."""
    if not job.run.record.exists():
        return Interrupted(signum, "stopped before training began; images read so far stay in the cache", AGAIN)
    if status_of(job.run) == "running":
        record.mark_interrupted(job.run)
    return Interrupted(signum, f"stopped; {job.run.label} {_kept(job)}", job.resume_line)


def _kept(job: Job) -> str:
    return "is kept up to its last whole epoch" if has_checkpoint(job.run) else "had finished no epoch yet"
