"""What a run folder holds before the first epoch, and what a run that is stopped says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from transfercli.config.loader import dump
from transfercli.data.manifest import write_assignments, write_manifest
from transfercli.errors import DataError, Interrupted
from transfercli.events import Events
from transfercli.runs import atomic, record
from transfercli.runs.folder import has_checkpoint, read_json, remove_results, splits_file
from transfercli.workflows.data import fingerprint

if TYPE_CHECKING:
    from transfercli.transfer.transplant import Transplant
    from transfercli.workflows.job import Job
    from transfercli.workflows.model import Source
    from transfercli.workflows.setup import Setup


def begin_run(job: Job, setup: Setup, source: Source, report: Transplant | None, events: Events) -> None:
    """Write what the run is before it trains; a run that goes on has it already and keeps it."""
    run, dataset = job.run, setup.dataset
    fresh = not run.record.exists()
    if fresh:
        run.path.mkdir(parents=True, exist_ok=True)  # a kill may have come before the record
        atomic.write_text(run.config, dump(job.config))
        atomic.write_json(run.labels, list(setup.classifier.labels))
        write_manifest(run.dataset, dataset.records)
        write_assignments(splits_file(run.path.parent), dataset.assignments)
        if report is not None:
            atomic.write_json(run.transplant, report.as_json())
    events.attach_log(run.log)
    if fresh:
        _create_record(job, setup, source)
    elif read_json(run.record)["data"]["fingerprint"] != fingerprint(dataset):
        raise DataError(
            f"the data changed since {run.label} started, so it cannot go on to the same result",
            "start a new run, or put the images back",
        )
    else:
        remove_results(run)


def _create_record(job: Job, setup: Setup, source: Source) -> None:
    import keras

    dataset = setup.dataset
    facts = {
        "workflow": job.command,
        "command": job.spelled,
        "config_folder": record.relative_folder(job.run, job.folder),
        "parent": source.run.label if source.run else None,
        "seed": job.config.seed,
        "git_commit": record.git_commit(job.folder),
        "backend": keras.backend.backend(),
        "precision": setup.plan.precision,
        "phases": [asdict(phase) for phase in setup.plan.phases],
        "data": {"fingerprint": fingerprint(dataset), "images": {k: len(v) for k, v in dataset.splits.items()}},
        "cache": setup.cache_counts(),
    }
    record.create(job.run, facts)


@contextmanager
def resume_hint(job: Job) -> Iterator[None]:
    """A stop on request says how to go on."""
    try:
        yield
    except Interrupted as stop:
        kept = "is kept up to its last whole epoch" if has_checkpoint(job.run) else "had finished no epoch yet"
        raise Interrupted(stop.signum, f"stopped; {job.run.label} {kept}", job.resume_line) from None
