"""Workflow of `data features --engine ray`: the workers of a Ray cluster fill the caches, a shard at a time.

Workers of this machine fill the caches themselves. Those of other nodes each fill a folder of their own beside them,
because SQLite must not be written over a network, and this process merges the folders at the end.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transfercli.data.cache.images import cache_root
from transfercli.errors import ClusterError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.shards import parse_shard
from transfercli.text import counted
from transfercli.workflows.cluster.cluster import connected_cluster
from transfercli.workflows.cluster.mapping import results_in_order
from transfercli.workflows.cluster.worker import Compute
from transfercli.workflows.data.cache import merge_caches
from transfercli.workflows.data.features import (
    FeatureFiller,
    FeaturePlan,
    FeaturesRequest,
    FeaturesResult,
    feature_plan,
    resolved,
)

SHARDS_PER_WORKER = 8  # so that all workers end at about the same time
FEWEST_IMAGES = 64  # of a shard


def fill_features_on_ray(request: FeaturesRequest, reporter: Reporter) -> FeaturesResult:
    """Fill the caches for a fine-tuning of a config with the workers of a Ray cluster.

    Raises `ConfigError`, `DataError` as `fill_features` does for a shard, `UsageError` if Ray is missing or the images
    are no files, `ClusterError` if no cluster answers, too many nodes died, or this machine cannot read their caches.
    """
    config = resolved(request, reporter)
    plan = feature_plan(config, request.runs.absolute(), reporter)
    if plan.listing.arrays:
        raise UsageError(f"--engine ray reads files, and data.train is {config.data.train}", "leave --engine out")
    with connected_cluster() as cluster, _folders_beside(cache_root(config.compute)) as beside:
        shards = max(1, min(cluster.workers.count * SHARDS_PER_WORKER, len(plan.listing) // FEWEST_IMAGES))
        task = FeaturesTask(replace(plan, parts=shards), Path.cwd(), beside if cluster.address else None)
        names = [f"{number}/{shards}" for number in range(1, shards + 1)]
        workers = counted(cluster.workers.count, "worker")
        reporter.info(f"{cluster.place}: {workers}, {counted(shards, 'shard')} of the images")
        parts: list[FeaturesResult] = []
        with closing(results_in_order(cluster, task, names, block=1)) as results:
            for result in results:
                if result is not None:
                    _check_seen(result.value.folder, result.node)
                    parts.append(result.value)
                reporter.progress("features", len(parts), shards, "shards")
        total = _total(parts, cache_root(config.compute))
        if folders := sorted({part.folder for part in parts} - {total.folder}):
            merge_caches(total.folder, folders, config.compute.cache_max_gb, reporter)
    if total.unreadable:
        reporter.warning(f"{counted(total.unreadable, 'image')} cannot be used: transfercli data check lists them")
    return total


@contextmanager
def _folders_beside(root: Path) -> Iterator[Path]:
    """Yield the name of a folder in that of the caches for those of the workers, which is removed in the end."""
    folder = root / f"ray-{secrets.token_hex(8)}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_seen(folder: Path, node: str) -> None:
    if not folder.is_dir():
        raise ClusterError(
            f"node {node} of the cluster filled {folder}, which this machine cannot read",
            "set compute.cache_dir to a folder on storage that all nodes mount under the same path",
        )


def _total(parts: Sequence[FeaturesResult], folder: Path) -> FeaturesResult:
    """Return the result for all images, from those of shards."""
    caches: dict[str, dict[str, int]] = {}
    for part in parts:
        for kind, numbers in part.caches.items():
            sums = caches.setdefault(kind, dict.fromkeys(numbers, 0))
            caches[kind] = {name: sums[name] + number for name, number in numbers.items()}
    images, unreadable = sum(part.images for part in parts), sum(part.unreadable for part in parts)
    return FeaturesResult(folder, None, images, unreadable, parts[0].passes, caches)


@dataclass(frozen=True)
class FeaturesTask:
    """Filling of the caches with shards of a plan.

    folder: the working folder, which relative paths start in. beside: folder for the caches of workers; None: they fill
    the caches of the plan.
    """

    plan: FeaturePlan
    folder: Path
    beside: Path | None

    def load(self, cores: int) -> Compute:
        """Return the function that fills the caches with shards, each named `i/n`, and returns a result for each."""
        with suppress(OSError):  # all paths may be absolute
            os.chdir(self.folder)
        if not self.folder.is_dir() and not Path(self.plan.config.data.train).is_absolute():
            raise DataError(
                f"{self.folder} does not exist", "mount the storage of the images under the same path on every node"
            )
        plan = self.plan
        if self.beside is not None:
            plan = plan.with_cache(self.beside / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")
        filler = FeatureFiller(plan, Reporter())
        return lambda names: [_fill(filler, name) for name in names]


def _fill(filler: FeatureFiller, name: str) -> FeaturesResult:
    """Fill the caches with one shard, and return the result for it alone."""
    before = filler.result()
    shard = parse_shard(name)
    filler.fill(filler.plan.listing.part(shard))
    after = filler.result(shard)
    caches: dict[str, dict[str, Any]] = {
        kind: {what: number - before.caches[kind][what] for what, number in numbers.items()}
        for kind, numbers in after.caches.items()
    }
    images, unreadable = after.images - before.images, after.unreadable - before.unreadable
    return replace(after, images=images, unreadable=unreadable, caches=caches)
