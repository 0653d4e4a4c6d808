"""Worker of a cluster: a process that loads its task once and computes one result per path."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

import transfercli
from transfercli.errors import OutOfSpaceError, TransferError, UsageError, as_facts, from_facts, is_out_of_space
from transfercli.runs.environment import RECORDED_VARIABLES

ROW, PATH, RESULT = "row", "path", "result"  # columns
# Variables of this process that a worker has, too: they decide which bits come out, and where files are kept.
CARRIED = ("KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL", "TRANSFERCLI_CACHE", "PYDANTIC_DISABLE_PLUGINS", "HF_HUB_OFFLINE")
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

Compute = Callable[[Sequence[str]], Sequence[Any]]  # takes paths and returns one result for each


class Task(Protocol):
    """Work that is sent to every worker, and so must be small and picklable."""

    def load(self, cores: int) -> Compute:
        """Return the function that computes results on this node, with its model loaded. May raise `TransferError`."""


@dataclass(frozen=True)
class Failure:
    """A `TransferError` of a worker. facts: those of `as_facts`; node: host name of the worker."""

    facts: dict[str, Any]
    node: str

    @classmethod
    def of(cls, error: TransferError) -> Failure:
        return cls(as_facts(error), socket.gethostname())

    def error(self) -> TransferError:
        """Return the error, with the node in its message."""
        return from_facts(self.facts | {"message": f"{self.facts['message']} (on node {self.node} of the cluster)"})


@dataclass(frozen=True)
class Located:
    """A result and the host name of the node that computed it."""

    value: Any
    node: str


def environment(cores: int) -> dict[str, str]:
    """Return the variables that a worker with this number of cores gets from this process."""
    carried = {name: os.environ[name] for name in (*RECORDED_VARIABLES, *CARRIED) if name in os.environ}
    return dict.fromkeys(THREADS, str(cores)) | carried


class Worker:
    """Callable that Ray keeps in one process: it loads the task with the first paths.

    A `TransferError` becomes the result of every path, because Ray would hide its kind.
    """

    def __init__(self, task: Task, cores: int, version: str, variables: Mapping[str, str]) -> None:
        os.environ.update(variables)
        self._task, self._cores, self._version = task, cores, version
        self._compute: Compute | None = None

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the results of a batch of rows; each is a `Located`, or a `Failure`."""
        paths = [os.fsdecode(path) for path in batch[PATH]]
        node = socket.gethostname()
        results = np.empty(len(paths), object)
        try:
            results[:] = [Located(value, node) for value in self._loaded()(paths)]
        except TransferError as error:
            results[:] = [Failure.of(error)] * len(paths)
        except Exception as error:
            if not is_out_of_space(error):
                raise
            results[:] = [Failure.of(OutOfSpaceError(f"out of memory or disk space: {error}"))] * len(paths)
        return {ROW: batch[ROW], RESULT: results}

    def _loaded(self) -> Compute:
        if self._compute is None:
            if transfercli.__version__ != self._version:
                raise UsageError(
                    f"this node has transfercli {transfercli.__version__}, and the command is of {self._version}",
                    "install the same version on all nodes",
                )
            self._compute = self._task.load(self._cores)
        return self._compute
