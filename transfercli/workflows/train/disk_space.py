"""Whether the disk has room for what a training will write, asked before it trains."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.errors import DiskError

if TYPE_CHECKING:
    from transfercli.workflows.train.job import Job
    from transfercli.workflows.train.setup import Setup

ITEM = 4  # bytes: weights and what optimizers keep are float32
BESIDE_TENSORS = 4_000_000  # log, history and pictures
AN_IMAGE = 380  # bytes of a line of dataset.csv, of pixels.csv and of splits.csv


def bytes_of_run(setup: Setup) -> int:
    """The most that the run's folder may hold at once."""
    from transfercli.models.tensor_names import named_variables
    from transfercli.training.checkpoints import MAX_FOLDERS
    from transfercli.training.optim.optimizers import slots_per_weight

    sizes = {name: math.prod(one.shape) * ITEM for name, one in named_variables(setup.classifier).items()}
    once = sum(sizes[name] for name in setup.checkpoints.frozen)
    an_epoch = (sum(sizes.values()) - once) * (1 + slots_per_weight(setup.plan.training.optimizer))
    epochs = setup.plan.epochs + sum(phase.kind != "train" for phase in setup.plan.phases)
    lists = AN_IMAGE * len(setup.dataset.records)
    return once + an_epoch * min(MAX_FOLDERS, epochs) + BESIDE_TENSORS + lists


def leave_room(job: Job, setup: Setup) -> None:
    """Keep the feature cache from taking what the run needs; `DiskError` where that is not free as it is.

    What a run that goes on has written already is not needed again.
    """
    needed = max(0, bytes_of_run(setup) - setup.checkpoints.size())
    place = next(folder for folder in (job.run.path, *job.run.path.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise DiskError(
            f"no room for {job.run.label}: it may need {_megabytes(needed)}, and {_megabytes(free)} are free;"
            " nothing was written",
            "free disk space, or name a folder on a larger disk with --runs",
        )
    if setup.features and _same_disk(setup.features.root, place):
        setup.features.reserved_bytes = needed


def _same_disk(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_dev == other.stat().st_dev
    except OSError:  # a cache that cannot be used takes nothing
        return False


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
