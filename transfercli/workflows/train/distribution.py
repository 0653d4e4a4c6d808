"""Part of this process in a training by several processes: the first one locks, writes and decides.

The others work in a copy of the run's folder of their own, so what the first one read, they read too; it is removed at
the end, or by the next training if the process is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.differing_keys import AFTER_TRAINING, differing_keys
from transfercli.data.cache.images import cache_root
from transfercli.errors import ConfigError, DataError, UsageError
from transfercli.io import atomic
from transfercli.io.scratch import scratch_folder
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder, splits_file
from transfercli.runs.lock import experiment_lock
from transfercli.text import counted
from transfercli.workflows.resolved_config import batchnorm_trains
from transfercli.workflows.train.training_data import fingerprint

if TYPE_CHECKING:
    from transfercli.config.schema import ComputeConfig, ExperimentConfig
    from transfercli.data.batching.batches import Share
    from transfercli.data.dataset import Dataset
    from transfercli.workflows.train.job import Job

NOT_SENT = ("dataset.csv", "log.txt")  # large, or of no use to another process
# Keys that may differ by host: places of files, what the machine has, what the first process alone does, and what it
# has in its folder of runs (names of layers, which a run that is started again recorded).
OF_A_HOST = (
    *(f"data.{key}" for key in ("train", "validation", "test", "unlabelled", "related", "corrections")),
    *(f"compute.{key}" for key in ("cache_dir", "cache_max_gb", "threads", "device", "peer_timeout")),
    "model.weights",
    "model.head",
    *AFTER_TRAINING,
)


@contextmanager
def taking_part(job: Job, run_id: str | None, wait: float, reporter: Reporter) -> Iterator[Job]:
    """Hold the lock of a job's experiment, and give the job as this process works on it.

    In a process that is not the first one, the job's run is a copy in a temporary folder, and nothing is shown but
    errors. An error of a process ends all of them. run_id: of `--run-id`.

    Raises `BusyError` as `experiment_lock`, and `UsageError` or `ConfigError` if processes were started differently.
    """
    from transfercli.training.distribution.agreement import failing_together, from_chief
    from transfercli.training.distribution.processes import processes

    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    if processes().count == 1:
        with experiment_lock(job.run.path.parent, wait, waiting):
            yield job
        return
    on_wait = partial(reporter.progress, "waiting for process 0", 0, 0, "")
    with failing_together():
        name = from_chief(lambda: job.run.path.name, on_wait)
        check_same_run_id(from_chief(lambda: run_id, on_wait), run_id)
        own = job.config.model_dump(mode="json")
        check_same_config(from_chief(lambda: own, on_wait), own)
        if processes().is_chief:
            with experiment_lock(job.run.path.parent, wait, waiting):
                _send(job.run, on_wait)
                yield job
            return
        reporter.silence()
        with scratch_folder("transfercli-copy-") as scratch:
            copy = RunFolder(scratch / job.run.path.parent.name / name)
            _receive(copy, on_wait)
            yield replace(job, run=copy)


def check_same_run_id(first: str | None, own: str | None) -> None:
    """Raise `UsageError` if a process was started with another `--run-id` than the first one."""
    if own != first:
        raise UsageError(
            f"process 0 was started with --run-id {first}, and another one with {own}",
            "start every process with the same --run-id, or all without one",
        )


def check_same_config(first: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if a process was started with another config than the first one, whose values are `first`.

    Places of files, what a host may decide for itself, and keys that only one of them has, may differ.
    """
    differing = differing_keys([first, own])
    keys = {key: values for key, values in differing.items() if not key.startswith(OF_A_HOST) and None not in values}
    if keys:
        shown = ", ".join(f"{key}: {theirs!r} and {ours!r}" for key, (theirs, ours) in islice(keys.items(), 3))
        raise ConfigError(
            f"process 0 and another one were started with different configs; {shown}",
            "start the same command, with the same config and --set, on every host",
        )


