"""Disk space that a run needs, checked before it trains."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.errors import DiskError

if TYPE_CHECKING:
    from transfercli.workflows.train.job import Job
    from transfercli.workflows.train.setup import Setup

VALUE_BYTES = 4  # weights and optimizer state are float32
MERGED_SLOTS = 2  # with LoRA, the state contains the kernels before they were merged, and factors smaller than these
OTHER_FILES_BYTES = 4_000_000  # log, history and pictures
IMAGE_BYTES = 550  # one row each in dataset.csv, pixels.csv, descriptors.npy and splits.csv


def max_run_bytes(setup: Setup) -> int:
    """Return the largest size of the run folder in bytes."""
    from transfercli.models.tensor_names import named_variables
    from transfercli.training.checkpoints import MAX_FOLDERS
    from transfercli.training.optim.optimizers import slots_per_weight

    sizes = {name: math.prod(array.shape) * VALUE_BYTES for name, array in named_variables(setup.classifier).items()}
    frozen = sum(sizes[name] for name in setup.checkpoints.frozen)
    slots = slots_per_weight(setup.plan.training.optimizer)
    if any(phase.lora for phase in setup.plan.phases):
        slots = max(slots, MERGED_SLOTS)
    per_epoch = (sum(sizes.values()) - frozen) * (1 + slots)
    epochs = setup.plan.epochs + sum(phase.kind != "train" for phase in setup.plan.phases)
    tables = IMAGE_BYTES * (len(setup.dataset.records) + len(setup.dataset.auxiliary.records))
    return frozen + per_epoch * min(MAX_FOLDERS, epochs) + OTHER_FILES_BYTES + tables


def reserve_run_space(job: Job, setup: Setup) -> None:
    """Reserve the space of the run folder, so that the feature cache does not use it.

    A resumed run needs less by the size of its checkpoints. Raises `DiskError` if there is not enough free space.
    """
    needed = max(0, max_run_bytes(setup) - setup.checkpoints.size())
    folder = next(path for path in (job.run.path, *job.run.path.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskError(
            f"not enough disk space for {job.run.label}: it may need {_megabytes(needed)}, {_megabytes(free)} are free;"
            " nothing was written",
            "free disk space, or name a folder on a larger disk with --runs",
        )
    if setup.features and _same_disk(setup.features.root, folder):
        setup.features.reserved_bytes = needed


def _same_disk(first: Path, second: Path) -> bool:
    try:
        return first.stat().st_dev == second.stat().st_dev
    except OSError:  # a cache that cannot be used needs no space
        return False


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
