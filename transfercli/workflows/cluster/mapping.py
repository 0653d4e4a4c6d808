"""Results of all paths from the workers of a cluster: one for each, in order, although nodes may die meanwhile.

Ray Data gives every worker blocks of paths, and gives those of a node that died to another. Each path has a row
number, so a result that comes twice is dropped, and one that never came is asked for again.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import warnings
from collections.abc import Generator, Iterator, Sequence

import numpy as np

import transfercli
from transfercli.errors import ClusterError
from transfercli.text import counted, first_line
from transfercli.workflows.cluster.cluster import Cluster
from transfercli.workflows.cluster.worker import PATH, RESULT, ROW, Failure, Located, Task, Worker, environment

BATCH = 32  # paths; a block of them is a multiple
MOST_PER_BLOCK = 32 * BATCH
BLOCKS_PER_WORKER = 8  # at least, if there are enough paths, so that all workers end at about the same time
RETRIES = 20  # of a worker or a block after a node or process died
ROUNDS = 2  # how often rows without a result are given to the workers
POLL_SECONDS = 0.1
CHECK_SECONDS = 5.0  # between two looks at the nodes while nothing arrives
PATIENCE_SECONDS = 120.0  # without a node that could hold a worker

Pair = tuple[int, Located | Failure]  # row number and result


def results_in_order(
    cluster: Cluster, task: Task, paths: Sequence[str], block: int | None = None
) -> Generator[Located | None]:
    """Yield one result per path, in order, and None from time to time while there is none.

    block: number of paths that a worker gets at a time; None: by their number.
    Raises the `TransferError` of a worker, or `ClusterError` if rows have no result although they were tried again.
    """
    results: dict[int, Located] = {}  # those that came too early
    following = 0  # the row whose result is yielded next
    for _ in range(ROUNDS):
        missing = [row for row in range(following, len(paths)) if row not in results]
        if not missing:
            return
        size = block or block_size(len(missing), cluster.workers.count)
        for pair in _Stream(cluster, task, paths, missing, size):
            if pair is None:
                yield None
                continue
            row, result = pair
            if isinstance(result, Failure):
                raise result.error()
            if row >= following:
                results.setdefault(row, result)
            while following in results:
                yield results.pop(following)
                following += 1
    if following < len(paths):
        raise ClusterError(
            f"the cluster gave no result for {len(paths) - following - len(results)} of {counted(len(paths), 'path')},"
            f" also when asked again; the first is {paths[following]}",
            "start the same command again",
        )


def block_size(paths: int, workers: int) -> int:
    """Return the number of paths that a worker gets at a time."""
    fair = paths // (workers * BLOCKS_PER_WORKER)
    return min(MOST_PER_BLOCK, max(BATCH, fair // BATCH * BATCH))


class _Stream:
    """Rows and results of one pass of Ray Data, in a thread, so that the main thread can stop at any time."""

    def __init__(self, cluster: Cluster, task: Task, paths: Sequence[str], rows: Sequence[int], block: int) -> None:
        self._cluster, self._task, self._paths, self._rows, self._block = cluster, task, paths, rows, block
        self._arrived: queue.Queue[list[Pair] | BaseException | None] = queue.Queue(4)
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Pair | None]:
        threading.Thread(target=self._fill, daemon=True, name="cluster").start()
        looked = roomy = time.monotonic()
        try:
            while True:
                try:
                    item = self._arrived.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    yield None
                    now = time.monotonic()
                    if now - looked >= CHECK_SECONDS:
                        looked, roomy = now, now if self._cluster.has_room() else roomy
                        self._check_patience(now - roomy)
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise _expected(item) from item
                yield from item
                looked = roomy = time.monotonic()
        finally:
            self._stopped.set()

    def _check_patience(self, seconds: float) -> None:
        if seconds > PATIENCE_SECONDS:
            raise ClusterError(
                f"the cluster has had no node for a worker for {seconds:.0f} seconds: its nodes were killed or lost",
                "add nodes, then start the same command again",
            )

    def _fill(self) -> None:
        try:
            for batch in self._batches():
                rows = batch[ROW].tolist()
                self._put(list(zip(rows, batch[RESULT], strict=True)))
                if self._stopped.is_set():
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _put(self, item: list[Pair] | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._arrived.put(item, timeout=POLL_SECONDS)
                return
            except queue.Full:
                continue

    def _batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns `row` and `result` of each block; paths go to the workers as bytes, in any encoding."""
        import pyarrow
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_options.preserve_order = True  # else a slow node would let the others fill the memory
        workers, tables = self._cluster.workers, []
        for start in range(0, len(self._rows), self._block):
            rows = self._rows[start : start + self._block]
            names = [os.fsencode(self._paths[row]) for row in rows]
            tables.append(pyarrow.table({ROW: rows, PATH: pyarrow.array(names, pyarrow.binary())}))
        variables = environment(workers.cores)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of options of Ray's actors, which have no other name
            results = ray.data.from_arrow(tables).map_batches(
                Worker,
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=min(workers.count, len(tables))),
                fn_constructor_args=(self._task, workers.cores, transfercli.__version__, variables),
                num_cpus=workers.cores,
                num_gpus=workers.gpus,
                max_restarts=RETRIES,
                max_task_retries=RETRIES,
            )
        yield from results.iter_batches(batch_size=None, prefetch_batches=1)


def _expected(error: BaseException) -> BaseException:
    """Return a `ClusterError` for a worker that kept dying, else the error itself."""
    import ray.exceptions as ray_errors

    died = (ray_errors.RayActorError, ray_errors.WorkerCrashedError, ray_errors.ObjectLostError)
    if isinstance(error, ray_errors.OutOfMemoryError):
        return ClusterError(f"a worker of the cluster ran out of memory: {first_line(error)}", "use larger nodes")
    if isinstance(error, (*died, ray_errors.RaySystemError)):
        return ClusterError(
            f"the workers of the cluster were killed or lost: {first_line(error)}",
            "start the same command again; the logs of the cluster's nodes say why",
        )
    return error
