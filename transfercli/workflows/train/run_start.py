"""Start of a run: its first files, and the messages of a run that is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from transfercli.config.loader import dump
from transfercli.data.manifest import update_assignments, write_manifest, write_pixels
from transfercli.data.quality.image_descriptors import write_descriptors
from transfercli.errors import DataError, DiskError, Interrupted, PeerLostError, TransferError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import has_checkpoint, remove_results, splits_file
from transfercli.runs.lock import shared_files_lock
from transfercli.runs.record import status_of
from transfercli.training.distribution.watch import current_watch
from transfercli.workflows.new_model import Parent
from transfercli.workflows.recorded_weights import weight_facts
from transfercli.workflows.train.learnt_before import LearntBefore, describe_dataset, warn_of_changed_copies
from transfercli.workflows.train.reproducibility import reproducibility_facts, warn_of_environment_changes
from transfercli.workflows.train.training_data import fingerprint
from transfercli.workflows.train.watching import lost_peer, resume_hint, works_in_copy

if TYPE_CHECKING:
    from transfercli.transfer.transplant import Transplant
    from transfercli.workflows.train.job import Job
    from transfercli.workflows.train.setup import Setup


def begin_run(
    job: Job,
    setup: Setup,
    parent: Parent,
    report: Transplant | None,
    learnt_before: LearntBefore,
    reporter: Reporter,
) -> None:
    """Write config, labels, data set and record of a new run before it trains; check and keep those of a resumed run.

    Raises `DataError` if the data of a resumed run changed.
    """
    run, dataset = job.run, setup.dataset
    fresh = not run.record.exists()
    for folder in (run.path, run.checkpoints):
        atomic.remove_temporaries(folder)
    with shared_files_lock(run.path.parent, partial(reporter.progress, "waiting for splits.csv", 0, 0, "")):
        atomic.remove_temporaries(run.path.parent)
        if fresh:
            update_assignments(splits_file(run.path.parent), dataset)
    if fresh:
        atomic.make_folder(run.path)  # may exist already: a run can be killed before its record is written
        atomic.write_text(run.config, dump(job.config))
        atomic.write_json(run.labels, list(setup.classifier.labels))
        write_manifest(run.dataset, dataset.records)
        if dataset.auxiliary.records:
            write_manifest(run.auxiliary, dataset.auxiliary.records)
        if dataset.corrections is not None:
            atomic.write_bytes(run.corrections, dataset.corrections.corrections.log.content)
        write_pixels(run.pixels, dataset.pixels)
        descriptors = describe_dataset(job, dataset)
        write_descriptors(run.descriptors, descriptors)
        warn_of_changed_copies(dataset, descriptors, reporter)
        if report is not None:
            atomic.write_json(run.transplant, report.as_json())
    reporter.attach_log(run.log)
    if fresh:
        _create_record(job, setup, parent, learnt_before, reporter)
    elif record.RunRecord.read(run).fingerprint != fingerprint(dataset):
        raise DataError(
            f"the data changed since {run.label} started, so it cannot be resumed with the same result",
            "start a new run, or restore the images",
        )
    else:
        warn_of_environment_changes(job, reporter)
        remove_results(run)
        if record.RunRecord.read(run).learnt_before is None:  # the run began with an earlier version
            record.update(run, learnt_before=learnt_before)


def _create_record(job: Job, setup: Setup, parent: Parent, learnt_before: LearntBefore, reporter: Reporter) -> None:
    import keras

    from transfercli.training.devices import device_name

    dataset = setup.dataset
    facts = {
        "workflow": job.command,
        "command": job.command_line,
        "config_folder": record.relative_config_folder(job.run, job.loaded.folder),
        "parent": parent.run.label if parent.run else None,
        "weights": weight_facts(job.config, reporter),
        "seed": job.config.seed,
        "git_commit": record.git_commit(job.loaded.folder),
        "backend": keras.backend.backend(),
        "device": device_name(),
        "precision": setup.plan.precision,
        **_distribution(job),
        "phases": [asdict(phase) for phase in setup.plan.phases],
        **({"candidates": setup.candidates} if setup.candidates else {}),
        "data": {
            "fingerprint": fingerprint(dataset),
            "images": {k: len(v) for k, v in dataset.splits.items()},
            "notes": dict(dataset.notes),
            **({"corrections": dataset.corrections.as_json()} if dataset.corrections else {}),
            **({"auxiliary": dataset.auxiliary.counts()} if dataset.auxiliary.records else {}),
        },
        "learnt_before": learnt_before,
        "cache": setup.cache_counts(),
        "caching": setup.builder.decisions.as_json(),
        **reproducibility_facts(job.config, reporter),
        **job.marks,
    }
    record.create(job.run, facts)


def _distribution(job: Job) -> dict[str, Any]:
    """Return the numbers of processes and devices that train together; nothing if batches are not shared out."""
    from transfercli.training.distribution.processes import processes

    place = processes()
    if job.config.compute.distribution == "none":
        return {}
    return {"distribution": {"processes": place.count, "devices": place.devices}}


@contextmanager
def resume_hints(job: Job, reporter: Reporter) -> Iterator[None]:
    """Add to an `Interrupted` or `DiskError` raised inside the kept epochs and the command that resumes the run."""
    reporter.describe_forced_stop(lambda signum: _interruption(job, signum))
    if (watch := current_watch()) is not None:
        watch.describe = partial(_stopped, job)
    try:
        yield
    except (Interrupted, PeerLostError) as stop:
        raise _stopped(job, stop) from None
    except DiskError as error:
        if not job.run.record.exists():
            raise
        hint = f"{error.hint}; resume with: {job.resume_command}"
        raise DiskError(f"{error.message}; {job.run.label} {_kept_epochs(job)}", hint) from error


RESTART_HINT = "start the same command again"


def _stopped(job: Job, error: TransferError) -> TransferError:
    """Return the complete error of a stopped run, and set the status of a running one to interrupted."""
    if isinstance(error, Interrupted):
        return _interruption(job, error.signum)
    return lost_peer(job, error) if isinstance(error, PeerLostError) else error


def _interruption(job: Job, signum: int) -> Interrupted:
    """Return the error of a stopped run, and set the status of a running one to interrupted."""
    if works_in_copy():
        return Interrupted(signum, f"stopped; process 0 keeps the whole epochs of {job.run.label}", resume_hint(job))
    if not job.run.record.exists():
        return Interrupted(
            signum, "stopped before training began; images read so far stay in the cache", job.going_on or RESTART_HINT
        )
    if status_of(job.run) == "running":
        record.mark_interrupted(job.run)
    return Interrupted(signum, f"stopped; {job.run.label} {_kept_epochs(job)}", resume_hint(job))


def _kept_epochs(job: Job) -> str:
    return "is kept up to its last whole epoch" if has_checkpoint(job.run) else "had finished no epoch yet"