def check_launch(compute: ComputeConfig) -> None:
    """Check that this process trains as it was launched.

    Raises `ConfigError` if Keras's backend cannot share batches, `UsageError` if the process was launched with others,
    but the command trains in one process.
    """
    from transfercli.training.distribution.launch import launch
    from transfercli.training.distribution.start import DATA_PARALLEL, check_distribution
    from transfercli.training.distribution.watch import current_watch

    check_distribution(compute)
    if compute.distribution != DATA_PARALLEL or current_watch() is not None:
        return
    if (launched := launch()) is not None:
        raise UsageError(
            f"this is process {launched.rank} of {launched.count}, but this command trains in one process",
            "start it once, on one host; pretrain and finetune of one run train on several",
        )


def read_together(read: Callable[[], Dataset], config: ExperimentConfig, reporter: Reporter) -> Dataset:
    """Return the data set that every process reads; of those with the same image cache, one fills it first.

    Raises `DataError` if the processes read different images.
    """
    from transfercli.training.distribution.agreement import all_of
    from transfercli.training.distribution.caches import keeper_first
    from transfercli.training.distribution.processes import processes

    if processes().count == 1:
        return read()
    on_wait = partial(reporter.progress, "waiting for the images of process 0", 0, 0, "")
    dataset = keeper_first(cache_root(config.compute), read, on_wait)
    prints = all_of(fingerprint(dataset), on_wait)
    if len(set(prints)) > 1:
        other = next(rank for rank, value in enumerate(prints) if value != prints[0])
        raise DataError(
            f"processes 0 and {other} read different images from data.train",
            "give every host the same files; a copy that is still being written differs",
        )
    return dataset


def share_of(config: ExperimentConfig) -> Share:
    """Return the division of a config's batches over the devices of all processes."""
    from transfercli.data.batching.batches import Share
    from transfercli.training.distribution.processes import processes

    return Share(processes().devices, batchnorm_trains(config.model))


def report_share(config: ExperimentConfig, images: int, reporter: Reporter) -> None:
    """Report how many devices compute a batch, and what happens to a last batch that cannot be shared out evenly.

    images: number of training images.
    """
    from transfercli.training.distribution.processes import processes

    share, place, size = share_of(config), processes(), config.data.batch_size
    if share.devices == 1:
        return
    text = f"batches of {size} images are shared out over {share.devices} devices of"
    text += f" {counted(place.count, 'process', 'processes')}"
    rows, added = share.counts(images, size)
    if added:
        text += f"; {counted(added, 'image')} of weight 0 fills up the last batch of an epoch"
    if rows < images:
        text += (
            f"; {counted(images - rows, 'image')} of the last batch of an epoch left out, other ones each time, as an"
            " added one would enter the statistics of BatchNorm"
        )
    reporter.info(text)


def _send(run: RunFolder, on_wait: Callable[[], None]) -> None:
    """Send the files of a run and the splits of its experiment to the other processes."""
    from transfercli.training.distribution.agreement import bytes_from_chief, from_chief

    files = {splits_file(run.path.parent): splits_file(run.path.parent).name}
    files |= {path: str(Path(run.path.name, path.relative_to(run.path))) for path in sorted(run.path.rglob("*"))}
    files = {
        path: name
        for path, name in files.items()
        if path.is_file() and not path.parent.is_symlink() and path.name not in NOT_SENT
    }
    from_chief(lambda: list(files.values()), on_wait)
    for path in files:
        bytes_from_chief(path.read_bytes(), on_wait)


def _receive(run: RunFolder, on_wait: Callable[[], None]) -> None:
    """Write the files that the first process sends into the copy of the experiment's folder that `run` is in."""
    from transfercli.training.distribution.agreement import bytes_from_chief, from_chief

    atomic.make_folder(run.path.parent)
    for name in from_chief(list[str], on_wait):
        path = run.path.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes_from_chief(None, on_wait))
